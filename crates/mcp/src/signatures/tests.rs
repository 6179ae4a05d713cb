use super::*;
use loopwright_protocol::Json;
use serde_json::json;

fn arguments(schema: &Value) -> String {
    let mut tool = Tool::reading("files.read");
    tool.input = Json::of(schema);
    let text = signature(&tool);
    let (_, after) = text.split_once("args").unwrap();
    let (arguments, _) = after.rsplit_once("): Promise<").unwrap();
    arguments.split_once(": ").unwrap().1.to_owned()
}

#[test]
fn schemas_become_types() {
    let cases = [
        (json!({}), "unknown"),
        (json!(true), "unknown"),
        (json!(false), "never"),
        (json!({"type": "object"}), "Record<string, unknown>"),
        (json!({"type": "object", "properties": {}, "additionalProperties": false}), "{}"),
        (
            json!({"type": "object", "additionalProperties": {"type": "number"}}),
            "Record<string, number>",
        ),
        (json!({"type": ["string", "null"]}), "string | null"),
        (json!({"type": "integer"}), "number"),
        (json!({"enum": ["a", 1, null, "b\"\u{2028}"]}), "\"a\" | 1 | null | \"b\\\"\\u2028\""),
        (json!({"const": "x"}), "\"x\""),
        (json!({"type": "array", "items": {"type": "string"}}), "string[]"),
        (json!({"type": "array", "items": {"type": ["string", "number"]}}), "(string | number)[]"),
        (json!({"type": "array"}), "unknown[]"),
        (
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "items": false}),
            "[string, number]",
        ),
        (
            json!({"items": [{"type": "string"}], "additionalItems": {"type": "number"}}),
            "[string, ...number[]]",
        ),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "string"}, {"type": "null"}]}),
            "string | null",
        ),
        (json!({"oneOf": [{"type": "string"}, {}]}), "unknown"),
        (
            json!({"allOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}]}),
            "(string | null) & string",
        ),
        (json!({"type": "string", "nullable": true}), "string | null"),
        (json!({"$ref": "https://example.com/schema.json"}), "unknown"),
        (json!({"$ref": "#/$defs/missing"}), "unknown"),
        (json!({"type": "strange"}), "unknown"),
        (
            json!({"type": "object", "required": ["a"], "properties": {
                "a": {"type": "string"}, "b-c": {"type": "boolean"}}}),
            "{\n    a: string;\n    \"b-c\"?: boolean;\n  }",
        ),
    ];
    for (schema, expected) in cases {
        assert_eq!(arguments(&schema), expected, "{schema}");
    }
}

#[test]
fn a_tool_is_a_method_with_its_descriptions_and_the_types_it_refers_to() {
    let mut tool = Tool::reading("files.tree");
    tool.description = "Lists a folder.\n*/ evil()".to_owned();
    tool.input = Json::of(&json!({
        "type": "object",
        "properties": {"path": {"type": "string", "description": "Where.", "default": "."}},
    }));
    tool.output = Some(Json::of(&json!({
        "$ref": "#/$defs/Node",
        "$defs": {"Node": {"type": "object", "required": ["name"], "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
        }}},
    })));
    let expected = "\
type files_tree_result_Node = {
    name: string;
    children?: files_tree_result_Node[];
  };

interface Tools_files {
  /**
   * Lists a folder.
   * *\\/ evil()
   *
   * Effects: none.
   */
  tree(args?: {
    /**
     * Where.
     * @default \".\"
     */
    path?: string;
  }): Promise<files_tree_result_Node>;
}
";
    // Members come in the order of the schema or of the alphabet, as the JSON library is built.
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&signature(&tool)), lines(expected));
}

#[test]
fn a_schema_without_end_has_a_type_with_one() {
    let mut deep = json!({"type": "string"});
    for _ in 0..100 {
        deep = json!({"type": "array", "items": deep});
    }
    assert!(arguments(&deep).contains("unknown"));
    let wide: serde_json::Map<String, Value> =
        (0..20_000).map(|it| (format!("member{it}"), json!({"type": "string"}))).collect();
    let text = arguments(&json!({"type": "object", "properties": wide}));
    assert!(text.contains("[more: string]: unknown;") && text.len() < 1_000_000, "{}", text.len());
    let many: Vec<Value> = (0..1000).map(Value::from).collect();
    assert_eq!(arguments(&json!({"type": "number", "enum": many})), "number");
}
