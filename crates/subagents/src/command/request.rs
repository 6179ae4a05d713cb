//! What a command reads on standard input: one JSON object.

use crate::definition::Definition;
use loopwright_protocol::{Dispatch, Json, TaskWork};
use serde::Serialize;

/// The request; members that have no value are `null`, `feedback` is absent when there is none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    description: &'a str,
    prompt: &'a str,
    response_schema: Option<&'a Json>,
    task_id: String,
    run_id: &'a str,
    attempt: u32,
    idempotency_key: String,
    subagent_type: &'a str,
    system_prompt: &'a str,
    label: Option<&'a str>,
    model: Option<&'a str>,
    effort: Option<&'a str>,
    tools: Option<&'a [String]>,
    max_turns: Option<u32>,
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feedback: Option<Feedback<'a>>,
}

#[derive(Serialize)]
struct Feedback<'a> {
    answer: &'a Json,
    errors: &'a str,
}

/// The request's bytes, with a line end.
pub(crate) fn request(
    dispatch: &Dispatch,
    work: &TaskWork,
    definition: &Definition,
    timeout_ms: Option<u64>,
) -> Vec<u8> {
    let request = Request {
        description: &work.prompt,
        prompt: &work.prompt,
        response_schema: work.schema.as_ref(),
        task_id: dispatch.call.to_string(),
        run_id: dispatch.run.as_str(),
        attempt: dispatch.attempt.0,
        idempotency_key: dispatch.key(),
        subagent_type: &definition.name,
        system_prompt: &definition.system_prompt,
        label: work.label.as_deref(),
        model: work.model.as_deref().or(definition.model.as_deref()),
        effort: work.effort.as_deref(),
        tools: work.tools.as_deref().or(definition.tools.as_deref()),
        max_turns: work.max_turns.or(definition.max_turns),
        timeout_ms,
        feedback: work
            .feedback
            .as_ref()
            .map(|it| Feedback { answer: &it.answer, errors: &it.errors }),
    };
    let mut bytes = serde_json::to_vec(&request).expect("plain data always serialises");
    bytes.push(b'\n');
    bytes
}
