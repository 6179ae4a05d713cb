//! Tool arguments that are almost JSON. One repair is tried: what a model most often gets wrong is mended,
//! anything else goes back to it as an error.

use serde_json::Value;

/// Reads a tool call's arguments; empty text is no arguments. The flag says whether they had to be repaired.
///
/// # Errors
/// What is wrong, in words that the model can act on.
pub fn read_arguments(text: &str) -> Result<(Value, bool), String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok((Value::Object(serde_json::Map::new()), false));
    }
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok((value, false)),
        Err(error) => error,
    };
    match serde_json::from_str(&repaired(text)) {
        Ok(value) => Ok((value, true)),
        Err(_) => Err(format!("the arguments are not JSON: {error}")),
    }
}

/// The text without code fences and trailing commas, with control characters in strings escaped, and with
/// open strings, arrays and objects closed.
fn repaired(text: &str) -> String {
    let text = text.trim_start_matches("```json").trim_matches('`').trim();
    let mut out = String::with_capacity(text.len() + 8);
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                '\n' | '\r' | '\t' => {
                    out.push_str(match c {
                        '\n' => "\\n",
                        '\r' => "\\r",
                        _ => "\\t",
                    });
                    continue;
                }
                _ => {}
            }
            out.push(c);
            continue;
        }
        match c {
            '"' => in_string = true,
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => {
                drop_comma(&mut out);
                open.pop();
            }
            _ => {}
        }
        out.push(c);
    }
    if in_string {
        if escaped {
            out.pop();
        }
        out.push('"');
    }
    drop_comma(&mut out);
    out.extend(open.into_iter().rev());
    out
}

fn drop_comma(out: &mut String) {
    let kept = out.trim_end().trim_end_matches(',').len();
    if out[kept..].contains(',') {
        out.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_models_get_wrong_is_mended_once_and_the_rest_is_told() {
        let cases = [
            ("", Some(json!({})), false),
            (r#"{"a":1}"#, Some(json!({"a": 1})), false),
            (r#"{"a":[1,2,],}"#, Some(json!({"a": [1, 2]})), true),
            (r#"{"a":"open"#, Some(json!({"a": "open"})), true),
            (r#"{"a":{"b":[1"#, Some(json!({"a": {"b": [1]}})), true),
            ("{\"a\":\"two\nlines\"}", Some(json!({"a": "two\nlines"})), true),
            ("```json\n{\"a\":1}\n```", Some(json!({"a": 1})), true),
            (r#"{"a":"x\"#, Some(json!({"a": "x"})), true),
            (r#"{"a":,}"#, None, true),
            ("a = 1", None, true),
        ];
        for (text, expected, mended) in cases {
            match (read_arguments(text), expected) {
                (Ok((value, was)), Some(wanted)) => {
                    assert_eq!((value, was), (wanted, mended), "{text}")
                }
                (Err(error), None) => {
                    assert!(error.starts_with("the arguments are not JSON"), "{error}")
                }
                (read, wanted) => panic!("{text}: {read:?}, wanted {wanted:?}"),
            }
        }
    }
}
