//! Hostile programs: every file of `hostile/`, and texts too large to keep as files, is contained. The guest ends by
//! itself, is stopped or waits; the process lives; memory stays within the limit; the next program is unaffected.

mod common;
use common::*;
use loopwright_interpreter::{
    Completion, CompletionStatus, GAS_PER_MS, Guest, Interpreter, Limits, MainState, Record,
    RecordKind, Source, StopCause, TurnInput,
};
use loopwright_types::{Digest, Micros, Slot};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const HEAP_BYTES: usize = 64 << 20;
/// What containing a program may cost beyond its heap.
const BEYOND_BYTES: usize = 32 << 20;
/// Turns that a program may keep busy before the engine's own limits would end it.
const TURNS_MAX: u64 = 40;
/// Memory is measured for the whole process, so these tests run one after the other.
static ALONE: Mutex<()> = Mutex::new(());
const CONFIG: &str = r#"{"args":{"n":1},"tools":["ls","glob"],"subagents":["general-purpose"],"itemsMax":4096,"limits":{"bytes":1000000,"depth":128,"keys":100000}}"#;

fn limits() -> Limits {
    Limits {
        memory_bytes: HEAP_BYTES as u64,
        value_bytes: 1_000_000,
        safety: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// Answers that try to upset the guest in turn with plain ones.
fn answer(count: usize, record: &Record) -> (CompletionStatus, Vec<u8>) {
    let failed = |reason: &str| {
        format!(
            r#"{{"call":1,"reason":"{reason}","code":"LW0604","message":"m","retryable":false,"attempts":1,"usage":{{}}}}"#
        )
    };
    match count % 6 {
        0 => (CompletionStatus::Done, record.bytes.to_vec()),
        1 => (
            CompletionStatus::Done,
            br#"{"then":"x","__proto__":{"polluted":1},"constructor":{"prototype":{}}}"#.to_vec(),
        ),
        2 => (CompletionStatus::Failed, failed("provider").into_bytes()),
        3 => (CompletionStatus::Done, [vec![b'['; 100], vec![b']'; 100]].concat()),
        4 => (CompletionStatus::Failed, failed("schema").into_bytes()),
        _ => (CompletionStatus::Done, br#""text""#.to_vec()),
    }
}

/// How a program came to its end, in a word.
fn run(interpreter: &Interpreter, code: &str, gas: u64) -> (String, usize) {
    let mut guest = interpreter.guest(&limits()).expect("room for one more guest");
    let outcome = drive(&mut guest, code, gas);
    (outcome, guest.memory_bytes())
}

fn drive(guest: &mut Guest, code: &str, gas: u64) -> String {
    if let Err(stop) =
        guest.start(&Source { code, name: "hostile.js", ..Source::default() }, CONFIG)
    {
        return stopped(stop.cause, &stop.detail);
    }
    let mut open: Vec<Record> = Vec::new();
    let mut count = 0;
    for turn in 0..TURNS_MAX {
        let answers: Vec<_> = open
            .iter()
            .map(|record| {
                count += 1;
                (record.id, answer(count, record))
            })
            .collect();
        let completions: Vec<_> = answers
            .iter()
            .map(|(slot, (status, json))| Completion { slot: Slot(*slot), status: *status, json })
            .collect();
        let input =
            TurnInput { now: Micros(turn), gas, completions: &completions, ..TurnInput::default() };
        let output = match guest.turn(&input) {
            Err(stop) => return stopped(stop.cause, &stop.detail),
            Ok(output) => output,
        };
        for record in &output.records {
            let json: Result<serde_json::Value, _> = serde_json::from_slice(&record.bytes);
            assert!(json.is_ok() || record.bytes.len() > 1000, "{record:?} is no JSON");
        }
        open = output.records;
        open.retain(|record| matches!(record.kind, RecordKind::Call { .. }));
        open.truncate(2000);
        if open.is_empty() {
            return match output.main {
                MainState::Fulfilled => "value".to_owned(),
                MainState::Rejected => "error".to_owned(),
                MainState::Pending => "waits".to_owned(),
            };
        }
    }
    "goes on".to_owned()
}

fn stopped(cause: StopCause, detail: &str) -> String {
    assert!(cause != StopCause::Trap, "a trap that nothing expects: {detail}");
    format!("stopped: {cause:?}")
}

/// What a well-behaved program does, to the last byte of its memory.
fn probe(interpreter: &Interpreter) -> (Vec<String>, Digest) {
    let code = "const r = await parallel([() => agent('a'), () => agent('b')]); console.log(r); [1, 2].map((x) => x * 2)";
    let mut guest = interpreter.guest(&Limits::default()).expect("room for one more guest");
    guest.start(&Source { code, ..Source::default() }, CONFIG).expect("loads");
    let records = run_echo(&mut guest).expect("ends");
    (records.iter().map(text).collect(), guest.memory_hash().expect("has not stopped"))
}

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}

fn contained(
    interpreter: &Interpreter,
    name: &str,
    code: &str,
    normal: &(Vec<String>, Digest),
) -> String {
    let before = resident();
    let (outcome, memory) = run(interpreter, code, 100 * GAS_PER_MS);
    assert!(memory <= HEAP_BYTES + BEYOND_BYTES, "{name}: {memory} bytes of linear memory");
    let grown = resident().saturating_sub(before);
    assert!(grown <= HEAP_BYTES + BEYOND_BYTES, "{name}: the process grew by {grown} bytes");
    assert_eq!(&probe(interpreter), normal, "{name}: the next program is affected");
    outcome
}

#[test]
fn every_hostile_file_is_contained() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let interpreter = real();
    let normal = probe(interpreter);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 250, "files are missing");
    let only = std::env::var("LOOPWRIGHT_HOSTILE").unwrap_or_default();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for path in files.iter().filter(|path| path.to_string_lossy().contains(&only)) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let code = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let outcome = contained(interpreter, &name, &code, &normal);
        println!("{name}: {outcome}");
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{outcomes:?}");
}

