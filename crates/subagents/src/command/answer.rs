//! The last line of a command's output, read as its answer. It is data: checked, bounded, never interpreted.

use loopwright_processes::shown;
use loopwright_protocol::{Found, Json};
use loopwright_types::{Code, Failure, Reason, Usage};
use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// Characters of a command's own words in a message.
const SHOWN_MAX: usize = 1000;

/// What the last line says.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    /// The result, or what went wrong.
    pub(crate) result: Result<Json, Stated>,
    /// What was used.
    pub(crate) usage: Usage,
}

/// `{"error": …}`: the command says itself that it failed.
#[derive(Debug, PartialEq)]
pub(crate) struct Stated {
    pub(crate) message: String,
    pub(crate) retryable: Option<bool>,
}

/// Reads the last line.
///
/// # Errors
/// [`Code::COMMAND_ANSWER`] when it is not an answer, [`Code::ANSWER_TOO_LARGE`] when the result is over the limit.
pub(crate) fn read(line: &[u8], bytes_max: usize) -> Result<Answer, Failure> {
    let text = std::str::from_utf8(line)
        .map_err(|_| unusable("the last line of its output is not UTF-8 text", ""))?;
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
    if envelope.repeated {
        return Err(unusable("its answer names a member twice", ""));
    }
    let usage = match &envelope.usage {
        Some(usage) => read_usage(usage).map_err(|error| unusable(&error, ""))?,
        None => Usage::default(),
    };
    if let Some(error) = envelope.error.filter(|error| error.get() != "null") {
        let message = shown(&words(&error), SHOWN_MAX);
        let retryable = envelope.retryable.and_then(|it| serde_json::from_str(it.get()).ok());
        return Ok(Answer { result: Err(Stated { message, retryable }), usage });
    }
    let Some(result) = envelope.result else {
        let hint = "print `{\"result\": …}` as the last line of standard output";
        return Err(unusable("its answer has no `result`", hint));
    };
    if result.get().len() > bytes_max {
        return Err(too_large(result.get().len(), bytes_max));
    }
    check(&result)?;
    let json = Json::parse(result.get().to_owned()).map_err(|error| not_json(text, &error))?;
    Ok(Answer { result: Ok(json), usage })
}

/// Reads the last line of a lookup: what became of an attempt, as a [`Found`].
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_lookup(line: &[u8], bytes_max: usize) -> Result<Answer, Failure> {
    let text = std::str::from_utf8(line)
        .map_err(|_| unusable("the last line of its output is not UTF-8 text", ""))?;
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| not_json(text, &error))?;
    if envelope.repeated {
        return Err(unusable("its answer names a member twice", ""));
    }
    let status = match &envelope.status {
        // The command's own last line, kept and printed again, says by itself that it was done.
        None => "done".to_owned(),
        Some(status) => serde_json::from_str(status.get()).unwrap_or_default(),
    };
    let found = match status.as_str() {
        "done" => {
            let Answer { result, usage } = read(line, bytes_max)?;
            return Ok(Answer { result: result.map(|it| Json::of(&Found::Done(it))), usage });
        }
        "not_done" => Found::NotDone,
        "unknown" => {
            let said = envelope.message.map(|message| words(&message)).unwrap_or_default();
            Found::Unknown(shown(if said.is_empty() { "it cannot tell" } else { &said }, SHOWN_MAX))
        }
        other => {
            let cause = format!("its answer has the `status` `{}`", shown(other, 100));
            return Err(unusable(&cause, "a lookup says `done`, `not_done` or `unknown`"));
        }
    };
    Ok(Answer { result: Ok(Json::of(&found)), usage: Usage::default() })
}

/// The failure for output that holds no answer.
pub(crate) fn unusable(cause: &str, hint: &str) -> Failure {
    let failure = Failure::new(Reason::Provider, Code::COMMAND_ANSWER, cause).retryable();
    if hint.is_empty() { failure } else { failure.hint(hint) }
}

/// The failure for an answer over the limit.
pub(crate) fn too_large(bytes: usize, bytes_max: usize) -> Failure {
    let cause = format!("the answer is {bytes} bytes or more (limit {bytes_max})");
    Failure::new(Reason::Provider, Code::ANSWER_TOO_LARGE, cause).hint(
        "write large results to a file and answer with its path, or raise `task.answer_bytes_max`",
    )
}

fn not_json(text: &str, error: &serde_json::Error) -> Failure {
    let cause = if text.trim_start().starts_with('{') {
        let what = error.to_string();
        let what = what.split(" at line").next().unwrap_or_default();
        format!("its answer is not JSON: {}, in column {}", shown(what, 200), error.column())
    } else {
        format!("the last line of its output is not an answer: `{}`", shown(text, 200))
    };
    let hint = match text.contains("NaN") || text.contains("Infinity") {
        true => "JSON has no `NaN` or `Infinity`: use `null` or text",
        false => {
            "print `{\"result\": …}` as the last line of standard output, and nothing after it"
        }
    };
    unusable(&cause, hint)
}

