//! What tests of subagents that a model serves begin with.

use crate::simulation;
use loopwright_protocol::{
    Dispatch, Entry, Message, Model, ModelRequest, Outcome, Subagent, Tool, Work,
};
use loopwright_simulator::{Plan, Random, Simulated, Simulation, subagent};
use loopwright_types::{Code, Failure, FailureClass, Micros, Reason};
use serde_json::json;

/// A model of this provider with at most 1,000 tokens out.
pub fn model(name: &str, provider: &str) -> Model {
    let json = json!({
        "name": format!("{provider}:{name}"),
        "provider": provider,
        "output_tokens_max": 1000,
    });
    serde_json::from_value(json).unwrap()
}

/// A subagent type that a model serves.
pub fn by_model(name: &str) -> Subagent {
    Subagent { driver: "model".to_owned(), ..subagent(name) }
}

/// A run with the tools `grep` and `write_file`, whose subagents the model `p:m` serves.
pub fn served() -> Simulation {
    let mut simulation = simulation().subagent(by_model("general-purpose"));
    simulation.start.tools = vec![Tool::reading("grep"), Tool::reading("write_file")];
    simulation.start.models.insert("m".to_owned(), model("m", "p"));
    simulation.start.model = Some("m".to_owned());
    simulation
}

/// Plans that answer a model's request by what it says, and anything else as nothing would.
pub fn talking(
    mut reply: impl FnMut(&ModelRequest) -> Plan + 'static,
) -> impl FnMut(&Dispatch, &mut Random) -> Plan {
    move |dispatch, _| match &dispatch.work {
        Work::Model(request) => reply(request),
        Work::Tool { name, .. } => Plan::done(format!("{name} found it")).after_ms(10),
        other => panic!("nobody asked for {other:?}"),
    }
}

/// Replies of the model that the conversation holds.
pub fn turns(request: &ModelRequest) -> usize {
    request.messages.iter().filter(|one| matches!(one, Message::Assistant { .. })).count()
}

/// The prompt of the task.
pub fn prompt(request: &ModelRequest) -> &str {
    match request.messages.first() {
        Some(Message::User { text }) => text,
        other => panic!("a conversation begins with {other:?}"),
    }
}

/// What the user or the tools said last, in lines.
pub fn last(request: &ModelRequest) -> String {
    match request.messages.last() {
        Some(Message::User { text }) => text.clone(),
        Some(Message::Tools { results }) => {
            let mark = |is_error| if is_error { "!" } else { "" };
            let lines = results.iter().map(|one| format!("{}{}", mark(one.is_error), one.text));
            lines.collect::<Vec<_>>().join("\n")
        }
        other => panic!("a request ends with {other:?}"),
    }
}

/// A provider's failure.
pub fn failed(class: FailureClass, code: Code) -> Failure {
    Failure::new(Reason::Provider, code, "the provider failed").class(class)
}

/// A refusal for too many requests, with what the provider asked for.
pub fn refused(retry_after_ms: Option<u64>) -> Failure {
    let mut failure = failed(FailureClass::Wait, Code::RATE_LIMITED);
    failure.retry_after = retry_after_ms.map(Micros::from_millis);
    failure
}

/// Requests sent to models.
pub fn asked(run: &Simulated) -> usize {
    run.books.executions.iter().filter(|one| one.asked == "model").count()
}

/// When requests to models went out, in milliseconds of the run.
pub fn asked_at(run: &Simulated) -> Vec<u64> {
    let sent = run.books.executions.iter().filter(|one| one.asked == "model");
    sent.map(|one| one.dispatched.since(loopwright_simulator::START).as_millis()).collect()
}

/// Tasks that gave a value.
pub fn done(run: &Simulated) -> usize {
    let done = |entry: &&Entry| {
        matches!(entry, Entry::Settled(settled)
            if settled.subagent.is_some() && matches!(settled.outcome, Outcome::Done(_)))
    };
    run.entries.iter().filter(done).count()
}

/// A failure that may pass, at once.
pub fn overloaded() -> Plan {
    Plan::failed(failed(FailureClass::Wait, Code::PROVIDER_OVERLOADED))
}
