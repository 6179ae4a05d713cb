//! Records name the author's own line and column, in code points, wherever the call came from.

mod common;
use common::*;
use loopwright_interpreter::{CompletionStatus, RecordKind, Source, TurnInput};

/// `kind line:column` of each record.
fn places(code: &str) -> Vec<String> {
    let records = run_echo(&mut started(bare(), code)).unwrap();
    let place = |record: &loopwright_interpreter::Record| {
        let kind = match record.kind {
            RecordKind::Call { .. } => "call",
            RecordKind::Log => "log",
            RecordKind::Unhandled => "unhandled",
            RecordKind::Error => "error",
            RecordKind::Result | RecordKind::Note => return None,
        };
        Some(format!("{kind} {}:{}", record.position.line, record.position.column))
    };
    records.iter().filter_map(place).collect()
}

#[test]
fn calls_name_the_line_that_made_them() {
    let cases: [(&str, &[&str]); 15] = [
        ("agent('a')", &["call 1:1"]),
        ("\n  await agent('a');\n  agent('b')", &["call 2:9", "call 3:3"]),
        ("await agent('a');\nawait agent('b');", &["call 1:7", "call 2:7"]),
        ("await Promise.all(['x', 'y'].map((p) => agent(p)))", &["call 1:41", "call 1:41"]),
        (
            "async function f() {\n  await null;\n  await agent('late');\n}\nawait f()",
            &["call 3:9"],
        ),
        (
            "await parallel([\n  () => agent('a'),\n  async () => {\n    await agent('b');\n    return agent('c') } ])",
            &["call 2:9", "call 4:11", "call 5:12"],
        ),
        ("/* é😀 */ agent('a')", &["call 1:10"]),
        ("const s = '😀😀'; agent(s)", &["call 1:17"]),
        ("`\n${agent('in template')}`", &["call 2:3"]),
        ("agent\n  ('next line')", &["call 1:1"]),
        ("agent(\n  'x' +\n  String(1))", &["call 1:1"]),
        ("const o = { agent }; o\n  .agent('x'); o['agent'](...['y'])", &["call 2:4", "call 2:16"]),
        ("native.encode({ get a() {\n return agent('getter') } })", &["call 2:9", "error 1:8"]),
        ("\r\nagent('a')\r\n\r\nagent('b')", &["call 2:1", "call 4:1"]),
        ("agent`x`", &["call 1:1"]),
    ];
    for (program, expected) in cases {
        assert_eq!(places(program), expected, "{program}");
    }
}

#[test]
fn errors_and_unhandled_rejections_name_the_line_that_made_them() {
    let cases: [(&str, &[&str]); 8] = [
        ("\nthrow new Error('a')", &["error 2:7"]),
        ("await null;\n  const o = {}; o.a\n.b", &["error 3:2"]),
        ("const f = () => { throw new Error('a') };\nf()", &["error 1:25"]),
        ("const f = (x) => x();\n\nf(\n1)", &["error 1:18"]),
        ("Promise.reject(new Error('a')); 1", &["unhandled 1:16"]),
        ("\n Promise.reject('no error'); 1", &["unhandled 2:10"]),
        ("(async () => { await null;\n const x = null; x.foo })(); 1", &["unhandled 2:20"]),
        ("const p = Promise.reject(new Error('late')); await null; p.catch(() => {}); 1", &[]),
    ];
    for (program, expected) in cases {
        assert_eq!(places(program), expected, "{program}");
    }
}

#[test]
fn the_line_of_a_failed_call_is_in_the_stack_of_its_error() {
    let code =
        "const x = 1;\nconst f = async () => {\n  await task({ description: 'd' });\n};\nf(); 1";
    let failure = br#"{"reason":"provider","code":"LW0604","message":"it failed"}"#;
    let records =
        run_with(&mut started(bare(), code), |_| (CompletionStatus::Failed, failure.to_vec()))
            .unwrap();
    let unhandled = records.iter().find(|record| record.kind == RecordKind::Unhandled).unwrap();
    assert_eq!((unhandled.position.line, unhandled.position.column), (3, 9));
    assert!(text(unhandled).contains("at <call> (program.js:3:9)"), "{}", text(unhandled));
}

#[test]
fn text_put_in_front_of_the_first_line_does_not_count() {
    let mut guest = bare().guest(&Default::default()).unwrap();
    let prefix = "const {a: b} = {a: 1};";
    let code = format!("{prefix}agent(new Error('x').stack);\nagent(2)");
    let source = Source { code: &code, prefix_columns: prefix.len() as u32, ..Source::default() };
    guest.start(&source, "{}").unwrap();
    let output = guest.turn(&TurnInput::default()).unwrap();
    let places: Vec<_> =
        output.records.iter().map(|it| (it.position.line, it.position.column)).collect();
    assert_eq!(places[..2], [(1, 1), (2, 1)]);
    assert!(text(&output.records[0]).contains("program.js:1:7"), "{}", text(&output.records[0]));
}

#[test]
fn a_syntax_error_is_reported_by_the_first_turn_with_its_place() {
    let output = first_turn("const a = 1;\nconst 'é' = ;").unwrap();
    let record = &output.records[0];
    assert_eq!(
        (record.kind, record.position.line, record.position.column),
        (RecordKind::Error, 2, 7)
    );
    assert!(text(record).contains("SyntaxError"), "{}", text(record));
    assert!(ended(&output));
}

#[test]
fn a_call_in_a_module_names_the_module_s_own_line() {
    let mut guest = bare().guest(&Default::default()).unwrap();
    let modules = vec![(
        "library:m".to_owned(),
        "\nexport const go = () => agent('from module');".to_owned(),
    )];
    let code = "const m = await import('library:m');\nawait m.go()";
    guest.start(&Source { code, modules, ..Source::default() }, "{}").unwrap();
    let records = run_echo(&mut guest).unwrap();
    assert_eq!((records[0].position.line, records[0].position.column), (2, 25));
}

#[test]
fn columns_of_one_long_line_are_found_in_linear_time() {
    // 40,000 nested look-aheads on one line: each column counted from the line's start would take minutes.
    let code = format!("let n = 0; {} agent('end')", "n += ((a) => (a))(1), 'é';".repeat(40_000));
    let records = run_echo(&mut started(bare(), &code)).unwrap();
    let expected = code.chars().count() as u32 - "agent('end')".len() as u32 + 1;
    assert_eq!(records[0].position.column, expected);
}
