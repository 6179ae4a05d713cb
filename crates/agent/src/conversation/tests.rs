use super::*;
use serde_json::json;

fn text(text: &str) -> Block {
    Block::Text { text: text.to_owned() }
}

fn tool_use(id: &str, arguments: &str) -> Block {
    Block::ToolUse { id: id.to_owned(), name: "grep".to_owned(), arguments: arguments.to_owned() }
}

fn reply(blocks: Vec<Block>, finish: Finish) -> ModelReply {
    ModelReply { blocks, finish }
}

fn conversation(turns_max: u32, schema: Option<Value>) -> Conversation {
    let input = Json::of(&json!({ "type": "object" }));
    let spec = ToolSpec { name: "grep".to_owned(), description: "finds".to_owned(), input };
    Conversation::new(Setup {
        system: "You review.".to_owned(),
        prompt: "look".to_owned(),
        tools: vec![spec],
        schema: schema.map(|schema| Json::of(&schema)),
        turns_max,
        feedback: None,
    })
}

#[test]
fn a_subagent_is_told_that_nobody_answers_and_what_shape_is_wanted() {
    let with = conversation(0, Some(json!({ "type": "integer" }))).request("m", 10, None).system;
    for part in ["You review.", "nobody answers questions", "data", r#"{"type":"integer"}"#] {
        assert!(with.contains(part), "{part}: {with}");
    }
    let without = conversation(0, None).request("m", 10, None).system;
    assert!(!without.contains("JSON"), "{without}");
}

#[test]
fn several_tools_of_one_turn_are_called_and_broken_arguments_told_apart() {
    let mut talk = conversation(0, None);
    let blocks = vec![text("I look."), tool_use("1", r#"{"a":1,}"#), tool_use("2", "a = 1")];
    let Next::Call(calls) = talk.take_reply(reply(blocks, Finish::Tools)) else { panic!() };
    assert_eq!(calls[0].arguments, Ok(json!({ "a": 1 })));
    assert!(calls[1].arguments.as_ref().is_err_and(|error| error.contains("not JSON")));
    let result = |id: &str| ToolResult {
        id: id.to_owned(),
        name: "grep".to_owned(),
        text: "x".to_owned(),
        is_error: false,
    };
    talk.take_results(vec![result("1"), result("2")]);
    assert_eq!(talk.request("m", 10, None).messages.len(), 3);
    let done = talk.take_reply(reply(vec![text("done")], Finish::End));
    assert_eq!(done, Next::Answer(Json::of("done")));
}

#[test]
fn what_is_no_answer_never_becomes_one() {
    let cases = [
        (reply(vec![text("half an ans")], Finish::Length), Code::REPLY_LENGTH),
        (reply(vec![text("I will not")], Finish::Refusal), Code::MODEL_REFUSED),
    ];
    for (reply, code) in cases {
        let next = conversation(0, None).take_reply(reply);
        assert!(matches!(&next, Next::Failed(failure) if failure.code == code), "{next:?}");
    }
    let mut silent = conversation(0, None);
    let nothing = || reply(Vec::new(), Finish::End);
    assert_eq!(silent.take_reply(nothing()), Next::Again);
    assert_eq!(silent.take_reply(nothing()), Next::Again);
    let next = silent.take_reply(nothing());
    assert!(matches!(next, Next::Failed(failure) if failure.code == Code::REPLY_EMPTY));
}

#[test]
fn the_last_turn_offers_no_tools_and_a_model_that_still_wants_them_is_given_up() {
    let mut talk = conversation(2, None);
    assert_eq!(talk.request("m", 10, None).tools.len(), 1);
    talk.take_reply(reply(vec![tool_use("1", "{}")], Finish::Tools));
    talk.take_results(Vec::new());
    let last = talk.request("m", 10, None);
    assert!(last.tools.is_empty());
    assert!(
        matches!(last.messages.last(), Some(Message::User { text }) if text.contains("last turn"))
    );
    let next = talk.take_reply(reply(vec![tool_use("2", "{}")], Finish::Tools));
    assert!(matches!(next, Next::Failed(failure) if failure.code == Code::TURN_LIMIT));
    let only = conversation(1, None).request("m", 10, None);
    assert!(only.tools.is_empty(), "a subagent with one turn could not use what a tool gives");
    assert_eq!(only.messages.len(), 1);
}

#[test]
fn a_correction_in_the_last_turn_is_one_message_with_the_news_that_it_is() {
    let mut talk = conversation(2, Some(json!({ "type": "integer" })));
    talk.take_reply(reply(vec![tool_use("1", "{}")], Finish::Tools));
    talk.take_results(Vec::new());
    let Next::Unreadable(errors) = talk.take_reply(reply(vec![text("four")], Finish::End)) else {
        panic!("four is no JSON")
    };
    talk.correct(&errors);
    let messages = talk.request("m", 10, None).messages;
    let users = |message: &Message| matches!(message, Message::User { .. });
    assert!(messages.windows(2).all(|pair| !(users(&pair[0]) && users(&pair[1]))));
    let Some(Message::User { text }) = messages.last() else { panic!("{messages:?}") };
    assert!(text.contains("not JSON") && text.contains("last turn"), "{text}");
}

#[test]
fn an_answer_that_is_not_json_goes_back_with_the_errors_and_costs_no_turn() {
    let mut talk = conversation(1, Some(json!({ "type": "integer" })));
    let next = talk.take_reply(reply(vec![text("about four")], Finish::End));
    let Next::Unreadable(errors) = next else { panic!("{next:?}") };
    talk.correct(&errors);
    let messages = talk.request("m", 10, None).messages;
    assert!(matches!(&messages[2], Message::User { text } if text.contains("not JSON")));
    let next = talk.take_reply(reply(vec![text("4")], Finish::End));
    assert_eq!(next, Next::Answer(Json::of(&4)));
    assert_eq!(talk.last_text(), "4");
}

#[test]
fn a_correction_of_an_earlier_attempt_is_part_of_the_conversation() {
    let feedback = Feedback { answer: Json::of("x"), errors: "must be an integer".to_owned() };
    let talk = Conversation::new(Setup { feedback: Some(feedback), ..Setup::default() });
    let messages = talk.request("m", 10, None).messages;
    assert!(matches!(&messages[1], Message::Assistant { .. }));
    assert!(matches!(&messages[2], Message::User { text } if text.contains("must be an integer")));
}
