//! What a subagent is told of its situation, beside what its definition says.

use loopwright_protocol::Json;

/// The system prompt of a subagent: its definition's, then that nobody answers questions, that its final
/// message is data for a program, and what shape is wanted. The same for all tasks of one definition and
/// schema, so that siblings share it as a cached prefix.
pub fn system_prompt(definition: &str, schema: Option<&Json>, has_tools: bool) -> String {
    let mut text = definition.trim_end().to_owned();
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(
        "You were started by a program, not by a person. Nobody reads along and nobody answers questions: \
         decide what is unclear yourself and go on. Your final message is handed to the program as data; \
         whatever you write before it is not seen by anyone.",
    );
    if has_tools {
        text.push_str(
            " When a tool fails, its error is returned to you as text: read it and try something else. \
             Call several tools in one turn where they do not depend on each other.",
        );
    }
    match schema {
        Some(schema) => {
            text.push_str(
                "\n\nYour final message must be one JSON value and nothing else: no introduction, no code \
                 fence. It must match this JSON Schema:\n",
            );
            text.push_str(schema.text());
        }
        None => text.push_str(" Let it hold the result itself, without introduction or farewell."),
    }
    text
}

/// What goes back to the model when its answer does not match.
pub(crate) fn correction(errors: &str) -> String {
    format!(
        "Your answer cannot be used:\n{errors}\n\nAnswer again with the whole corrected JSON value and nothing else."
    )
}

/// What a model is told when the turn after this one would be over its limit.
pub(crate) const LAST_TURN: &str = "This is your last turn and no more tools can be called: give your final answer now, \
     from what you have. Say what is missing, if something is.";
