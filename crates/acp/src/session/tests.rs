use super::*;
use serde_json::{Value, json};

fn session(bytes_max: usize) -> (Arc<Session>, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let session = Session::new(bytes_max, Box::new(move |line| sink.lock().unwrap().push(line)));
    session.prompted();
    (Arc::new(session), told)
}

/// Updates as agents write them.
fn feed(session: &Session, updates: impl IntoIterator<Item = Value>) {
    for update in updates {
        session.update(serde_json::from_value(update).unwrap());
    }
}

fn text(text: &str) -> Value {
    json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}})
}

fn tool(id: &str, title: &str) -> Value {
    json!({"sessionUpdate": "tool_call", "toolCallId": id, "title": title, "kind": "read"})
}

#[test]
fn the_final_message_is_what_follows_the_last_tool_call() {
    let (session, told) = session(1000);
    feed(
        &session,
        [text("Let me "), text("look."), tool("1", "README"), text("It "), text("is 3.")],
    );
    assert_eq!(session.message(), "It is 3.");
    feed(&session, [tool("2", "notes"), text(" \n")]);
    assert_eq!(session.message(), "It is 3.", "blank text is no message");
    assert_eq!(*told.lock().unwrap(), ["read: README", "read: notes"]);
}

#[test]
fn another_message_id_begins_another_message() {
    let (session, _) = session(1000);
    let with_id = |id: &str, words: &str| {
        let mut chunk = text(words);
        chunk["messageId"] = id.into();
        chunk
    };
    feed(
        &session,
        [with_id("a", "Thinking"), with_id("a", " aloud."), with_id("b", "4"), text("2")],
    );
    assert_eq!(session.message(), "42");
}

#[test]
fn what_is_said_before_the_task_was_sent_does_not_count() {
    let session = Session::new(1000, Box::new(|line| panic!("{line}")));
    feed(&session, [text("Welcome!"), tool("1", "x")]);
    assert_eq!(session.message(), "");
}

#[test]
fn a_message_over_its_limit_is_not_kept() {
    let (session, _) = session(10);
    feed(&session, [text("12345678"), text("123")]);
    assert_eq!((session.too_large(), session.message().len()), (Some(11), 8));
}

#[test]
fn progress_is_bounded_and_never_repeats_itself() {
    let (session, told) = session(1000);
    let plan = |done: bool| {
        let status = if done { "completed" } else { "in_progress" };
        json!({"sessionUpdate": "plan", "entries": [{"content": "Do\u{1b}[2J it", "priority": "high", "status": status}]})
    };
    feed(&session, [plan(false), plan(false), plan(true)]);
    let failed = json!({"sessionUpdate": "tool_call_update", "toolCallId": "9", "status": "failed", "title": "rm"});
    feed(&session, [tool("9", "rm"), failed]);
    let expected =
        ["plan, 0 of 1 done: Do\\u{1b}[2J it", "plan, 1 of 1 done", "read: rm", "failed: read: rm"];
    assert_eq!(*told.lock().unwrap(), expected);
    feed(&session, (0..3 * TOOLS_MAX).map(|i| tool(&format!("t{i}"), &format!("file {i}"))));
    assert_eq!(told.lock().unwrap().len(), PROGRESS_MAX + 1);
    assert!(session.lock().tools.len() <= TOOLS_MAX);
}

#[test]
fn usage_is_the_turns_own_else_the_context_at_its_end() {
    let (session, _) = session(1000);
    let update = |used: u64, amount: f64, currency: &str| {
        json!({"sessionUpdate": "usage_update", "used": used, "size": 9999,
               "cost": {"amount": amount, "currency": currency}})
    };
    feed(&session, [update(50, 0.001, "USD"), update(70, 0.0025, "USD"), update(60, 9.0, "EUR")]);
    let least = Usage { input_tokens: 70, usd_micros: 2500, ..Usage::default() };
    assert_eq!(session.usage(), least);
    let exact = |json: Value| {
        session.set_usage(&serde_json::from_value(json).unwrap());
        session.usage()
    };
    let apart = exact(
        json!({"totalTokens": 1115, "inputTokens": 10, "outputTokens": 100, "thoughtTokens": 5,
        "cachedReadTokens": 400, "cachedWriteTokens": 600}),
    );
    let expected = Usage {
        input_tokens: 1010,
        output_tokens: 105,
        cache_read_tokens: 400,
        cache_write_tokens: 600,
        usd_micros: 2500,
        estimated_tokens: 0,
    };
    assert_eq!(apart, expected);
    let inside = exact(
        json!({"totalTokens": 120, "inputTokens": 100, "outputTokens": 20, "cachedReadTokens": 80}),
    );
    assert_eq!(
        (inside.input_tokens, inside.output_tokens, inside.cache_read_tokens),
        (100, 20, 80)
    );
}
