//! The encoder: which values cross the bridge, as what, and what the errors say.

mod common;
use common::*;
use loopwright_interpreter::{Limits, RecordKind, Source, TurnInput};

#[test]
fn what_is_json_crosses_as_it_is() {
    let cases = [
        ("({})", "{}"),
        ("[]", "[]"),
        ("[1, -1.5, 1e21, 1e-7, -0, 123456789012]", "[1,-1.5,1e+21,1e-7,0,123456789012]"),
        ("[true, false, null, undefined]", "[true,false,null,null]"),
        ("({ a: undefined, b: 1, [Symbol('s')]: 2 })", r#"{"b":1}"#),
        ("({ b: 1, a: 2, 1: 'x', 0: 'y' })", r#"{"0":"y","1":"x","b":1,"a":2}"#),
        (
            r#"'"\\\b\f\n\r\t\x01\x1f\u2028é😀'"#,
            concat!(r#""\"\\\b\f\n\r\t\u0001\u001f"#, "\u{2028}é😀\""),
        ),
        (r"'a\ud800b'", "\"a\u{fffd}b\""),
        (r"'\udc00'", "\"\u{fffd}\""),
        (r"'a\u0000b'", r#""a\u0000b""#),
        ("'é'.repeat(3) + 'x'", r#""éééx""#),
        (
            "let s = ''; for (let i = 0; i < 3000; i++) s = s + 'ab'; s.length + s.slice(-3)",
            r#""6000bab""#,
        ),
        ("new Date(0)", r#""1970-01-01T00:00:00.000Z""#),
        ("[new Number(1), new String('s'), new Boolean(false)]", r#"[1,"s",false]"#),
        ("({ toJSON() { return { n: 1 } } })", r#"{"n":1}"#),
        (
            "({ k: { toJSON(key) { return key } }, l: [{ toJSON(key) { return key } }] })",
            r#"{"k":"k","l":["0"]}"#,
        ),
        ("({ get a() { return 1 } })", r#"{"a":1}"#),
        ("new (class A { x = 1; #y = 2; get z() { return 3 } })", r#"{"x":1}"#),
        (
            "Object.create({ inherited: 1 }, { own: { value: 2, enumerable: true }, not: { value: 3 } })",
            r#"{"own":2}"#,
        ),
        ("new Proxy({ a: 1 }, {})", r#"{"a":1}"#),
        ("new Proxy([1, 2], {})", "[1,2]"),
        ("[1, , 3]", "[1,null,3]"),
        ("new TypeError('no')", r#"{"name":"TypeError","message":"no"}"#),
        (
            "({ e: Object.assign(new Error('m'), { name: 'Own' }) })",
            r#"{"e":{"name":"Own","message":"m"}}"#,
        ),
        (
            "JSON.parse('{\"__proto__\": {\"p\": 1}, \"constructor\": 2}')",
            r#"{"__proto__":{"p":1},"constructor":2}"#,
        ),
        ("const shared = { s: 1 }; [shared, shared]", r#"[{"s":1},{"s":1}]"#),
        ("class B extends Array {}; B.of(1, 2)", "[1,2]"),
        ("(function () { return arguments })(1, 2)", r#"{"0":1,"1":2}"#),
        ("Object.create(null, { a: { value: 1, enumerable: true } })", r#"{"a":1}"#),
    ];
    for (program, expected) in cases {
        assert_eq!(value(program), expected, "{program}");
    }
}

#[test]
fn what_is_not_json_is_an_error_that_names_the_place() {
    let cases = [
        ("NaN", "the value is NaN: use null or leave it out"),
        ("({ a: { b: -Infinity } })", "`a.b` is -Infinity: use null or leave it out"),
        (
            "({ items: [0, 1, 2, { when: agent('x') }] })",
            "`items[3].when` is a Promise: await it first",
        ),
        ("[() => 1]", "`[0]` is a function: call it and pass what it returns"),
        ("({ f: class {} })", "`f` is a function: call it and pass what it returns"),
        ("[Symbol('s')]", "`[0]` is a symbol: use its description"),
        ("10n", "the value is a BigInt: use Number(x) or String(x)"),
        ("[2n ** 100n]", "`[0]` is a BigInt: use Number(x) or String(x)"),
        ("new Map()", "the value is a Map: use Object.fromEntries(map) or [...map]"),
        ("({ s: new Set() })", "`s` is a Set: use [...set]"),
        ("({ b: new Uint8Array(4) })", "`b` is a buffer: use [...bytes] or text"),
        ("new ArrayBuffer(4)", "the value is a buffer: use [...bytes] or text"),
        ("new DataView(new ArrayBuffer(4))", "the value is a buffer: use [...bytes] or text"),
        ("({ r: /x/ })", "`r` is a RegExp: use its `source`"),
        ("(function* () {})()", "the value is a generator: collect its values first"),
        ("const a = {}; a.self = a; a", "`self` is a cycle: it contains itself"),
        ("const a = []; const b = { a }; a.push(b); a", "`[0].a` is a cycle: it contains itself"),
        ("({ toJSON() { return NaN } })", "the value is NaN: use null or leave it out"),
    ];
    for (program, expected) in cases {
        assert_eq!(value(program), format!("TypeError: [LW0201] {expected}"), "{program}");
    }
}

#[test]
fn what_throws_while_it_is_read_is_thrown() {
    let cases = [
        ("({ get a() { throw new RangeError('mine') } })", "RangeError: mine"),
        ("({ toJSON() { throw new RangeError('mine') } })", "RangeError: mine"),
        (
            "const { proxy, revoke } = Proxy.revocable([], {}); revoke(); proxy",
            "TypeError: revoked proxy",
        ),
        ("new Proxy({}, { ownKeys() { throw new RangeError('mine') } })", "RangeError: mine"),
    ];
    for (program, expected) in cases {
        assert_eq!(value(program), expected, "{program}");
    }
}

#[test]
fn a_call_refuses_a_value_like_the_result_does_and_the_program_may_catch_it() {
    let program = "
        const seen = [];
        for (const bad of [NaN, 5n, agent]) {
            try { native.call(3, { name: 'x', args: { bad } }, 0) } catch (e) { seen.push(e.code + ' ' + e.message) }
        }
        seen";
    let expected = r#"["LW0201 `args.bad` is NaN: use null or leave it out","LW0201 `args.bad` is a BigInt: use Number(x) or String(x)","LW0201 `args.bad` is a function: call it and pass what it returns"]"#;
    assert_eq!(value(program), expected);
}

#[test]
fn limits_of_bytes_depth_and_members_are_errors_with_figures_and_hints() {
    let limits = Limits { value_bytes: 1000, value_depth: 5, value_keys: 20, ..Limits::default() };
    let cases = [
        ("'x'.repeat(998)", "ok"),
        (
            "'x'.repeat(999)",
            "LW0202 value is 1,001 bytes (limit 1,000): return a path or a summary",
        ),
        (
            "'é'.repeat(600)",
            "LW0202 value is 1,202 bytes (limit 1,000): return a path or a summary",
        ),
        (
            "'x'.repeat(1e6)",
            "LW0202 value is 1,000,002 bytes (limit 1,000): return a path or a summary",
        ),
        (
            "['x'.repeat(1e6), 1]",
            "LW0202 value is more than 1,000,004 bytes (limit 1,000): return a path or a summary",
        ),
        ("[[[[[1]]]]]", "ok"),
        ("[[[[[[1]]]]]]", "LW0203 value is nested deeper than 5 levels: flatten it"),
        (
            "let o = []; for (let i = 0; i < 1e5; i++) o = [o]; o",
            "LW0203 value is nested deeper than 5 levels: flatten it",
        ),
        ("Array(20).fill(1)", "ok"),
        ("Array(21).fill(1)", "LW0204 value has more than 20 members: pass a part or a summary"),
        ("new Array(4e9)", "LW0204 value has more than 20 members: pass a part or a summary"),
        (
            "[[1,2,3],Array(17).fill(1)]",
            "LW0204 value has more than 20 members: pass a part or a summary",
        ),
        (
            "Object.fromEntries(Array.from({ length: 30 }, (_, i) => ['k' + i, i]))",
            "LW0204 value has more than 20 members: pass a part or a summary",
        ),
        (
            "let d = [1]; for (let i = 0; i < 4; i++) d = [d, d]; d",
            "LW0204 value has more than 20 members: pass a part or a summary",
        ),
    ];
    for (program, expected) in cases {
        let mut guest = bare().guest(&limits).unwrap();
        guest.start(&Source { code: program, ..Source::default() }, "{}").unwrap();
        let output = guest.turn(&TurnInput::default()).unwrap();
        let record = &output.records[0];
        let got = if record.kind == RecordKind::Result {
            "ok".to_owned()
        } else {
            let error: serde_json::Value = serde_json::from_slice(&record.bytes).unwrap();
            assert!(error["hint"].is_string(), "{program}");
            format!("{} {}", error["code"].as_str().unwrap(), error["message"].as_str().unwrap())
        };
        assert_eq!(got, expected, "{program}");
    }
}

#[test]
fn a_value_may_change_while_it_is_read() {
    let cases = [
        (
            "const a = [1, { toJSON() { a.length = 0; a.push(9); return 'x' } }, 3]; a",
            r#"[1,"x",null]"#,
        ),
        ("const o = { a: { toJSON() { delete o.b; o.c = 1; return 1 } }, b: 2 }; o", r#"{"a":1}"#),
        (
            "const a = []; a[0] = { toJSON() { for (let i = 0; i < 1e4; i++) a.push(i); return 1 } }; a",
            "[1]",
        ),
        (
            "const o = { get a() { agent('inner'); return 1 } }; await native.call(3, o, 0)",
            r#"{"a":1}"#,
        ),
        (
            "const o = { toJSON() { return native.encode({ toJSON() { return [1] } }) } }; o",
            r#""[1]""#,
        ),
    ];
    for (program, expected) in cases {
        assert_eq!(value(program), expected, "{program}");
    }
}

#[test]
fn thrown_things_become_text_with_care() {
    let cases = [
        ("throw 'text'", r#"{"name":"Error","message":"text"}"#),
        ("throw undefined", r#"{"name":"Error","message":"undefined"}"#),
        ("throw null", r#"{"name":"Error","message":"null"}"#),
        ("throw Symbol('s')", r#"{"name":"Error","message":"a symbol"}"#),
        (
            "throw { code: 'E1', why: 'data' }",
            r#"{"name":"Error","message":"{\"code\":\"E1\",\"why\":\"data\"}","code":"E1"}"#,
        ),
        ("throw { get message() { throw 1 } }", r#"{"name":"Error","message":"<unprintable>"}"#),
        (
            "throw { name: 'N', message: 'm', hint: 'h', reason: 'r', stack: 's' }",
            r#"{"name":"N","message":"m","stack":"s","hint":"h","reason":"r"}"#,
        ),
        (
            "throw { message: Symbol('x'), stack: { toString() { throw 2 } } }",
            r#"{"name":"Error","message":"<unprintable>"}"#,
        ),
        (
            "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy",
            r#"{"name":"Error","message":"<unprintable>"}"#,
        ),
    ];
    for (program, expected) in cases {
        let output = first_turn(program).unwrap();
        assert_eq!(text(&output.records[0]), expected, "{program}");
        assert_eq!(output.records[0].kind, RecordKind::Error, "{program}");
    }
}

#[test]
fn a_huge_message_is_cut_and_says_so() {
    let output = first_turn("throw new Error('é'.repeat(1e6))").unwrap();
    let error: serde_json::Value = serde_json::from_slice(&output.records[0].bytes).unwrap();
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("é [983616 more characters]"), "{}", &message[message.len() - 60..]);
    let output = first_turn("log('x'.repeat(2e6))").unwrap();
    assert!(text(&output.records[0]).ends_with(r#" [1000000 more characters]"}"#));
}