/// Text of an error: a string itself, an object's `message`, or the JSON as it is.
fn words(error: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Object {
        message: String,
    }
    let text = serde_json::from_str::<String>(error.get());
    let object = || serde_json::from_str::<Object>(error.get()).map(|object| object.message);
    text.or_else(|_| object()).unwrap_or_else(|_| error.get().to_owned())
}

/// `{"input_tokens"?, "output_tokens"?, "usd"?}`, in either spelling; other members are ignored.
fn read_usage(raw: &RawValue) -> Result<Usage, String> {
    let wrong = |_| "the `usage` of its answer is not an object".to_owned();
    let usage: Option<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(raw.get()).map_err(wrong)?;
    let usage = usage.unwrap_or_default();
    let figure = |names: [&str; 2], scale: f64| {
        let found = names.iter().find_map(|name| usage.get_key_value(*name));
        let Some((name, value)) = found.filter(|(_, value)| !value.is_null()) else { return Ok(0) };
        let number =
            value.as_f64().map(|number| number * scale).filter(|n| (0.0..=1e15).contains(n));
        let refused = || format!("`usage.{name}` is `{}`", shown(&value.to_string(), 100));
        number.map(|number| number.round() as u64).ok_or_else(refused)
    };
    let usd = figure(["usd", "usd"], 1e6)?;
    Ok(Usage {
        input_tokens: figure(["input_tokens", "inputTokens"], 1.0)?,
        output_tokens: figure(["output_tokens", "outputTokens"], 1.0)?,
        cache_read_tokens: figure(["cache_read_tokens", "cacheReadTokens"], 1.0)?,
        cache_write_tokens: figure(["cache_write_tokens", "cacheWriteTokens"], 1.0)?,
        usd_micros: if usd > 0 { usd } else { figure(["usd_micros", "usdMicros"], 1.0)? },
        estimated_tokens: figure(["estimated_tokens", "estimatedTokens"], 1.0)?,
    })
}

/// The members of the last line, unread; others are ignored.
#[derive(Default)]
struct Envelope {
    result: Option<Box<RawValue>>,
    error: Option<Box<RawValue>>,
    retryable: Option<Box<RawValue>>,
    usage: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
    message: Option<Box<RawValue>>,
    repeated: bool,
}

