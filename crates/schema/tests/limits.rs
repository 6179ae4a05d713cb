//! No schema and no answer makes checking slow, deep or verbose.

use loopwright_schema::{Limits, compile, describe};
use loopwright_types::Code;
use serde_json::{Map, Value, json};

/// Definitions `a0` to `a<n>`, each made from a reference to the next.
fn ladder(steps: usize, step: impl Fn(Value) -> Value) -> Value {
    let rung = |i: usize| (format!("a{i}"), step(json!({"$ref": format!("#/$defs/a{}", i + 1)})));
    let mut definitions: Map<String, Value> = (0..steps).map(rung).collect();
    definitions.insert(format!("a{steps}"), json!({"type": "string"}));
    json!({"$defs": definitions, "$ref": "#/$defs/a0"})
}

#[test]
fn a_schema_over_its_limits_is_refused_with_the_setting_that_raises_them() {
    let deep = (0..40).fold(json!({}), |inner, _| json!({"items": inner}));
    let long = json!({"enum": ["x".repeat(70_000)]});
    for (schema, setting) in [(deep, "schema.depth_max"), (long, "schema.bytes_max")] {
        let error = compile(&schema, &Limits::default()).unwrap_err();
        assert_eq!(error.code, Code::SCHEMA_TOO_LARGE, "{error}");
        assert!(error.hint.unwrap().contains(setting));
    }
}

#[test]
fn a_schema_that_expands_without_measure_is_refused() {
    let doubled = |keyword: &'static str| move |next: Value| json!({keyword: [next.clone(), next]});
    let cases = [
        ladder(40, doubled("allOf")),
        ladder(40, doubled("anyOf")),
        ladder(40, doubled("oneOf")),
        ladder(30, |next| json!({"properties": {"x": next.clone(), "y": next}})),
        ladder(30, |next| json!({"if": next.clone(), "then": next.clone(), "else": next})),
        ladder(1_500, |next| next),
        ladder(1_500, |next| json!({"items": next})),
    ];
    for schema in cases {
        let error = compile(&schema, &Limits::default()).unwrap_err();
        assert_eq!(error.code, Code::SCHEMA_TOO_LARGE, "{error}");
    }
    compile(&ladder(40, |next| json!({"items": next})), &Limits::default()).unwrap();
}

#[test]
fn many_large_patterns_together_are_refused_or_fit_in_memory() {
    let named = |i: usize| (format!("^{i}\\w{{900}}$"), json!({}));
    let schema = json!({"patternProperties": (0..2_000).map(named).collect::<Map<_, _>>()});
    let error = compile(&schema, &Limits::default()).unwrap_err();
    assert_eq!(error.code, Code::SCHEMA_INVALID);
    assert!(error.message.contains("too large when compiled"), "{error}");
}

#[test]
fn a_recursive_schema_with_overlapping_branches_is_checked_in_bounded_work() {
    let branch = |extra: Value| {
        let mut schema = json!({"type": "object", "properties": {"l": {"$ref": "#/$defs/e"}}, "required": ["l"]});
        schema["properties"]["q"] = extra;
        schema
    };
    let schema = json!({
        "$defs": {"e": {"anyOf": [branch(json!({})), branch(json!({"type": "string"})), branch(json!(true)), {"type": "number"}]}},
        "$ref": "#/$defs/e"
    });
    let validator = compile(&schema, &Limits::default()).unwrap();
    for (leaf, fits) in [(json!(1), true), (json!("bad"), false)] {
        let deep = (0..60).fold(leaf, |inner, _| json!({"l": inner}));
        assert_eq!(validator.check(&deep).is_ok(), fits);
    }
    let shallow = validator.check(&json!({"l": {"l": "bad"}})).unwrap_err();
    assert!(describe(&shallow).contains("l.l"), "{}", describe(&shallow));
}

#[test]
fn nesting_in_a_value_never_exhausts_the_stack() {
    let long_way = ladder(60, |next| next);
    let mut schema = long_way.clone();
    schema["$defs"]["a60"] = json!({"type": "array", "items": {"$ref": "#/$defs/a0"}});
    let validator = compile(&schema, &Limits::default()).unwrap();
    let deep = (0..120).fold(json!([]), |inner, _| json!([inner]));
    let violations = validator.check(&deep).unwrap_err();
    assert!(violations[0].message.contains("too deep"), "{violations:?}");
    let fine = (0..20).fold(json!([]), |inner, _| json!([inner]));
    assert!(validator.is_valid(&fine));
}

#[test]
fn errors_are_bounded_in_number_and_size_whatever_the_answer() {
    let schema = json!({"type": "array", "items": {"type": "string"}});
    let validator = compile(&schema, &Limits::default()).unwrap();
    let wide = Value::from(vec![1; 1_000]);
    let huge = Value::from(vec![1; 500_000]);
    let fat = json!([{"k": "y".repeat(300_000)}]);
    let key = json!({"x".repeat(300_000): 1});
    for answer in [wide, huge, fat, key] {
        let violations = validator.check(&answer).unwrap_err();
        assert!((1..=21).contains(&violations.len()));
        assert!(describe(&violations).len() < 21 * 2_400);
    }
}
