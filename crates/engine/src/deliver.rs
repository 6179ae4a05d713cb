//! What a guest is given: its config and its completions. Pure functions of journalled data, so that a
//! replay gives exactly the same.

use crate::call::bits;
use crate::options::Options;
use loopwright_protocol::{
    Completion, CompletionStatus, Json, Outcome, SettleEntry, Subagent, Tool,
};
use loopwright_types::{Failure, Slot};

/// The config object of the bridge.
pub(crate) fn config(
    tools: &[Tool],
    subagents: &[Subagent],
    options: &Options,
    args: Option<&Json>,
) -> Json {
    let names: Vec<&str> = subagents.iter().map(|subagent| subagent.name.as_str()).collect();
    let tools: Vec<&str> =
        tools.iter().filter(|tool| tool.programs).map(|tool| tool.name.as_str()).collect();
    let [bytes, depth, keys] = options.value_limits;
    let mut config = serde_json::json!({
        "tools": tools,
        "subagents": names,
        "itemsMax": options.items_max,
        "limits": { "bytes": bytes, "depth": depth, "keys": keys },
    });
    if let Some(args) = args {
        config["args"] = args.read().unwrap_or_default();
    }
    Json::of(&config)
}

/// What a settled call hands to its guest.
pub(crate) fn completion(slot: Slot, call_bits: u32, settled: &SettleEntry) -> Completion {
    let tracked = call_bits & bits::TRACKED != 0;
    let (status, json) = match &settled.outcome {
        Outcome::Done(value) if !tracked => (CompletionStatus::Done, value.clone()),
        Outcome::Done(value) => {
            let text = format!(r#"{{"value":{},"receipt":{}}}"#, value.text(), receipt(settled));
            let json = Json::parse(text).expect("made of well-formed parts");
            (CompletionStatus::DoneTracked, json)
        }
        Outcome::Failed(failure) => (CompletionStatus::Failed, Json::of(&failed(settled, failure))),
    };
    Completion { slot, status, json }
}

/// The receipt of a call, as programs see it.
fn receipt(settled: &SettleEntry) -> serde_json::Value {
    let ms = settled.started.map_or(0, |started| settled.now.since(started).as_millis());
    let mut json = serde_json::json!({
        "call": settled.call,
        "attempts": settled.attempts,
        "usage": settled.usage,
        "ms": ms,
    });
    if let Some(subagent) = &settled.subagent {
        json["subagent"] = subagent.as_str().into();
    }
    if let Some(reused) = &settled.reused {
        json["reused"] = serde_json::json!({ "run": reused.run, "call": reused.call });
    }
    if let Some(report) = &settled.worktree {
        json["worktree"] = serde_json::to_value(report).unwrap_or_default();
    }
    if let Some(text) = &settled.salvage {
        json["salvage"] = serde_json::json!({ "text": text, "isAnswer": false });
    }
    json
}

/// A failure, as the prelude turns it into a `TaskError`.
fn failed(settled: &SettleEntry, failure: &Failure) -> serde_json::Value {
    let mut json = receipt(settled);
    json["receipt"] = json.clone();
    json["reason"] = failure.reason.as_str().into();
    json["code"] = failure.code.to_string().into();
    json["message"] = failure.message.as_str().into();
    json["retryable"] = failure.retryable.into();
    if let Some(hint) = &failure.hint {
        json["hint"] = hint.as_str().into();
    }
    json
}
