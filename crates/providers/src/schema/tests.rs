//! What becomes of schemas, and of the answers to them.

use super::*;

fn lowered(schema: &Value, dialect: Dialect) -> Value {
    lower(schema, dialect).map_or(Value::Null, |it| it.schema)
}

#[test]
fn bounds_become_words_and_objects_are_closed() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "score": { "type": "integer", "minimum": 1, "description": "how good" },
            "tags": { "type": "array", "items": { "type": "string", "minLength": 2 }, "minItems": 3 },
            "kind": { "const": "bug" },
            "when": { "type": ["string", "null"], "format": "date" }
        },
        "required": ["score"]
    });
    let score = json!({ "type": "integer", "description": "how good\n\n{minimum: 1}" });
    let tags = json!({
        "type": "array",
        "items": { "type": "string", "description": "{minLength: 2}" },
        "description": "{minItems: 3}"
    });
    let kind = json!({ "enum": ["bug"], "type": "string" });
    let when = json!({
        "anyOf": [{ "type": "string", "format": "date" }, { "type": "null" }],
        "description": "{format: \"date\"}"
    });
    let anthropic = json!({
        "type": "object",
        "properties": { "score": score, "tags": tags, "kind": kind, "when": when },
        "required": ["score"],
        "additionalProperties": false
    });
    assert_eq!(lowered(&schema, Dialect::Anthropic), anthropic);
    let strict = json!({
        "type": "object",
        "properties": {
            "score": score,
            "tags": { "anyOf": [tags, { "type": "null" }] },
            "kind": { "anyOf": [kind, { "type": "null" }] },
            "when": when
        },
        "required": ["kind", "score", "tags", "when"],
        "additionalProperties": false
    });
    let mut found = lowered(&schema, Dialect::Strict);
    let required = found["required"].as_array_mut().unwrap();
    required.sort_by_key(Value::to_string);
    assert_eq!(found, strict);
}

#[test]
fn what_a_dialect_cannot_say_is_left_to_a_tool() {
    let inner = |schema: Value| json!({ "type": "object", "properties": { "a": schema } });
    let cases = [
        inner(json!({ "type": "object", "additionalProperties": { "type": "string" } })),
        inner(json!({ "type": "object" })),
        inner(json!({})),
        inner(json!(true)),
        inner(json!({ "enum": [{ "b": 1 }] })),
        inner(json!({ "type": "string", "not": { "const": "b" } })),
        inner(json!({ "type": "array" })),
        inner(json!({ "allOf": [{ "type": "string" }, { "type": "string" }] })),
        json!({ "anyOf": [{ "$ref": "#" }, { "type": "null" }] }),
    ];
    for schema in &cases {
        assert_eq!(lower(schema, Dialect::Anthropic), None, "{schema}");
        assert_eq!(lower(schema, Dialect::Strict), None, "{schema}");
    }
    assert!(lower(&cases[0], Dialect::Gemini).is_some());
    assert!(lower(&cases[5], Dialect::Gemini).is_none());
    assert_eq!(as_tool(&cases[0]).unwrap().schema, cases[0]);
    assert_eq!(as_tool(&cases[8]), None, "a reference to the root has no place in a wrapper");
}

#[test]
fn a_root_that_is_no_object_is_wrapped() {
    let schema = json!({ "type": "array", "items": { "$ref": "#/$defs/p" }, "$defs": { "p": { "type": "number" } } });
    for dialect in [Dialect::Anthropic, Dialect::Strict, Dialect::Gemini] {
        let found = lower(&schema, dialect).unwrap();
        assert!(found.is_wrapped);
        assert_eq!(found.schema["$defs"]["p"]["type"], "number");
        assert_eq!(found.schema["properties"]["value"]["items"]["$ref"], "#/$defs/p");
        assert_eq!(found.schema["required"], json!(["value"]));
    }
}

#[test]
fn nulls_that_only_strict_mode_wanted_are_left_out_again() {
    let schema = json!({
        "type": "object",
        "properties": {
            "must": { "type": ["string", "null"] },
            "may": { "type": "string" },
            "may_null": { "type": ["string", "null"] },
            "list": { "type": "array", "items": { "$ref": "#/$defs/node" } },
            "either": { "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/node" }] }
        },
        "required": ["must"],
        "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" }, "n": {} } } }
    });
    let mut answer = json!({
        "must": null, "may": null, "may_null": null,
        "list": [{ "next": { "next": null, "n": null } }],
        "either": { "next": null, "n": 1 }
    });
    prune(&mut answer, &schema, &schema);
    let expected = json!({
        "must": null, "may_null": null, "list": [{ "next": { "n": null } }], "either": { "n": 1 }
    });
    assert_eq!(answer, expected);
}

#[test]
fn gemini_keeps_what_it_knows_and_the_rest_becomes_words() {
    let schema = json!({
        "type": "object",
        "properties": { "a": { "const": 1 }, "b": { "type": "string", "pattern": "^x" } },
        "additionalProperties": false
    });
    let expected = json!({
        "type": "object",
        "properties": {
            "a": { "enum": [1] },
            "b": { "type": "string", "description": "{pattern: \"^x\"}" }
        },
        "additionalProperties": false
    });
    assert_eq!(lowered(&schema, Dialect::Gemini), expected);
}

#[test]
fn parameters_are_always_those_of_an_object() {
    assert_eq!(parameters(&json!(true)), json!({ "type": "object", "properties": {} }));
    let schema = json!({ "$schema": "x", "properties": { "a": {} } });
    assert_eq!(parameters(&schema), json!({ "type": "object", "properties": { "a": {} } }));
}

#[test]
fn members_keep_the_order_in_which_a_model_is_to_write_them() {
    let text = r#"{"$schema":"x","$defs":{"z":{"type":"null"}},"type":"object","properties":{"why":{"type":"string"},
        "score":{"type":"integer"},"also":{"type":"string"}},"required":["why","score","also"]}"#;
    let schema: Value = serde_json::from_str(text).unwrap();
    let keys = |schema: &Value| {
        let properties = schema["properties"].as_object().unwrap();
        properties.keys().cloned().collect::<Vec<_>>()
    };
    for dialect in [Dialect::Anthropic, Dialect::Strict, Dialect::Gemini] {
        assert_eq!(keys(&lowered(&schema, dialect)), ["why", "score", "also"], "{dialect:?}");
    }
    assert_eq!(keys(&as_tool(&schema).unwrap().schema), ["why", "score", "also"]);
    assert_eq!(keys(&parameters(&schema)), ["why", "score", "also"]);
    let list = json!({ "type": "array", "items": schema });
    let found = lower(&list, Dialect::Strict).unwrap().schema;
    assert_eq!(keys(&found["properties"]["value"]["items"]), ["why", "score", "also"]);
}
