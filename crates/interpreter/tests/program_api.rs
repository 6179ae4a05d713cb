//! The real prelude on the real guest, end to end: only that they fit. What the prelude does is in `prelude_*.rs`.

mod common;
use common::*;
use loopwright_interpreter::RecordKind;

#[test]
fn a_program_calls_through_the_prelude_and_gets_its_answers() {
    let code = "
        import_ = await import('loopwright:patterns');
        const [a, b] = await parallel([() => agent('one'), () => task({ description: 'two' })]);
        console.log(typeof import_.fanOut, Date.now());
        [typeof a, typeof b]";
    let records = run_echo(&mut started(real(), code)).unwrap();
    let of = |wanted: fn(&RecordKind) -> bool| -> Vec<String> {
        records.iter().filter(|record| wanted(&record.kind)).map(text).collect()
    };
    assert_eq!(of(|kind| matches!(kind, RecordKind::Call { .. })).len(), 2);
    assert_eq!(of(|kind| *kind == RecordKind::Result), [r#"["object","object"]"#]);
    assert_eq!(of(|kind| *kind == RecordKind::Log), [r#"{"level":"log","text":"function 0"}"#]);
    assert!(of(|kind| matches!(kind, RecordKind::Unhandled | RecordKind::Error)).is_empty());
}
