//! A final message becomes a value. Where a schema is wanted the message should be JSON alone; what models
//! put around it is looked through, and nothing is guessed beyond that.

use loopwright_protocol::Json;

/// Reads the JSON value of a final message: the whole text, or the last fenced block that is JSON, or the
/// last object or array that stands on its own in the text.
///
/// # Errors
/// What is wrong, in words that the model can act on.
pub fn read_answer(text: &str) -> Result<Json, String> {
    let whole = text.trim();
    let error = match Json::parse(whole.to_owned()) {
        Ok(json) => return Ok(json),
        Err(error) => error,
    };
    if whole.is_empty() {
        return Err("the final message is empty".to_owned());
    }
    fenced(whole)
        .or_else(|| embedded(whole))
        .ok_or_else(|| format!("the final message is not JSON: {error}"))
}

/// The last ``` block that is JSON.
fn fenced(text: &str) -> Option<Json> {
    let mut found = None;
    let mut parts = text.split("```").skip(1);
    while let Some(block) = parts.next() {
        let body = match block.split_once('\n') {
            Some((tag, body)) if tag.trim().chars().all(char::is_alphanumeric) => body,
            _ => block,
        };
        if let Ok(json) = Json::parse(body.trim().to_owned()) {
            found = Some(json);
        }
        parts.next(); // the text between two blocks
    }
    found
}

/// The last object or array that ends where the text ends or before prose.
fn embedded(text: &str) -> Option<Json> {
    let mut found = None;
    let mut from = 0;
    while let Some(at) = text[from..].find(['{', '[']).map(|at| from + at) {
        let mut values = serde_json::Deserializer::from_str(&text[at..])
            .into_iter::<&serde_json::value::RawValue>();
        match values.next() {
            Some(Ok(raw)) => {
                found = Json::parse(raw.get().to_owned()).ok();
                from = at + values.byte_offset().max(1);
            }
            _ => from = at + 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_where_models_put_it() {
        let cases = [
            (r#" {"a":1} "#, Some(r#"{"a":1}"#)),
            ("4", Some("4")),
            ("Here you are:\n```json\n{\"a\": 1}\n```\nDone.", Some("{\"a\": 1}")),
            ("```\n[1]\n```\nor rather\n```json\n[2]\n```", Some("[2]")),
            ("first {\"a\":1}, then {\"b\":[2]}.", Some("{\"b\":[2]}")),
            ("a set {x} of things [1, 2", None),
            ("no JSON at all", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = read_answer(text);
            assert_eq!(read.as_ref().ok().map(Json::text), expected, "{text}: {read:?}");
        }
    }

    #[test]
    fn a_long_hostile_message_is_read_in_passing() {
        let text = "{".repeat(20_000);
        assert!(read_answer(&text).is_err());
    }
}
