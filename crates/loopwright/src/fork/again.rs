//! Recorded reads, read again: the tools that only read cost nothing, so whether an answer still rests on what is on
//! disk can be known before anything is spent.

use crate::toolbox::{ToolCall, Toolbox};
use loopwright_engine::{Recorded, RecordedCall};
use loopwright_protocol::{CallKind, Outcome, Read, Tool};
use loopwright_types::{CallId, Digest, Effects};
use std::collections::HashMap;

/// Built-in tools that read the workspace and nothing else.
pub(super) const FREE: [&str; 4] = ["glob", "grep", "ls", "read_file"];

/// Calls whose answers would be taken over, and rest on reads that give something else today.
pub(super) fn changed_reads(past: &Recorded, tools: &Toolbox) -> Vec<CallId> {
    let known = tools.tools();
    let mut seen: HashMap<(String, String, bool), Digest> = HashMap::new();
    let mut differs = |read: &Read, by_program: bool| {
        let Some(name) = free(&known, &read.tool) else { return false };
        let key = (name.to_owned(), read.args.text().to_owned(), by_program);
        let now = || Read::digest(&call(tools, name, read, by_program));
        *seen.entry(key).or_insert_with(now) != read.gave
    };
    let wanted = past.calls().iter().filter(|call| is_seen(call));
    wanted
        .filter(|call| {
            let by_program = call.entry.kind == CallKind::Tool;
            call.reads.iter().any(|read| differs(read, by_program))
        })
        .map(|call| call.entry.call)
        .collect()
}

/// Whether its reads say anything: what may have written as well made its own reads old.
fn is_seen(call: &RecordedCall) -> bool {
    call.refused.is_none() && call.effects == Effects::None
}

/// The tool's own name, if it is one that only reads.
fn free<'a>(known: &'a [Tool], name: &str) -> Option<&'a str> {
    let tool = known.iter().find(|tool| tool.answers_to(name))?;
    FREE.contains(&tool.name.as_str()).then_some(tool.name.as_str())
}

fn call(tools: &Toolbox, name: &str, read: &Read, by_program: bool) -> Outcome {
    let args = read.args.read().unwrap_or_default();
    let own = [name.to_owned()];
    let grant = (!by_program).then_some(own.as_slice());
    tools.call(&ToolCall { name, args: &args, root: None, grant, key: "" }, &|| false, &|_| {})
}
