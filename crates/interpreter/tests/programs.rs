//! What a program's value is, what it may reach, and what crosses the bridge.

mod common;
use common::*;

#[test]
fn a_program_has_the_value_of_its_return_or_its_completion_value() {
    let cases = [
        ("1 + 1", "2"),
        ("", "null"),
        ("return 5", "5"),
        ("7; return", "null"),
        ("7; return undefined", "null"),
        ("const confirmed = [1]; confirmed;", "[1]"),
        ("const x = 1; x; // a comment", "1"),
        ("const x = 1; x; function f() {} let y = 2; class A {}", "1"),
        ("if (true) { 'yes' } else { 'no' }", r#""yes""#),
        ("1; if (false) 2", "null"),
        ("try { 1 } finally { 2 }", "1"),
        ("try { throw 0 } catch { 'caught' }", r#""caught""#),
        ("let n = 0; for (let i = 0; i < 3; i++) n += i", "3"),
        ("let n = 0; while (n < 4) { n++; n * 10 }", "40"),
        ("async function main() { return await agent('x') } main();", r#"{"prompt":"x"}"#),
        ("await agent('y')", r#"{"prompt":"y"}"#),
        ("agent('z')", r#"{"prompt":"z"}"#),
        ("try { return 1 } finally { 2 }", "1"),
        ("try { return 1 } finally { return 3 }", "3"),
        ("for (const x of [1, 2]) { if (x === 2) return 'found' } 'none'", r#""found""#),
        ("for await (const x of [agent('a')]) { return x }", r#"{"prompt":"a"}"#),
        ("switch (1) { case 1: 'one'; break; default: 'other' }", r#""one""#),
        ("if (true) { await null; return { a: 1 } }", r#"{"a":1}"#),
        ("(() => { return 1 })(); return (() => 2)()", "2"),
        ("label: { 'in'; break label; }", r#""in""#),
        ("throw new TypeError('boom')", "TypeError: boom"),
        ("Promise.reject(new Error('later'))", "Error: later"),
        ("({ then(resolve) { resolve(9) } })", "9"),
    ];
    for (program, expected) in cases {
        assert_eq!(value(program), expected, "{program}");
    }
}
