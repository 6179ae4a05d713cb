//! What a rehearsal plays in place of the world: a program is run to see whether it goes through, and nothing outside it
//! may change. What only reads files of the workspace is real; every other tool, and worktrees, are played.

use loopwright_protocol::{Json, Outcome, Tool, Worktree, WorktreeReport, WorktreeWork};
use loopwright_subagents::Draw;
use loopwright_types::{Digest, Effects};
use serde_json::Value;
use std::path::Path;

/// Tools that are real: they read the workspace and nothing else.
const REAL: [&str; 4] = ["glob", "grep", "ls", "read_file"];

/// Whether a call of this tool is played.
pub(crate) fn plays(name: &str) -> bool {
    !REAL.contains(&name)
}

/// The tool as a rehearsal has it: an invented result changes nothing.
pub(crate) fn played(tool: Tool) -> Tool {
    if plays(&tool.name) { Tool { effects: Effects::None, ..tool } } else { tool }
}

/// An invented result: one that fits what the tool says of its results, the same for the same call.
pub(crate) fn result(tool: &Tool, args: &Value) -> Value {
    let text = || Value::String(format!("what `{}` gives, played in a rehearsal", tool.name));
    let Some(schema) = &tool.output else { return text() };
    let digest = Digest::of_parts([tool.name.as_bytes(), args.to_string().as_bytes()]);
    let seed = digest.0[..8].try_into().expect("eight bytes of 32");
    let mut draw = Draw::new(u64::from_le_bytes(seed));
    let schema = schema.read::<Value>().unwrap_or_default();
    loopwright_schema::generate(&schema, &mut || draw.draw()).unwrap_or_else(|_| text())
}

/// Worktrees in which nothing is done need not be there.
pub(crate) fn worktree(work: &WorktreeWork, workspace: &Path) -> Outcome {
    let path = workspace.display().to_string();
    let made = || Worktree { path, branch: "rehearsal".to_owned(), base: "0".repeat(40) };
    let same = WorktreeReport { changed: false, branch: None, path: None, diffstat: String::new() };
    Outcome::Done(match work {
        WorktreeWork::Create => Json::of(&made()),
        WorktreeWork::Finish(_) => Json::of(&same),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_played_result_fits_what_the_tool_promises_and_is_the_same_each_time() {
        let schema =
            json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
        let tool = Tool { output: Some(Json::of(&schema)), ..Tool::reading("count") };
        let first = result(&tool, &json!({"a": 1}));
        assert!(first["n"].is_i64() || first["n"].is_u64(), "{first}");
        assert_eq!(result(&tool, &json!({"a": 1})), first);
        let silent = Tool { output: None, ..Tool::reading("count") };
        assert_eq!(result(&silent, &json!({})), "what `count` gives, played in a rehearsal");
    }
}
