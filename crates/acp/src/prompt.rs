//! What the agent is asked: the definition's text, the task, and the rules of the house.

use crate::agent::Agent;
use loopwright_protocol::TaskWork;

/// What an agent has to know that was made to talk with a person.
const RULES: &str = "You are a subagent: a program asked you, no person reads along and nobody answers \
questions. Decide for yourself and finish the task in this one turn. Requests for permission are answered by a fixed \
policy; where one is refused, find another way or say what could not be done. Your last message, after your last \
tool call, is your result, and it is data for the program:";

/// The prompt of one attempt.
pub(crate) fn prompt(agent: &Agent, work: &TaskWork) -> String {
    let mut parts = Vec::new();
    if !agent.system_prompt.is_empty() {
        parts.push(agent.system_prompt.clone());
    }
    parts.push(format!("# Task\n\n{}", work.prompt));
    parts.push(match &work.schema {
        Some(schema) => format!(
            "# Result\n\n{RULES} exactly one JSON value that matches this JSON Schema, with no text before or after \
             it.\n\n```json\n{}\n```",
            schema.text()
        ),
        None => format!("# Result\n\n{RULES} the answer alone, with no greeting and no summary of what you did."),
    });
    if let Some(feedback) = &work.feedback {
        parts.push(format!(
            "# Correction\n\nThis task was given to you before. Your result was:\n\n```json\n{}\n```\n\nIt does not \
             match the schema:\n\n{}\n\nGive the result again, corrected.",
            feedback.answer.text(),
            feedback.errors
        ));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopwright_protocol::{Feedback, Json};

    fn work() -> TaskWork {
        TaskWork {
            subagent: "a".to_owned(),
            prompt: "Count the files.".to_owned(),
            schema: None,
            label: None,
            model: None,
            tools: None,
            max_turns: None,
            effort: None,
            root: None,
            feedback: None,
        }
    }

    #[test]
    fn the_prompt_holds_the_definition_the_task_the_schema_and_what_was_wrong() {
        let agent = Agent { system_prompt: "You count.".to_owned(), ..Agent::default() };
        let plain = prompt(&agent, &work());
        assert!(
            plain.starts_with("You count.\n\n# Task\n\nCount the files.\n\n# Result"),
            "{plain}"
        );
        assert!(plain.contains("nobody answers questions") && plain.contains("the answer alone"));
        let schema = Some(Json::parse(r#"{"type":"integer"}"#.to_owned()).unwrap());
        let feedback = Some(Feedback {
            answer: Json::of("three"),
            errors: "the value is a string".to_owned(),
        });
        let again = prompt(&Agent::default(), &TaskWork { schema, feedback, ..work() });
        for part in
            [r#"{"type":"integer"}"#, "\"three\"", "the value is a string", "data for the program"]
        {
            assert!(again.contains(part), "{again}");
        }
        assert!(again.starts_with("# Task"), "{again}");
    }
}
