//! Schemas that admit nothing are refused with both keywords named; schemas that admit something never are.

use loopwright_schema::{Limits, compile};
use loopwright_types::Code;
use serde_json::{Value, json};

/// One case per line: a schema and the words that its error must hold.
const CASES: &str = include_str!("data/contradictions.jsonl");

#[test]
fn a_schema_that_contradicts_itself_is_refused_with_its_keywords_and_values() {
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let schema = &case["schema"];
        let error = compile(schema, &Limits::default()).expect_err(line);
        assert_eq!(error.code, Code::SCHEMA_CONTRADICTS, "{schema}: {error}");
        for word in case["words"].as_array().unwrap() {
            let word = word.as_str().unwrap();
            assert!(error.message.contains(word), "{schema}: no {word} in: {error}");
        }
        assert!(error.message.len() < 1_500 && !error.message.contains('\n'), "{error}");
    }
}

#[test]
fn a_contradiction_in_a_part_that_values_can_do_without_is_no_contradiction() {
    let empty = json!({"type": "integer", "minimum": 2, "maximum": 1});
    let cases = [
        json!({"type": "object", "properties": {"a": empty}}),
        json!({"type": "array", "items": empty}),
        json!({"anyOf": [empty, {"type": "string"}]}),
        json!({"oneOf": [false, {"type": "string"}]}),
        json!({"minimum": 3, "maximum": 2}),
        json!({"minLength": 3, "maxLength": 2}),
        json!({"type": "object", "required": ["b"], "additionalProperties": false, "patternProperties": {"b": {}}}),
        json!({"type": "object", "dependentSchemas": {"a": false}}),
        json!({"$defs": {"never": false, "n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}},
            "$ref": "#/$defs/n"}),
        json!({"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "b$"}]}),
        json!({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}),
        json!({"type": "array", "contains": {"type": "string"}, "minContains": 0, "items": {"type": "number"}}),
        json!({"not": {"type": "string"}}),
        json!({"type": "integer", "minimum": 9007199254740993_u64, "maximum": 9007199254740995_u64}),
    ];
    for schema in cases {
        compile(&schema, &Limits::default()).unwrap_or_else(|error| panic!("{schema}: {error}"));
    }
}

#[test]
fn what_is_no_schema_is_refused_as_invalid() {
    let cases = [
        (json!({"type": "strin"}), "#/type"),
        (json!({"type": 5}), "#/type"),
        (json!({"properties": {"a": {"minimum": "1"}}}), "#/properties/a/minimum"),
        (json!({"required": "a"}), "#/required"),
        (json!({"pattern": "("}), "pattern `(`"),
        (json!({"pattern": "a(?=b)"}), "pattern `a(?=b)`"),
        (json!({"pattern": "(a)\\1"}), "pattern"),
        (json!({"patternProperties": {"[": {}}}), "`[`"),
        (json!({"$ref": "https://example.com/schema.json"}), "leads outside the schema"),
        (json!({"$ref": "file:///etc/passwd"}), "leads outside the schema"),
        (json!({"$ref": "#/$defs/absent"}), "`#/$defs/absent`"),
        (json!({"$schema": "https://example.com/my-draft", "type": "string"}), "my-draft"),
        (json!({"$ref": "#"}), "refers to itself"),
        (
            json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
            "refers to itself",
        ),
        (json!([1]), "`[1]`"),
        (json!("string"), "`\"string\"`"),
        (json!(null), "`null`"),
    ];
    for (schema, words) in cases {
        let error = compile(&schema, &Limits::default()).expect_err(&schema.to_string());
        assert_eq!(error.code, Code::SCHEMA_INVALID, "{schema}: {error}");
        assert!(error.message.contains(words), "{schema}: no {words} in: {error}");
    }
}
