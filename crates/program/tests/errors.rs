//! What an author reads when a program is refused.

use expect_test::{ExpectFile, expect, expect_file};
use loopwright_program::parse;

#[track_caller]
fn check(sources: &[(&str, &str)], expected: &ExpectFile) {
    let mut shown = String::new();
    for (name, source) in sources {
        let report = parse(name, source).expect_err(source);
        shown += &format!("{report}\n\n");
    }
    expected.assert_eq(shown.trim_end());
}

#[test]
fn a_syntax_error_says_what_where_and_what_to_do() {
    check(
        &[
            ("a.ts", "const x = agent(];\n"),
            ("a.ts", "```ts\nconst x = 1;\n```\n"),
            ("a.ts", "log(“hello”)"),
            ("a.ts", "const s = 'abc\nlog(s)"),
            ("a.ts", "function f() {\n  await g();\n}"),
            ("a.ts", "const x = <div>hi</div>;"),
            ("a.js", "const x: number = 1;"),
            ("a.ts", "if (a) {\n  b();\n"),
            ("a.ts", "def main():\n    pass"),
            ("a.ts", "import os"),
            ("a.ts", "let a = 1;\nlet a = 2;"),
            ("a.ts", "const x = 1 2"),
            ("a.ts", "break;"),
            ("a.ts", "x = /(/;"),
            ("a.ts", "/* open"),
            ("a.ts", "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> x"),
            ("a.ts", "const a；"),
            ("a.ts", "`${a"),
            ("a.ts", "class A { constructor() {} constructor() {} }"),
        ],
        &expect_file!["golden/a_syntax_error_says_what_where_and_what_to_do.txt"],
    );
}

#[test]
fn an_import_from_outside_is_refused_with_the_way_inside() {
    check(
        &[
            ("a.ts", "import fs from 'fs';\nimport { get } from \"node:https\";"),
            ("a.ts", "import { helper } from './helper.ts';"),
            ("a.ts", "import { z } from 'zod';"),
            ("a.ts", "import { fanout, reflect, everything } from 'loopwright:patterns';"),
            ("a.ts", "import * as p from 'loopwright:pattern';"),
            ("a.ts", "import x from 'library:../secret';"),
            ("a.ts", "const m = await import(name);"),
            ("a.ts", "const m = await import('fs');"),
            ("a.ts", "export { a } from 'library:b'; export * from 'library:c';"),
            ("a.ts", "import data from 'library:a' with { type: 'json' };"),
            ("a.ts", "log(import.meta.url)"),
        ],
        &expect_file!["golden/an_import_from_outside_is_refused_with_the_way_inside.txt"],
    );
}

#[test]
fn meta_must_be_a_literal_of_the_right_types() {
    check(
        &[
            ("a.ts", "export const meta = { name: title(), description: 'x' };"),
            ("a.ts", "export const meta = { ...base };"),
            ("a.ts", "export const meta = { phases: [{ title: `a ${b}` }] };"),
            ("a.ts", "export const meta = { name };"),
            ("a.ts", "export const meta = 'x';"),
            (
                "a.ts",
                "export const meta = {\n  name: 1,\n  phases: [{ detail: 'x' }, 'Scan'],\n  args: 'object',\n  budget: { token: 5, usd: -1 },\n};",
            ),
        ],
        &expect_file!["golden/meta_must_be_a_literal_of_the_right_types.txt"],
    );
}

#[test]
fn a_program_over_its_size_limit_is_refused() {
    let source = "x".repeat(loopwright_program::PROGRAM_BYTES_MAX + 1);
    let report = parse("big.js", &source).unwrap_err();
    expect![[r#"
        error[LW0107]: `big.js` is 1,048,577 bytes (limit 1,048,576)
        hint: hand data to the program as `args`, or read it with `tools.readFile`"#]]
    .assert_eq(&report.to_string());
}

#[test]
fn errors_come_in_the_order_of_their_places() {
    let source =
        "import a from 'a';\nenum B {}\nexport const meta = { name: c() };\nimport d from 'd';";
    let report = parse("a.ts", source).unwrap_err();
    let lines: Vec<u32> =
        report.diagnostics.iter().map(|it| it.location.as_ref().unwrap().position.line).collect();
    assert_eq!(lines, [1, 2, 3, 4]);
}
