//! Imports, exports and `meta` of programs and libraries.

use loopwright_program::{Binding, Budget, Phase, parse, parse_library};
use loopwright_types::{Code, Digest, Position};
use serde_json::json;

/// The text that runs.
fn code(source: &str) -> String {
    parse("a.ts", source).unwrap_or_else(|report| panic!("{source}\n{report}")).code
}

#[test]
fn imports_become_one_line_in_front_and_their_text_goes() {
    let source = "import { fanOut, reflect as think } from 'loopwright:patterns';\nimport * as lib from \"library:team/review\";\nimport run, { help } from 'library:x';\nimport 'library:y';\nrun();";
    let program = parse("a.ts", source).unwrap();
    let lines: Vec<&str> = program.code.split('\n').collect();
    let prefix = concat!(
        r#"const {"fanOut": fanOut, "reflect": think} = await import("loopwright:patterns");"#,
        r#"const lib = await import("library:team/review");"#,
        r#"const {"default": run, "help": help} = await import("library:x");"#,
        r#"const {} = await import("library:y");"#,
    );
    assert_eq!(lines[0], format!("{prefix};{}", " ".repeat(62)));
    assert_eq!(lines[4], "run();");
    assert_eq!(program.prefix_columns as usize, prefix.chars().count());
    assert!(program.strict);
    assert_eq!(program.imports.len(), 4);
    assert_eq!(program.imports[1].library(), Some("team/review"));
    assert_eq!(program.imports[1].position, Position { line: 2, column: 22 });
    let think = Binding::Named { imported: "reflect".into(), local: "think".into() };
    assert_eq!(program.imports[0].bindings[1], think);
}

#[test]
fn positions_behind_the_imports_are_the_authors() {
    let source = "import { reflect } from 'loopwright:patterns'; /* é */ x();\ny('漢'); z();";
    let program = parse("a.ts", source).unwrap();
    let at = |line: u32, needle: &str| {
        let text = program.code.split('\n').nth(line as usize - 1).unwrap();
        program.author_position_of_bytes(line, text.find(needle).unwrap() as u32 + 1)
    };
    assert_eq!(at(1, "x()"), Position { line: 1, column: 56 });
    assert_eq!(at(2, "z()"), Position { line: 2, column: 9 });
    assert_eq!(program.author_position(1, program.prefix_columns + 3).column, 3);
    assert_eq!(program.author_position(1, 2), Position { line: 1, column: 1 });
    assert_eq!(program.author_position(2, 7), Position { line: 2, column: 7 });
}

#[test]
fn exports_of_a_program_become_plain_declarations() {
    let cases = [
        ("export const a = 1, b = 2;", "       const a = 1, b = 2;"),
        ("export async function f() {}", "       async function f() {}"),
        ("export default a + 1;", "void 0 ,       a + 1;"),
        ("export default { a: 1 };", "void 0 ,       { a: 1 };"),
        ("export default function f() {}", "               function f() {}"),
        ("export default function () {}", "void 0 ,       function () {}"),
        ("export default async () => {}", "void 0 ,       async () => {}"),
        ("export default class A {}", "               class A {}"),
        ("export\n/* c */ default a", "void 0\n/* c */ ,       a"),
        ("let a; export { a, a as b };", "let a; ;                    "),
        ("export {};", ";         "),
    ];
    for (source, expected) in cases {
        assert_eq!(code(source), expected, "{source}");
        assert!(parse("a.ts", source).unwrap().strict, "{source}");
    }
}

#[test]
fn only_module_syntax_other_than_meta_makes_a_program_strict() {
    let cases = [
        ("export const meta = { name: 'x' }; with_ = 1", false),
        ("import type { A } from './a'; export type B = A;", false),
        ("await import('library:a')", false),
        ("export const meta = {}, other = 1", true),
        ("import 'library:a'", true),
        ("'use strict'; x", false),
        ("x", false),
    ];
    for (source, strict) in cases {
        assert_eq!(parse("a.ts", source).unwrap().strict, strict, "{source}");
    }
    // Sloppy syntax that strict mode does not have.
    assert!(parse("a.js", "with (a) { b = 010; delete c }").is_ok());
}

