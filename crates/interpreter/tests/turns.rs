//! Turns: settling, scopes, time, chance, gas, memory, and what is absent.

mod common;
use common::*;
use loopwright_interpreter::{
    Completion, CompletionStatus, GAS_PER_MS, Interpreter, Limits, MainState, RecordKind, Source,
    StopCause, TurnInput, run_on_big_stack,
};
use loopwright_types::{Code, Micros, ScopeId, Slot};

fn guest_of(
    interpreter: &Interpreter,
    code: &str,
    limits: &Limits,
) -> loopwright_interpreter::Guest {
    let mut guest = interpreter.guest(limits).unwrap();
    guest.start(&Source { code, ..Source::default() }, "{}").unwrap();
    guest
}

#[test]
fn completions_are_delivered_as_data_and_failures_through_the_prelude() {
    let failed = |reason: &str| format!(r#"{{"reason":"{reason}","code":"LW0604","message":"m"}}"#);
    let cases = [
        (
            "await agent(1)",
            CompletionStatus::Done,
            r#"{"__proto__":{"x":1},"then":1}"#.to_owned(),
            r#"{"__proto__":{"x":1},"then":1}"#,
        ),
        (
            "Object.getPrototypeOf(await agent(1)) === Object.prototype",
            CompletionStatus::Done,
            r#"{"__proto__":null}"#.to_owned(),
            "true",
        ),
        ("await agent(1)", CompletionStatus::Failed, failed("provider"), "null"),
        (
            "try { await agent(1) } catch (e) { [e.name, e.code, e.message] }",
            CompletionStatus::Failed,
            failed("schema"),
            r#"["TaskError","LW0604","m"]"#,
        ),
        (
            "await task({})",
            CompletionStatus::DoneTracked,
            r#"{"value":[1],"receipt":{"call":7}}"#.to_owned(),
            "[1]",
        ),
        (
            "try { await agent(1) } catch (e) { e.name }",
            CompletionStatus::Done,
            "{broken".to_owned(),
            r#""SyntaxError""#,
        ),
    ];
    for (program, status, json, expected) in cases {
        let records =
            run_with(&mut started(bare(), program), |_| (status, json.clone().into_bytes()))
                .unwrap();
        let result = records.iter().find(|record| record.kind == RecordKind::Result).unwrap();
        assert_eq!(text(result), expected, "{program}");
        let noted = records.iter().any(|record| text(record).contains(r#""receipt":{"call":7}"#));
        assert_eq!(noted, status == CompletionStatus::DoneTracked, "{program}");
    }
}

#[test]
fn a_completion_for_no_call_is_refused() {
    let mut guest = started(bare(), "await agent(1)");
    guest.turn(&TurnInput::default()).unwrap();
    for slot in [1, 77, u32::MAX] {
        let completion =
            Completion { slot: Slot(slot), status: CompletionStatus::Done, json: b"1" };
        let stop = guest
            .turn(&TurnInput { completions: &[completion], ..TurnInput::default() })
            .unwrap_err();
        assert_eq!(stop.cause, StopCause::Trap);
    }
}

#[test]
fn scopes_follow_await_then_and_async_generators() {
    let cases = [
        ("await agent(0)", vec![0]),
        ("await parallel([() => agent(1), () => agent(2)])", vec![1, 2]),
        (
            "await parallel([async () => { await null; await agent(1); await agent(1) }, () => agent(2)])",
            vec![2, 1, 1],
        ),
        (
            "await parallel([() => Promise.resolve().then(() => agent(1)).finally(() => agent(1)), () => agent(2)])",
            vec![2, 1, 1],
        ),
        (
            "async function* g() { yield agent(1); await null; yield agent(1) }\nawait parallel([async () => { for await (const x of g()) await agent(1) }, () => agent(2)])",
            vec![1, 2, 1, 1, 1],
        ),
        (
            "await parallel([() => parallel([() => agent(2)]), () => agent(3)]); await agent(0)",
            vec![2, 3, 0],
        ),
        (
            "await parallel([async () => { try { await agent(1) } finally { await agent(1) } }])\nawait agent(0)",
            vec![1, 1, 0],
        ),
        (
            "let go; const p = new Promise((r) => { go = r }); await parallel([() => p.then(() => agent(1)), async () => { await null; go() }])",
            vec![1],
        ),
        ("await parallel([() => import('loopwright:none').catch(() => agent(1))])", vec![1]),
        ("await parallel([() => ({ then(done) { agent(1); done() } })])", vec![1]),
    ];
    for (program, expected) in cases {
        let records = run_echo(&mut started(bare(), program)).unwrap();
        let calls = records.iter().filter(|record| matches!(record.kind, RecordKind::Call { .. }));
        let scopes: Vec<_> = calls.map(|record| record.scope.0).collect();
        assert_eq!(scopes, expected, "{program}");
        for record in records.iter().filter(|record| matches!(record.kind, RecordKind::Call { .. }))
        {
            let said = text(record).replace(r#"{"prompt":"#, "").replace('}', "");
            assert_eq!(ScopeId(said.parse().unwrap()), record.scope, "{program}");
        }
    }
}

#[test]
fn a_call_without_a_frame_has_the_position_of_its_scope() {
    let program = "native.hooks({ failure() {}, finish() {}, start() {}, success() {} });\nconst later = native.call.bind(null, 2, {}, 0);\nawait parallel([() => Promise.resolve().then(later)])";
    let records = run_echo(&mut started(bare(), program)).unwrap();
    let call =
        records.iter().find(|record| matches!(record.kind, RecordKind::Call { .. })).unwrap();
    assert_eq!((call.position.line, call.position.column), (3, 7));
}

#[test]
fn time_and_chance_are_the_host_s() {
    let program = "[Date.now(), new Date().toISOString(), new Date().getTimezoneOffset(), Math.random(), Math.random()]";
    let run = |seed: u64| {
        let mut guest = bare().guest(&Limits::default()).unwrap();
        guest.set_seed(seed);
        guest.start(&Source { code: program, ..Source::default() }, "{}").unwrap();
        let input = TurnInput { now: Micros(1_767_225_600_123_456), ..TurnInput::default() };
        text(&guest.turn(&input).unwrap().records[0])
    };
    assert!(run(1).starts_with(r#"[1767225600123,"2026-01-01T00:00:00.123Z",0,0."#), "{}", run(1));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_ne!(run(0), run(1));
}

#[test]
fn the_same_inputs_give_the_same_memory_to_the_last_byte() {
    let program = "
        const m = new Map(); for (let i = 0; i < 5000; i++) m.set('k' + Math.random(), i);
        const rs = await Promise.all([...m.keys()].slice(0, 50).map((k) => agent(k)));
        await agent(rs.length); m.size";
    let run = || {
        let mut guest = started(bare(), program);
        guest.set_seed(5);
        let records = run_echo(&mut guest).unwrap();
        (records, guest.memory_hash().unwrap())
    };
    assert_eq!(run(), run());
    // Another engine, guests allocated one by one, another history of guests before: the same.
    let single = Interpreter::new(loopwright_interpreter::Options {
        prelude: loopwright_interpreter::Prelude {
            script: include_str!("prelude.js").into(),
            modules: vec![],
        },
        pool: 1,
        ..options()
    })
    .unwrap();
    let occupant = single.guest(&Limits::default()).unwrap();
    let mut guest = started(&single, program);
    guest.set_seed(5);
    assert_eq!((run_echo(&mut guest).unwrap(), guest.memory_hash().unwrap()), run());
    drop(occupant);
}

#[test]
fn gas_stops_at_the_same_place_every_time_and_nothing_swallows_it() {
    let loops = [
        "for (;;) { n++ }",
        "for (;;) { try { for (;;) n++ } catch {} finally { n = 0 } }",
        "const f = () => { n++; return Promise.resolve().then(f) }; await f()",
        "const f = async () => { for (;;) { try { await null; n++ } catch {} } }; await f()",
        "/(a+)+b/.test('a'.repeat(40))",
        "[1, 2, 3].sort(() => { for (;;) n++ })",
        "const o = { get x() { for (;;) n++ } }; o.x",
        "native.encode({ toJSON() { for (;;) n++ } })",
        "throw { get message() { for (;;) n++ } }",
        "return { get x() { for (;;) n++ } }",
        "Promise.reject({ get message() { for (;;) n++ } }); 1",
        "String({ toString() { for (;;) n++ } })",
        "for (const x of { [Symbol.iterator]() { return { next() { n++; return { done: false } } } } });",
        "new Proxy({}, { get() { for (;;) n++ } }).x",
        "await { then(r) { for (;;) n++ } }",
        "JSON.stringify({ toJSON() { for (;;) n++ } })",
        "while (true) await agent.call.call(() => null)",
        "async function* g() { for (;;) yield n++ } for await (const x of g());",
    ];
    for code in loops {
        let run = || {
            let mut guest = started(bare(), &format!("let n = 0;\n{code}"));
            let input = TurnInput { gas: 50, ..TurnInput::default() };
            let stop = guest.turn(&input).unwrap_err();
            assert!(guest.turn(&TurnInput::default()).is_err(), "a stopped guest must not run on");
            stop
        };
        let stop = run();
        assert_eq!(stop.cause, StopCause::Gas, "{code}");
        assert_eq!(stop.diagnostic().code, Code::GUEST_CPU);
        let at = stop.location.clone().unwrap_or_else(|| panic!("{code}: no position"));
        assert_eq!((at.file.as_str(), at.position.line), ("program.js", 2), "{code}");
        assert_eq!(run(), stop, "{code}");
    }
}

#[test]
fn gas_is_counted_per_turn() {
    let program =
        "for (let t = 0; t < 5; t++) { for (let i = 0; i < 20000; i++); await agent(t) } 'done'";
    let mut guest = started(bare(), program);
    let output = guest.turn(&TurnInput { gas: 60, ..TurnInput::default() }).unwrap();
    assert!((39..=42).contains(&output.ticks), "{}", output.ticks);
    let mut guest = started(bare(), program);
    assert!(guest.turn(&TurnInput { gas: 30, ..TurnInput::default() }).is_err());
    const { assert!(GAS_PER_MS > 0) };
}

#[test]
fn running_out_of_memory_has_a_name_and_a_line() {
    let hogs = [
        "const a = [];\nfor (;;) a.push('x'.repeat(1e6) + a.length)",
        "\nnew ArrayBuffer(1e9)",
        "const m = new Map();\nfor (let i = 0; ; i++) m.set(i, { i })",
        "const a = [];\nfor (;;) { try { a.push(new Array(1e5).fill(1.5)) } catch (e) { } }",
        "const a = []; try { for (;;) { a.push(new Array(1e5).fill(1.5)) } }\nfinally { await agent('more') }",
        "const ps = [];\nfor (;;) ps.push(new Promise(() => {}))",
        "\n'x'.repeat(1e8).split('')",
    ];
    for code in hogs {
        let limits = Limits { memory_bytes: 16 << 20, ..Limits::default() };
        let mut guest = guest_of(bare(), code, &limits);
        let stop = guest.turn(&TurnInput { gas: 1 << 40, ..TurnInput::default() }).unwrap_err();
        assert_eq!(stop.cause, StopCause::Memory, "{code}");
        assert_eq!(stop.diagnostic().code, Code::GUEST_MEMORY, "{code}");
        let line = stop.location.map_or(0, |at| at.position.line);
        assert!((1..=2).contains(&line), "{code}: line {line}");
    }
}

#[test]
fn garbage_is_collected_before_memory_is_said_to_have_run_out() {
    let limits = Limits { memory_bytes: 8 << 20, ..Limits::default() };
    let code = "for (let i = 0; i < 3000; i++) { const a = { big: new Array(1000).fill(i) }; a.self = a } 'done'";
    let output = guest_of(bare(), code, &limits).turn(&TurnInput::default()).unwrap();
    assert_eq!(text(&output.records[0]), r#""done""#);
}

#[test]
fn recursion_is_an_error_that_a_program_can_catch() {
    let cases = [
        "const f = () => f(); try { f() } catch (e) { e.name }",
        "const o = { get x() { return this.x } }; try { o.x } catch (e) { e.name }",
        "const f = () => { try { return f() } catch (e) { return e.name } }; f()",
        "let o = {}; for (let i = 0; i < 1e5; i++) o = [o]; try { JSON.stringify(o) } catch (e) { e.name }",
        "try { JSON.parse('['.repeat(1e5)) } catch (e) { e.name }",
        "const p = new Proxy({}, { get: (t, k, r) => r[k] }); try { p.x } catch (e) { e.name }",
    ];
    for code in cases {
        let got = value(code);
        assert!(got == r#""RangeError""# || got == r#""SyntaxError""#, "{code}: {got}");
    }
}

#[test]
fn a_program_on_a_small_thread_does_not_end_the_process() {
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let code = "let o = {}; for (let i = 0; i < 1e5; i++) o = [o]; try { JSON.stringify(o) } catch (e) { e.name }";
    let got = thread.spawn(move || value(code)).unwrap().join().unwrap();
    assert_eq!(got, r#""RangeError""#);
    assert_eq!(run_on_big_stack(move || value(code)), r#""RangeError""#);
}

#[test]
fn the_safety_stop_ends_what_gas_does_not_see() {
    let limits = Limits { safety: std::time::Duration::from_millis(60), ..Limits::default() };
    for code in [
        "\nfor (;;);",
        "\n'a'.repeat(1e6).replaceAll('a', 'b'.repeat(60)); new Array(5e6).fill(0).map((_, i) => -i).sort(); for(;;);",
        "\nnew RegExp('a|'.repeat(1e5) + 'b'); for(;;);",
    ] {
        let stop = guest_of(bare(), code, &limits)
            .turn(&TurnInput { gas: 1 << 50, ..TurnInput::default() });
        let stop = stop.unwrap_err();
        assert_eq!(stop.diagnostic().code, Code::GUEST_SAFETY_STOP, "{code}");
        assert!(!stop.is_deterministic());
        assert_eq!(stop.location.map(|at| at.position.line), Some(2), "{code}");
    }
}

#[test]
fn interpreters_are_shared_and_guests_move_between_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    fn moves<T: Send>() {}
    shared::<Interpreter>();
    moves::<loopwright_interpreter::Guest>();
    let mut guest = started(bare(), "await agent(1); await agent(2); 'end'");
    let records = std::thread::spawn(move || {
        let first = guest.turn(&TurnInput::default()).unwrap();
        (guest, first.records)
    });
    let (mut guest, records) = records.join().unwrap();
    let completion =
        Completion { slot: Slot(records[0].id), status: CompletionStatus::Done, json: b"1" };
    let output =
        guest.turn(&TurnInput { completions: &[completion], ..TurnInput::default() }).unwrap();
    assert_eq!(text(&output.records[0]), r#"{"prompt":2}"#);
}

#[test]
fn output_over_the_limit_of_a_turn_stops_the_guest() {
    let limits = Limits { output_bytes: 100_000, ..Limits::default() };
    for code in [
        "for (;;) log('x')",
        "for (;;) { try { log('x'.repeat(1000)) } catch {} }",
        "for (;;) agent('x')",
        "for (;;) native.note({ note: 'x' })",
        "for (;;) native.newScope()",
        "for (;;) Promise.reject(new Error('x'.repeat(1e4)))",
        "log('x'.repeat(200000))",
    ] {
        let stop = guest_of(bare(), code, &limits)
            .turn(&TurnInput { gas: 1 << 20, ..TurnInput::default() });
        let cause = stop.unwrap_err().cause;
        // Rejections are only written at the end of a pump, so that loop may use up memory or gas first.
        let rejections =
            code.contains("reject") && matches!(cause, StopCause::Gas | StopCause::Memory);
        assert!(cause == StopCause::Output || rejections, "{code}: {cause:?}");
    }
}

#[test]
fn unhandled_rejections_are_reported_once_at_the_end_of_the_pump() {
    let program = "Promise.reject(new Error('never')); const late = Promise.reject(new Error('late'));
        await null; late.catch(() => {}); await agent(1); const p = Promise.reject(new Error('second')); 'end'";
    let records = run_echo(&mut started(bare(), program)).unwrap();
    let unhandled: Vec<_> =
        records.iter().filter(|record| record.kind == RecordKind::Unhandled).map(text).collect();
    assert_eq!(unhandled.len(), 2, "{unhandled:?}");
    assert!(
        unhandled[0].contains(r#""message":"never""#)
            && unhandled[1].contains(r#""message":"second""#)
    );
}

#[test]
fn what_a_program_must_not_reach_is_absent() {
    let absent = [
        "eval",
        "SharedArrayBuffer",
        "Atomics",
        "WeakRef",
        "FinalizationRegistry",
        "performance",
        "setTimeout",
        "process",
        "require",
        "fetch",
        "__lw",
        "std",
        "os",
        "gc",
        "print",
    ];
    for name in absent {
        assert_eq!(value(&format!("typeof globalThis.{name}")), r#""undefined""#, "{name}");
    }
    let compilers = [
        "Function('return 1')",
        "new Function('return 1')",
        "(() => {}).constructor('return 1')",
        "(async () => {}).constructor('return 1')",
        "(function* () {}).constructor('yield 1')",
        "(async function* () {}).constructor('yield 1')",
        "Reflect.construct(Function, ['return 1'])",
        "Object.getPrototypeOf(async function () {}).constructor('return 1')()",
        "[].map.constructor('return 1')()",
    ];
    for code in compilers {
        assert_eq!(value(code), "TypeError: eval is not supported", "{code}");
    }
    assert_eq!(value("await import('fs')"), "TypeError: [LW0105] cannot import `fs`");
}

#[test]
fn modules_are_found_by_name_and_run_once() {
    let mut guest = bare().guest(&Limits::default()).unwrap();
    let modules = vec![
        (
            "loopwright:a".to_owned(),
            "import { n } from 'loopwright:b'; log('a'); export const a = n + 1;".to_owned(),
        ),
        (
            "loopwright:b".to_owned(),
            "log('b'); export let n = await Promise.resolve(41);".to_owned(),
        ),
    ];
    let code = "const { a } = await import('loopwright:a'); const m = await import('loopwright:b'); [a, m.n]";
    guest.start(&Source { code, modules, ..Source::default() }, "{}").unwrap();
    let records: Vec<_> = run_echo(&mut guest).unwrap().iter().map(text).collect();
    assert_eq!(
        records[..3],
        [r#"{"level":"info","text":"b"}"#, r#"{"level":"info","text":"a"}"#, "[42,41]"]
    );
}

#[test]
fn sloppy_and_strict_programs_differ_as_the_standard_says() {
    let strictness = |strict: bool| {
        let mut guest = bare().guest(&Limits::default()).unwrap();
        let code = "(function () { return this === undefined })()";
        guest.start(&Source { code, strict, ..Source::default() }, "{}").unwrap();
        text(&guest.turn(&TurnInput::default()).unwrap().records[0])
    };
    assert_eq!((strictness(false), strictness(true)), ("false".to_owned(), "true".to_owned()));
}

#[test]
fn the_finish_hook_runs_once_when_everything_has_settled() {
    let program = "agent('not awaited'); 'value'";
    let mut guest = started(bare(), program);
    let output = guest.turn(&TurnInput::default()).unwrap();
    assert_eq!((output.main, output.pending), (MainState::Fulfilled, 1));
    assert!(!output.records.iter().any(|record| record.kind == RecordKind::Note));
    let completion = Completion { slot: Slot(0), status: CompletionStatus::Done, json: b"1" };
    let output =
        guest.turn(&TurnInput { completions: &[completion], ..TurnInput::default() }).unwrap();
    assert_eq!(
        output.records.iter().map(text).collect::<Vec<_>>(),
        [r#"{"note":"finish","count":1}"#]
    );
    assert!(guest.turn(&TurnInput::default()).unwrap().records.is_empty());
}

#[test]
fn one_guest_s_changes_are_not_another_s() {
    let spoiler = "Object.prototype.spoiled = 1; Array.prototype.map = null; globalThis.left = 1; delete globalThis.JSON; 'done'";
    assert_eq!(value(spoiler), r#""done""#);
    assert_eq!(
        value("[typeof left, typeof JSON, ({}).spoiled, [1].map((x) => x)]"),
        r#"["undefined","object",null,[1]]"#
    );
}

#[test]
fn a_hundred_thousand_pending_calls_stay_small() {
    let limits = Limits { memory_bytes: 1 << 30, ..Limits::default() };
    let code = "await Promise.all(Array.from({ length: 100000 }, (_, i) => agent('summarise file number ' + i)))";
    let mut guest = guest_of(bare(), code, &limits);
    let before = guest.memory_bytes();
    let output = guest.turn(&TurnInput { gas: 1 << 40, ..TurnInput::default() }).unwrap();
    assert_eq!((output.pending, output.records.len()), (100_000, 100_000));
    let each = (guest.memory_bytes() - before) / 100_000;
    assert!(each <= 2200, "{each} bytes of guest memory per pending call");
}