/// Values, and in [`PLACES`] where they are given.
const VALUES: &[&str] = &[
    "{ get x() { for (;;); } }",
    "{ toJSON() { for (;;); } }",
    "{ then(r) { for (;;); } }",
    "{ toString() { for (;;); } }",
    "{ [Symbol.toPrimitive]() { for (;;); } }",
    "{ [Symbol.iterator]() { for (;;); } }",
    "new Proxy({}, { get() { for (;;); } })",
    "new Proxy(() => 1, { apply() { for (;;); }, get: (t, k) => t[k] })",
    "{ length: 2 ** 53 - 1 }",
    "new Array(4e9)",
    "new Proxy([], { get: (t, k) => (k === 'length' ? 1e9 : () => 1) })",
    "Array.from({ length: 5000 }, () => () => 1)",
    "'x'.repeat(2 ** 27)",
    "Symbol('x')",
    "10n ** 1000n",
    "NaN",
    "-0",
    "new Error('x'.repeat(1e6))",
    "new Map([[{}, {}]])",
    "new Date(NaN)",
    "/x/",
    "async () => { for (;;) await null }",
    "() => { throw { get message() { for (;;); } } }",
    "agent",
    "globalThis",
    "[[() => agent('a')]]",
    "Object.create(null)",
    "{ __proto__: null, schema: { $ref: '#' } }",
    "null",
    "undefined",
    "{ schema: (() => { const s = {}; s.s = s; return s })() }",
    "(function* () { for (;;) yield () => 1 })()",
];

const PLACES: &[&str] = &[
    "await agent(V)",
    "await agent('p', V)",
    "await agent('p', { schema: V, label: V })",
    "await agent('p', { timeoutMs: V })",
    "await task(V)",
    "await task({ description: V, responseSchema: V })",
    "await parallel(V)",
    "await parallel([V, () => V])",
    "await pipeline(V, (x) => x)",
    "await pipeline([1], V, () => V)",
    "await settle([V, () => V])",
    "phase(V)",
    "log(V)",
    "console.log(V, [V])",
    "await tools.ls(V)",
    "await tools[V](1)",
    "await workflow(V, V)",
    "await sleep(V)",
    "await quorum(V, [() => V])",
    "await hedge(() => V, V)",
    "await withDeadline(V, () => V, V)",
    "await approve(V, V)",
    "coverage(V, V)",
    "for await (const x of asCompleted(V)) { }",
    "throw V",
    "return V",
    "await V",
    "Promise.reject(V); 1",
    "structuredClone(V)",
    "await import(V)",
    "await budget.remaining(V)",
    "failures(V)",
];

#[test]
fn hostile_values_are_contained_wherever_they_are_given() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let interpreter = real();
    let normal = probe(interpreter);
    for place in PLACES {
        for value in VALUES {
            let code = place.replace('V', &format!("({value})"));
            // The programs are many and short: the process is checked after each place instead of after each one.
            let (_, memory) = run(interpreter, &code, 5 * GAS_PER_MS);
            assert!(memory <= HEAP_BYTES + BEYOND_BYTES, "{code}: {memory} bytes");
        }
        assert_eq!(probe(interpreter), normal, "{place}: the next program is affected");
    }
}

