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

/// Names longer than this are not compared: nobody misspells them, and comparing takes the product of their lengths.
const COMPARED_CHARACTERS_MAX: usize = 64;

/// The candidate with the fewest edits, if at most a third of it differs.
pub(crate) fn closest<'n>(
    name: &str,
    candidates: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    let scored = candidates.filter_map(|candidate| {
        let (length, other) = (candidate.chars().count(), name.chars().count());
        let near =
            length.abs_diff(other) * 3 <= length && length.max(other) <= COMPARED_CHARACTERS_MAX;
        let distance = near.then(|| edits(name, candidate))?;
        (distance * 3 <= length).then_some((distance, candidate))
    });
    scored.min().map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours between two names; a change of case is half of one,
/// and the sum is rounded up.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut cost = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            cost[i * width + j] = if i == 0 || j == 0 {
                2 * (i + j)
            } else {
                let same = a[i - 1] == b[j - 1];
                let change = if same {
                    0
                } else {
                    2 - usize::from(a[i - 1].eq_ignore_ascii_case(&b[j - 1]))
                };
                let mut best = cost[(i - 1) * width + j - 1] + change;
                best = best.min(cost[(i - 1) * width + j] + 2).min(cost[i * width + j - 1] + 2);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(cost[(i - 2) * width + j - 2] + 2);
                }
                best
            };
        }
    }
    cost[cost.len() - 1].div_ceil(2)
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
            ("reflcet", Some("reflect")),
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
