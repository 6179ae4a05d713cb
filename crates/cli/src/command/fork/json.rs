//! The plan as JSON: public, stable names.

use loopwright::types::{Effects, Usage};
use loopwright::view::escape_json;
use loopwright::{Cost, ForkPlan, PlannedCall, Standing};
use serde_json::{Value, json};

/// One line: the object of `--plan --json`, and the first event of a fork's stream.
pub fn plan(plan: &ForkPlan) -> String {
    let total = |standing| {
        let (usage, unpriced) = plan.cost(standing);
        json!({ "calls": plan.count(standing), "usage": usage_of(usage), "unpriced": unpriced })
    };
    let value = json!({
        "event": "fork.plan",
        "from": plan.from,
        "runId": plan.run,
        "hits": total(Standing::Hit),
        "perhaps": total(Standing::Perhaps),
        "misses": total(Standing::Miss),
        "repeatsEffects": plan.repeats_effects(),
        "open": plan.is_open,
        "gone": plan.gone,
        "unseenReads": plan.unseen,
        "calls": plan.calls.iter().map(call).collect::<Vec<_>>(),
    });
    escape_json(&value.to_string()).into_owned()
}

fn call(call: &PlannedCall) -> Value {
    let effects = (call.effects != Effects::None).then_some(call.effects);
    json!({
        "task": call.call,
        "kind": call.kind.as_str(),
        "label": call.label,
        "subagent": call.subagent,
        "line": call.position.map(|at| at.line),
        "column": call.position.map(|at| at.column),
        "verdict": word(call.standing),
        "why": call.why.iter().map(|why| why.as_str()).collect::<Vec<_>>(),
        "like": call.like,
        "effects": effects,
        "expected": match call.cost {
            Cost::Free => Some(usage_of(Usage::default())),
            Cost::Expected(usage) => Some(usage_of(usage)),
            Cost::Unknown => None,
        },
    })
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Hit => "hit",
        Standing::Perhaps => "perhaps",
        Standing::Miss => "miss",
    }
}

fn usage_of(usage: Usage) -> Value {
    json!({
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "usdMicros": usage.usd_micros,
    })
}