#[test]
fn hostile_source_texts_are_contained() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let interpreter = real();
    let normal = probe(interpreter);
    for (name, code) in nested_texts().iter().chain(&long_texts()) {
        let outcome = contained(interpreter, name, code, &normal);
        println!("{name}: {outcome}");
    }
}

/// How often something is repeated.
const REPEATS: usize = 100_000;

fn nested_texts() -> Vec<(&'static str, String)> {
    let n = REPEATS;
    let nested = |open: &str, middle: &str, close: &str| {
        format!("{}{middle}{}", open.repeat(n), close.repeat(n))
    };
    vec![
        ("parentheses", nested("(", "1", ")")),
        ("brackets", nested("[", "1", "]")),
        ("blocks", nested("{", "1", "}")),
        ("arrows", format!("{}1", "x=>".repeat(n))),
        ("arrow parentheses", nested("(x=(", "1", ")=>1)")),
        ("functions", nested("function f(){", "1", "}")),
        ("classes", nested("class A{static{", "1", "}}")),
        ("templates", nested("`${", "1", "}`")),
        ("unary", format!("{}1", "!".repeat(n))),
        ("conditionals", format!("{}1", "1?1:".repeat(n))),
        ("exponents", format!("{}1", "2**".repeat(n))),
        ("members", format!("a{}", ".b".repeat(n))),
        ("optional members", format!("a{}", "?.b".repeat(n))),
        ("calls", format!("f{}", "()".repeat(n))),
        ("sums", format!("1{}", "+1".repeat(n))),
        ("commas", format!("1{}", ",1".repeat(n))),
        ("news", format!("{}f", "new ".repeat(n))),
        ("awaits", format!("{}1", "await ".repeat(n))),
        ("spreads", nested("[...", "[]", "]")),
        ("destructuring", format!("var {} = 1", nested("[", "a", "]"))),
        ("object patterns", format!("var {} = 1", nested("{a:", "b", "}"))),
        ("object literals", format!("({})", nested("{a:", "1", "}"))),
        ("ifs", format!("{}1", "if(1)".repeat(n))),
        ("elses", "if(0);else ".repeat(n) + "1"),
        ("loops", format!("{}break", "for(;;)".repeat(n))),
        ("tries", nested("try{", "1", "}finally{}")),
        ("withs", format!("{}1", "with({})".repeat(n))),
        ("switches", nested("switch(1){case 1:", "1", "}")),
        ("regular expression", format!("/{}/", nested("(", "a", ")"))),
        ("unclosed", "(".repeat(n)),
        ("unclosed template", "`${".repeat(n)),
        ("unclosed comment", "/*".repeat(n)),
    ]
}

fn long_texts() -> Vec<(&'static str, String)> {
    let n = REPEATS;
    let many = |write: &dyn Fn(usize) -> String| (0..n).map(write).collect::<String>();
    vec![
        ("labels", many(&|i| format!("l{i}:")) + ";"),
        ("cases", format!("switch(1){{{}}}", many(&|i| format!("case {i}:")))),
        ("variables", many(&|i| format!("let v{i}={i};"))),
        ("local variables", format!("(()=>{{{}}})()", many(&|i| format!("let v{i}={i};")))),
        ("arguments", format!("f({})", "1,".repeat(n))),
        ("parameters", format!("(function({}q){{}})()", many(&|i| format!("p{i},")))),
        ("elements", format!("[{}]", "1,".repeat(n))),
        ("members of a literal", format!("({{{}}})", many(&|i| format!("k{i}:1,")))),
        ("private names", format!("class A{{{}}}", many(&|i| format!("#p{i};")))),
        ("methods", format!("class A{{{}}}", "m(){}".repeat(n))),
        ("closures over one", format!("let a=1;{}", "(()=>a);".repeat(n))),
        ("alternatives", format!("/{}/", "a|".repeat(n))),
        ("many regular expressions", "/a(b|c)*d/u;".repeat(n)),
        ("long string", format!("'{}'", "x".repeat(50 * n))),
        ("long identifier", "x".repeat(50 * n)),
        ("long comment", format!("/*{}*/1", "x".repeat(50 * n))),
        ("long number", "1".repeat(10 * n)),
        ("long big integer", "1".repeat(10 * n) + "n"),
        ("lines", "\n".repeat(10 * n) + "1"),
        ("a long line of é", "é".repeat(5 * n) + &";é();".repeat(1000)),
        ("statements", "f();".repeat(5 * n)),
        ("imports", "await import('m').catch(()=>0);".repeat(2000)),
        ("nothing", String::new()),
        ("a mark", "\u{feff}1".to_owned()),
        ("NULs", "\0".repeat(1000)),
        ("private use", "\u{e000}\u{10ffff}".to_owned()),
    ]
}