impl<'de> Deserialize<'de> for Envelope {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Envelope;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(name) = map.next_key::<std::borrow::Cow<'_, str>>()? {
                    let member = match &*name {
                        "result" => &mut envelope.result,
                        "error" => &mut envelope.error,
                        "retryable" => &mut envelope.retryable,
                        "usage" => &mut envelope.usage,
                        "status" => &mut envelope.status,
                        "message" => &mut envelope.message,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    envelope.repeated |= member.replace(map.next_value()?).is_some();
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Whether the line may be an answer: an object with `result` or `error`.
pub(crate) fn may_be_answer(line: &[u8]) -> bool {
    let envelope = serde_json::from_slice::<Envelope>(line);
    envelope.is_ok_and(|it| it.result.is_some() || it.error.is_some())
}

/// Walks a result once: numbers and text must be readable, and no object may name a member twice.
fn check(result: &RawValue) -> Result<(), Failure> {
    let mut reader = serde_json::Deserializer::from_str(result.get());
    Walk.deserialize(&mut reader).map_err(|error| {
        let what = error.to_string();
        let what = what.split(" at line").next().unwrap_or_default();
        unusable(&format!("the `result` of its answer is refused: {}", shown(what, 200)), "")
    })
}

struct Walk;

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<std::borrow::Cow<'_, str>>()? {
            members.next_value_seed(Self)?;
            if seen.contains(&name) {
                return Err(de::Error::custom(format!("`{name}` is given twice")));
            }
            seen.insert(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_result_with_usage_in_either_spelling() {
        let usage = |input_tokens, output_tokens, usd_micros| Usage {
            input_tokens,
            output_tokens,
            usd_micros,
            ..Usage::default()
        };
        let cases = [
            (r#"{"result": {"a": [1, null]}}"#, r#"{"a": [1, null]}"#, usage(0, 0, 0)),
            (r#"{"result":null,"error":null,"x":1}"#, "null", usage(0, 0, 0)),
            (
                r#"{"usage":{"input_tokens":3,"output_tokens":4.0},"result":"t"}"#,
                "\"t\"",
                usage(3, 4, 0),
            ),
            (
                r#"{"result":1,"usage":{"inputTokens":3,"outputTokens":4,"usd":0.25,"x":[]}}"#,
                "1",
                usage(3, 4, 250_000),
            ),
            (r#"{"result":1,"usage":null}"#, "1", usage(0, 0, 0)),
            (r#"{"result":{"__proto__":{"a":1}}}"#, r#"{"__proto__":{"a":1}}"#, usage(0, 0, 0)),
        ];
        for (line, result, usage) in cases {
            let answer = read(line.as_bytes(), 1000).unwrap();
            assert_eq!(answer.result.unwrap().text(), result, "{line}");
            assert_eq!(answer.usage, usage, "{line}");
        }
    }

    #[test]
    fn a_stated_error_is_text_whatever_its_form() {
        let cases = [
            (r#"{"error":"no \u001b[1m disk"}"#, "no \\u{1b}[1m disk", None),
            (r#"{"error":{"message":"m","x":1},"retryable":true,"result":1}"#, "m", Some(true)),
            (r#"{"error":[1],"retryable":"yes"}"#, "[1]", None),
            (r#"{"error":false}"#, "false", None),
        ];
        for (line, message, retryable) in cases {
            let stated = read(line.as_bytes(), 1000).unwrap().result.unwrap_err();
            assert_eq!((stated.message.as_str(), stated.retryable), (message, retryable), "{line}");
        }
    }

    #[test]
    fn a_lookup_says_what_became_of_an_attempt_or_that_it_cannot_tell() {
        let done = |text: &str| Ok(Found::Done(Json::parse(text.to_owned()).unwrap()));
        let unknown = |text: &str| Ok(Found::Unknown(text.to_owned()));
        let cases = [
            (r#"{"status": "done", "result": {"id": 7}}"#, done(r#"{"id": 7}"#)),
            // The command's own last line, kept and printed again.
            (r#"{"result": null, "usage": {"output_tokens": 3}}"#, done("null")),
            (r#"{"status": "not_done"}"#, Ok(Found::NotDone)),
            (
                r#"{"status": "unknown", "message": "no \u001b[1m log"}"#,
                unknown("no \\u{1b}[1m log"),
            ),
            (r#"{"status": "unknown"}"#, unknown("it cannot tell")),
            // Whatever is not one of the three words is no answer: least of all that nothing was done.
            (r#"{"status": "done"}"#, Err("has no `result`")),
            (r#"{"status": "notDone"}"#, Err("has the `status` `notDone`")),
            (r#"{"status": null}"#, Err("has the `status` ``")),
            (r#"{"status": "done", "status": "not_done"}"#, Err("names a member twice")),
            (r#"{}"#, Err("has no `result`")),
            ("not_done", Err("is not an answer: `not_done`")),
        ];
        for (line, expected) in cases {
            match (read_lookup(line.as_bytes(), 1000), expected) {
                (Ok(answer), Ok(found)) => {
                    assert_eq!(answer.result.unwrap().read::<Found>().unwrap(), found, "{line}");
                }
                (Err(failure), Err(part)) => {
                    assert!(failure.message.contains(part), "{line}: {}", failure.message);
                }
                (read, _) => panic!("{line}: {read:?}"),
            }
        }
        let stated = read_lookup(br#"{"error": "the log is locked"}"#, 1000).unwrap().result;
        assert_eq!(stated.unwrap_err().message, "the log is locked");
    }

    #[test]
    fn what_is_no_answer_is_refused_in_words() {
        let deep = format!("{{\"result\":{}1{}}}", "[".repeat(200), "]".repeat(200));
        let long = format!("{{\"result\":\"{}\"}}", "x".repeat(1000));
        let cases: [(&[u8], &str); 16] = [
            (b"done", "is not an answer: `done`"),
            (b"\x1b[2J", "is not an answer: `\\u{1b}[2J`"),
            (b"\xff\xfe", "not UTF-8"),
            (b"[1]", "is not an answer: `[1]`"),
            (b"{\"result\": NaN}", "is not JSON: expected value, in column"),
            (b"{\"result\": 1", "is not JSON: EOF"),
            (b"{\"result\": 1} {}", "is not JSON: trailing characters"),
            (b"{\"results\": 1}", "no `result`"),
            (b"{}", "no `result`"),
            (b"{\"result\":1,\"result\":2}", "names a member twice"),
            (b"{\"result\":{\"a\":1,\"\\u0061\":2}}", "`a` is given twice"),
            (b"{\"result\":1e999}", "number out of range"),
            (b"{\"result\":\"\\ud800\"}", "hex escape"),
            (b"{\"result\":1,\"usage\":[]}", "`usage` of its answer"),
            (b"{\"result\":1,\"usage\":{\"output_tokens\":-1}}", "`usage.output_tokens` is `-1`"),
            (deep.as_bytes(), "recursion limit"),
        ];
        for (line, part) in cases {
            let failure = read(line, 1000).unwrap_err();
            assert_eq!(failure.code, Code::COMMAND_ANSWER);
            assert!(failure.message.contains(part), "{}", failure.message);
        }
        assert!(read(b"{\"result\": NaN}", 1000).unwrap_err().hint.unwrap().contains("no `NaN`"));
        let large = read(long.as_bytes(), 1000).unwrap_err();
        assert_eq!(large.code, Code::ANSWER_TOO_LARGE);
        assert!(large.message.contains("1002 bytes or more (limit 1000)"), "{}", large.message);
    }
}
