//! The globals of a program, and the closest one to a misspelt name.

/// API globals whose call gives a promise.
pub(crate) const ASYNC_CALLS: &[&str] = &[
    "task",
    "agent",
    "parallel",
    "pipeline",
    "workflow",
    "settle",
    "quorum",
    "hedge",
    "withDeadline",
    "sleep",
    "approve",
];

/// API globals that are called, but give no promise.
pub(crate) const OTHER_CALLS: &[&str] = &["phase", "log", "coverage", "failures", "asCompleted"];

/// Every other name that is there without being declared.
const VALUES: &[&str] = &[
    "AggregateError",
    "Array",
    "ArrayBuffer",
    "AsyncIterator",
    "BigInt",
    "BigInt64Array",
    "BigUint64Array",
    "Boolean",
    "DataView",
    "Date",
    "DisposableStack",
    "Error",
    "EvalError",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "Infinity",
    "Int16Array",
    "Int32Array",
    "Int8Array",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "NaN",
    "Number",
    "Object",
    "Promise",
    "Proxy",
    "RangeError",
    "ReferenceError",
    "Reflect",
    "RegExp",
    "Set",
    "String",
    "SuppressedError",
    "Symbol",
    "SyntaxError",
    "TaskError",
    "TypeError",
    "URIError",
    "Uint16Array",
    "Uint32Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "WeakMap",
    "WeakSet",
    "args",
    "arguments",
    "budget",
    "console",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "globalThis",
    "isFinite",
    "isNaN",
    "parseFloat",
    "parseInt",
    "structuredClone",
    "tools",
    "undefined",
    "unescape",
];

/// Names of other places, with what there is instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("Atomics", "a program has one thread; use `parallel` or `Promise.all`"),
    ("Buffer", "use strings, or `Uint8Array`"),
    ("Bun", "a program runs in a sandbox of its own"),
    ("Deno", "a program runs in a sandbox of its own"),
    ("FinalizationRegistry", "nothing in a program needs it"),
    ("Function", "a program cannot make code; `workflow(name)` runs a saved program"),
    ("Intl", "format by hand; times are UTC"),
    ("SharedArrayBuffer", "a program has one thread; use `parallel` or `Promise.all`"),
    ("Temporal", "use `Date`: it reads the run's clock"),
    ("WeakRef", "nothing in a program needs it"),
    ("XMLHttpRequest", "a program has no network: give the question to a subagent with `agent(…)`"),
    ("__dirname", "a program has no address; what it needs comes in as `args`"),
    ("__filename", "a program has no address; what it needs comes in as `args`"),
    ("context", "this version keeps no text outside of a program: hand it over as `args`"),
    ("document", "a program runs in a sandbox of its own"),
    ("eval", "a program cannot make code; `workflow(name)` runs a saved program"),
    ("exports", "write `export`"),
    ("fetch", "a program has no network: give the question to a subagent with `agent(…)`"),
    ("fs", "a program reaches files only through `tools.*`"),
    ("llm", "this version has no call to a bare model: ask a subagent with `agent(…)`"),
    ("llm_query", "this version has no call to a bare model: ask a subagent with `agent(…)`"),
    ("module", "write `export`"),
    ("performance", "use `Date.now()`: it reads the run's clock"),
    ("process", "what a program needs comes in as `args`; its result is what it returns"),
    ("queueMicrotask", "write `Promise.resolve().then(…)`"),
    ("require", "write `import … from \"loopwright:patterns\"`; files come through `tools.*`"),
    ("rlm", "this version has no call to a bare model: ask a subagent with `agent(…)`"),
    ("rlm_query", "this version has no call to a bare model: ask a subagent with `agent(…)`"),
    ("setImmediate", "wait with `await sleep(ms)`"),
    ("setInterval", "loop with `await sleep(ms)`"),
    ("setTimeout", "wait with `await sleep(ms)`"),
    ("window", "a program runs in a sandbox of its own"),
];

/// Whether a program may use this name without declaring it.
pub(crate) fn is_global(name: &str) -> bool {
    [ASYNC_CALLS, OTHER_CALLS, VALUES].iter().any(|names| names.contains(&name))
}

/// What to do about a name that is neither declared nor global.
pub(crate) fn unknown_name_hint(name: &str, declared: &[&str]) -> Option<String> {
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(known, _)| *known == name) {
        return Some((*hint).to_owned());
    }
    let globals = [ASYNC_CALLS, OTHER_CALLS, VALUES].into_iter().flatten();
    let close = closest(name, globals.chain(declared).copied())?;
    Some(format!("did you mean `{close}`?"))
}

/// The candidate with the fewest edits, if at most a third of it differs.
pub(crate) fn closest<'n>(
    name: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    let scored = candidates.map(|candidate| (edits(name, candidate), candidate));
    let near = scored.filter(|(distance, candidate)| distance * 3 <= candidate.chars().count());
    near.min().map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters; a change of case is half an edit, rounded up.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).map(|n| 2 * n).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = 2 * (i + 1);
        for (j, y) in b.iter().enumerate() {
            let cost = if x == *y { 0 } else { 2 - usize::from(x.eq_ignore_ascii_case(y)) };
            let substitute = diagonal + cost;
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 2).min(diagonal + 2);
        }
    }
    row[b.len()].div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_answered_with_the_closest_one() {
        let cases = [
            ("fanout", Some("fanOut")),
            ("classifyAct", Some("classifyAndAct")),
            ("loopUntilDone", Some("loopUntilDry")),
            ("everything", None),
        ];
        for (name, expected) in cases {
            let found = closest(name, crate::PATTERNS.iter().copied());
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn no_name_is_both_there_and_elsewhere() {
        for (name, _) in ELSEWHERE {
            assert!(!is_global(name), "{name}");
        }
        assert!(is_global("agent") && is_global("Math"));
    }
}
