//! What a subagent is told when its answer does not fit.

use loopwright_schema::{Limits, compile, describe};
use serde_json::{Value, json};

fn check(schema: &Value, answer: &Value, expected: &str) {
    let validator = compile(schema, &Limits::default()).unwrap();
    let violations = validator.check(answer).unwrap_err();
    assert_eq!(describe(&violations), expected, "{schema} against {answer}");
    assert!(!validator.is_valid(answer));
}

#[test]
fn each_error_names_its_place_and_what_was_expected() {
    let finding = json!({"type": "object", "required": ["line", "severity"], "additionalProperties": false, "properties": {
        "line": {"type": "integer", "minimum": 1}, "severity": {"enum": ["low", "high"]}, "odd key": {"type": "null"}}});
    let schema = json!({"type": "object", "required": ["items"], "properties": {"items": {"type": "array", "items": finding}}});
    check(&schema, &json!({}), "\"items\" is a required property");
    check(&schema, &json!("text"), "`\"text\"` is not of type \"object\"");
    check(
        &schema,
        &json!({"items": [{"line": 0, "severity": "low"}, {"severity": "mid", "odd key": 1, "note": ""}]}),
        "items[0].line: `0` is less than the minimum of 1\n\
         items[1]: \"line\" is a required property\n\
         items[1].severity: `\"mid\"` is not one of \"low\" or \"high\"\n\
         items[1][\"odd key\"]: `1` is not of type \"null\"\n\
         items[1]: Additional properties are not allowed ('note' was unexpected)",
    );
}

#[test]
fn a_failed_choice_names_the_branch_that_comes_closest() {
    let schema = json!({"anyOf": [
        {"type": "object", "required": ["kind", "text"], "properties": {"kind": {"const": "note"}, "text": {"type": "string"}}},
        {"type": "string"}
    ]});
    check(
        &schema,
        &json!({"kind": "note", "text": 5}),
        "`{\"kind\":\"note\",\"text\":5}` fits none of the 2 forms in `anyOf`; closest is form 1: text: `5` is not of type \"string\"",
    );
}

#[test]
fn formats_are_checked_and_drafts_are_told_apart() {
    let date = json!({"type": "string", "format": "date"});
    check(&date, &json!("soon"), "`\"soon\"` is not a \"date\"");
    let tuple = json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}], "additionalItems": false});
    check(
        &tuple,
        &json!(["a", 1]),
        "has more than the 1 items that are allowed (`additionalItems`)",
    );
    let prefix = json!({"prefixItems": [{"type": "string"}], "items": false});
    check(&prefix, &json!(["a", 1]), "[1]: is not allowed here");
}

#[test]
fn equal_schemas_share_a_digest_and_different_ones_do_not() {
    let digest = |text: &str| {
        let schema: Value = serde_json::from_str(text).unwrap();
        compile(&schema, &Limits::default()).unwrap().digest()
    };
    assert_eq!(
        digest(r#"{"type":"string","minLength":1}"#),
        digest(r#"{"minLength":1.0,"type":"string"}"#)
    );
    assert_ne!(digest(r#"{"type":"string"}"#), digest(r#"{"type":"number"}"#));
}