#[test]
fn meta_is_read_and_stays_in_the_program() {
    let source = r#"export const meta: Meta = {
  name: "review", 'description': `two
lines`, whenToUse: "often",
  phases: [{ title: "Scan", detail: "look", model: "small" }, { title: "Judge" }],
  args: { type: "object", properties: { n: { type: "integer", minimum: -1 } } },
  result: true, budget: { tokens: 5_000, usd: 0.25, outputTokens: null },
  extra: [1.5, -2, 1e3, null, false,],
} as const satisfies Meta;
meta.name"#;
    let program = parse("a.ts", source).unwrap();
    let meta = program.meta.unwrap();
    assert_eq!(meta.name.as_deref(), Some("review"));
    assert_eq!(meta.description.as_deref(), Some("two\nlines"));
    assert_eq!(meta.when_to_use.as_deref(), Some("often"));
    let judge = Phase { title: "Judge".into(), ..Phase::default() };
    assert_eq!(meta.phases[1], judge);
    assert_eq!(meta.phases[0].model.as_deref(), Some("small"));
    assert_eq!(meta.args.unwrap()["properties"]["n"]["minimum"], json!(-1));
    assert_eq!(meta.result, Some(json!(true)));
    let budget = Budget { output_tokens: None, tokens: Some(5000), usd_micros: Some(250_000) };
    assert_eq!(meta.budget, Some(budget));
    assert_eq!(meta.raw["extra"], json!([1.5, -2, 1000, null, false]));
    assert!(program.code.starts_with("       const meta       = {\n"));
    assert!(!program.strict);
    assert_eq!(program.warnings.len(), 1);
    assert_eq!(program.warnings[0].code, Code::META_FIELD_UNKNOWN);
}

#[test]
fn a_program_without_meta_has_none() {
    for source in
        ["const meta = { name: 'x' }", "export declare const meta: 1;", "{ let meta = f() }"]
    {
        assert_eq!(parse("a.ts", source).unwrap().meta, None, "{source}");
    }
}

#[test]
fn a_budget_may_be_a_number_of_output_tokens() {
    let meta = parse("a.ts", "export const meta = { budget: 2000 }").unwrap().meta.unwrap();
    assert_eq!(meta.budget.unwrap().output_tokens, Some(2000));
}

#[test]
fn a_library_stays_a_module() {
    let source = "import { type A, reflect, type B } from 'loopwright:patterns';\nexport type T = A;\nexport const a: T = 1, { b } = x;\nexport function f(): void {}\nexport default class { }\nconst c = 2; export { c as d, type T as U };\nexport { y } from 'library:y';";
    let library = parse_library("lib.ts", source).unwrap();
    let expected = "import {         reflect,        } from 'loopwright:patterns';\n;                 \nexport const a    = 1, { b } = x;\nexport function f()       {}\nexport default class { }\nconst c = 2; export { c as d,             };\nexport { y } from 'library:y';";
    assert_eq!(library.code, expected);
    assert_eq!(library.exports, ["a", "b", "f", "default", "d", "y"]);
    let specifiers: Vec<&str> = library.imports.iter().map(|it| it.specifier.as_str()).collect();
    assert_eq!(specifiers, ["loopwright:patterns", "library:y"]);
    assert!(parse_library("lib.ts", "return 1").is_err());
}

#[test]
fn a_name_that_a_library_does_not_export_is_found() {
    let library = parse_library("lib.ts", "export const review = 1, judge = 2").unwrap();
    let source = "import { reviw, judge } from 'library:lib';\nimport { x } from 'library:other';";
    let program = parse("a.ts", source).unwrap();
    let problems = program.check_library("library:lib", &library);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].message, "`library:lib` exports no `reviw`");
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean `review`?"));
    assert_eq!(problems[0].location.as_ref().unwrap().position, Position { line: 1, column: 30 });
}

#[test]
fn the_digest_is_that_of_the_text_and_not_of_its_name() {
    let digest = |name: &str, source: &str| parse(name, source).unwrap().digest;
    assert_eq!(digest("a.ts", "x"), digest("b.js", "\u{feff}x"));
    assert_eq!(digest("a.ts", "x"), Digest::of(b"x"));
    assert_ne!(digest("a.ts", "x"), digest("a.ts", "x "));
}
