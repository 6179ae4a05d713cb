//! The final message becomes the task's value. It is data: read, never interpreted.

use loopwright_protocol::Json;

/// Places in a message at which a value is looked for.
const PLACES_MAX: usize = 200;

/// The message as a value: its JSON where JSON was asked for and is there, else its text. Text that should have been
/// JSON goes on as text too: it does not match the schema, and the engine asks again with the reasons.
pub(crate) fn value(message: &str, wants_json: bool) -> Json {
    let message = message.trim();
    let found = if wants_json { json(message) } else { None };
    found.unwrap_or_else(|| Json::of(message))
}

/// The message itself, the last fenced block that is JSON, or the last object or list that begins a line.
fn json(message: &str) -> Option<Json> {
    read(message).or_else(|| fenced(message)).or_else(|| bare(message))
}

/// One value and nothing else. It must also be readable as a tree: no number out of range, no bottomless nesting.
fn read(text: &str) -> Option<Json> {
    serde_json::from_str::<serde_json::Value>(text).ok()?;
    Json::parse(text.trim().to_owned()).ok()
}

fn fenced(message: &str) -> Option<Json> {
    let (mut begun, mut found) = (None, None);
    let mut at = 0;
    for line in message.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        match begun {
            None if is_fence => begun = Some(at + line.len()),
            Some(start) if is_fence => {
                found = read(&message[start..at]).or(found);
                begun = None;
            }
            _ => {}
        }
        at += line.len();
    }
    found
}

fn bare(message: &str) -> Option<Json> {
    let (mut at, mut end, mut found) = (0, 0, None);
    let mut places = 0;
    for line in message.split_inclusive('\n') {
        let start = at + (line.len() - line.trim_start().len());
        at += line.len();
        let begins = message[start..].starts_with(['{', '[']);
        // Lines of a value that was read already are inside it.
        if !begins || start < end || places == PLACES_MAX {
            continue;
        }
        places += 1;
        // Read as a tree, which bounds the nesting: else unclosed brackets would each be followed to the end.
        let rest = serde_json::Deserializer::from_str(&message[start..]);
        let mut values = rest.into_iter::<serde_json::Value>();
        if let Some(Ok(_)) = values.next() {
            end = start + values.byte_offset();
            found = read(&message[start..end]).or(found);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_json_of_a_message_is_the_value() {
        let cases = [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            ("  42 ", "42"),
            ("\"x\"", "\"x\""),
            ("```json\n{\"a\": [1,\n2]}\n```", "{\"a\": [1,\n2]}"),
            ("Here:\n```\n1\n```\nno, this:\n```json\n[2]\n```\nDone.", "[2]"),
            ("```json\n{\"a\":1}\n```\n```sh\nls\n```", r#"{"a":1}"#),
            ("I looked {around}.\n{\"a\":\n  {\"b\":1}}\nThat is it.", "{\"a\":\n  {\"b\":1}}"),
            ("[1] is a note\n{\"a\":2}", r#"{"a":2}"#),
        ];
        for (message, expected) in cases {
            assert_eq!(value(message, true).text(), expected, "{message}");
        }
    }

    #[test]
    fn what_is_not_json_stays_text() {
        let deep = "[".repeat(5000);
        let unclosed = "[1,\n".repeat(50_000);
        for message in
            ["seven", "", "{broken", "```json\nnope\n```", "1e999", "NaN", &deep, &unclosed]
        {
            assert_eq!(value(message, true), Json::of(message.trim()), "{message:.20}");
        }
        assert_eq!(value(" {\"a\":1}\n", false), Json::of("{\"a\":1}"));
    }
}
