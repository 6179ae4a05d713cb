//! What `check` learns from a program's text.

use loopwright_program::parse;

/// Each call as `callee@line`, with `loop`, `function`, `awaited` and the name it gives.
fn calls(source: &str) -> Vec<String> {
    let program = parse("a.ts", source).unwrap_or_else(|report| panic!("{source}\n{report}"));
    let shown = program.calls.iter().map(|call| {
        let mut words = vec![format!("{}@{}", call.callee, call.position.line)];
        let flags =
            [(call.in_loop, "loop"), (call.in_function, "function"), (call.awaited, "awaited")];
        words.extend(flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()));
        words.extend(call.names.iter().map(|name| format!("`{name}`")));
        words.join(" ")
    });
    shown.collect()
}

fn warnings(source: &str) -> Vec<String> {
    let program = parse("a.ts", source).unwrap_or_else(|report| panic!("{source}\n{report}"));
    let shown = program.warnings.iter().map(|warning| {
        let line = warning.location.as_ref().map_or(0, |at| at.position.line);
        let hint = warning.hint.as_deref().unwrap_or("-");
        format!("{} {line}: {}; {hint}", warning.code, warning.message)
    });
    shown.collect()
}

#[test]
fn calls_of_the_api_are_listed_with_where_they_stand() {
    let source = "phase('Scan');
const a = await task({ description: 'x', subagentType: 'explorer' });
for (const file of (await tools.glob({ pattern: '*' })).split('\\n')) {
  await agent(file, { agentType: `reader`, schema });
}
const all = await parallel(files.map((file) => () => agent(file)));
async function go() { return workflow('deep', {}); }
await (sleep(5));
other.agent('x'); tools['ls']({});";
    assert_eq!(
        calls(source),
        [
            "phase@1 `Scan`",
            "task@2 awaited `explorer`",
            "tools.glob@3 awaited",
            "agent@4 loop awaited `reader`",
            "parallel@6 awaited",
            "agent@6 loop function",
            "workflow@7 function `deep`",
            "sleep@8 awaited",
        ]
    );
}

#[test]
fn a_name_that_the_program_declares_is_not_the_api() {
    let source = "import { agent } from 'library:x'; const task = (x) => x;\nawait agent('a'); task('b'); phase('c');";
    assert_eq!(calls(source), ["phase@2 `c`"]);
    assert_eq!(warnings(source), [""; 0]);
}

#[test]
fn a_call_that_nobody_awaits_is_warned_about() {
    let lost = |line: u32, callee: &str| {
        format!(
            "LW0110 {line}: `{callee}(…)` is not awaited, so its result is lost; write `await` in front of it, or `void` if only its effect matters"
        )
    };
    let cases = [
        ("agent('a');\nlog('b');\nx = 1", vec![lost(1, "agent")]),
        (
            "async function f() {\n  task({ description: 'a' });\n}\nawait f()",
            vec![lost(2, "task")],
        ),
        ("for (const a of [1]) {\n  tools.ls({});\n}\n1", vec![lost(2, "tools.ls")]),
        // The last statement gives the program's value, which is awaited.
        ("agent('a');", vec![]),
        ("if (args) agent('a'); else { agent('b') }\nfunction f() {}", vec![]),
        (
            "void agent('a'); await agent('b'); const p = agent('c'); agent('d').then(log);\n1",
            vec![],
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(warnings(source), expected, "{source}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_warned_about_once() {
    let source = "await agnet('x'); agnet('y');\nsetTimeout(f, 5); function f(a: Type) { return a as Other }\nfetch(url);\nif (typeof window !== 'undefined') {}\nsloppy = 1; sloppy += 1;";
    assert_eq!(
        warnings(source),
        [
            "LW0112 1: `agnet` is not defined; did you mean `agent`?",
            "LW0112 2: `setTimeout` is not defined; wait with `await sleep(ms)`",
            "LW0112 3: `fetch` is not defined; a program has no network: give the question to a subagent with `agent(…)`",
            "LW0112 3: `url` is not defined; -",
        ]
    );
}

#[test]
fn ordinary_programs_of_both_dialects_raise_no_warning() {
    let sources = [
        "const files = (await tools.glob({ pattern: 'src/**' })).split('\\n').filter(Boolean);
const found = await Promise.all(files.map((f) => task({ description: `read ${f}`, responseSchema: { type: 'object' } })));
const confirmed = found.filter((x) => x != null && Number.isFinite(x.score));
console.log(JSON.stringify(confirmed), new Map([[1, Symbol.iterator]]), structuredClone({}));
confirmed;",
        "export const meta = { name: 'a', description: 'b', phases: [{ title: 'A' }] };
phase('A');
const out = await pipeline(args?.items ?? [], (x, item, i) => agent(`a ${x} ${i}`, { label: item }), async (x) => x && agent(x));
log(`spent ${budget.spent()}`);
try { coverage(out); } catch (e) { if (e instanceof TaskError) log(e.reason); throw e; }
label: for (;;) { break label; }
return { out, left: failures(), self: globalThis.args, u: undefined, n: NaN };",
    ];
    for source in sources {
        assert_eq!(warnings(source), [""; 0]);
    }
}
