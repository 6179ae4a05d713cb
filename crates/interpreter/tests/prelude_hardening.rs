//! What a program may do to the world it starts in, and what it may not.

mod prelude;
use expect_test::expect;
use prelude::{check, transcript, value};

#[test]
fn ordinary_overriding_works_on_frozen_intrinsics() {
    check(
        "'use strict';
         class E extends Error { constructor(m) { super(m); this.name = 'E'; this.message = m + '!' } }
         class T extends TypeError { constructor(m) { super(m); this.name = 'T' } }
         const o = {}; o.toString = () => 'o'; o.valueOf = () => 1; o.constructor = 2; o.hasOwnProperty = 3;
         const counts = {}; for (const word of ['constructor', 'toString', 'x', 'constructor']) counts[word] = typeof counts[word] === 'number' ? counts[word] + 1 : 1;
         const a = [1]; a.concat = 4; a.toString = () => 'a'; a.join = 5;
         function F() {} F.prototype.toString = () => 'F'; F.prototype.constructor = F; F.toString = () => 'f';
         const p = Promise.resolve(); p.catch = 6; const d = new Date(0); d.toString = () => 'd';
         const m = new Map(); m.constructor = 7;
         return [String(new E('e')), String(new T('t')), `${o}`, +o, o.constructor, o.hasOwnProperty, counts, a.concat, `${a}`, a.join,
            `${new F()}`, `${F}`, p.catch, `${d}`, m.constructor, Object.keys(o), JSON.stringify(o)]",
        "",
        expect![[r#"result ["E: e!","T: t","o",1,2,3,{"constructor":2,"toString":1,"x":1},4,"a",5,"F","f",6,"d",7,["toString","valueOf","constructor","hasOwnProperty"],"{\"constructor\":2,\"hasOwnProperty\":3}"]"#]],
    );
}

#[test]
fn intrinsics_cannot_be_changed() {
    let attacks = [
        "Array.prototype.push = null",
        "Object.prototype.polluted = 1",
        "Object.prototype.toString = null",
        "Error.prototype.name = 'X'",
        "delete Promise.prototype.then",
        "Object.defineProperty(Object.prototype, 'then', {get() { return 1 }})",
        "Array.prototype[0] = 1",
        "Object.setPrototypeOf(Array.prototype, {})",
        "Object.getPrototypeOf([][Symbol.iterator]()).next = null",
        "Object.getPrototypeOf(async () => {}).x = 1",
        "Object.getPrototypeOf(Object.getPrototypeOf(async function* () {}.prototype)).return = null",
        "Promise.resolve = null",
        "JSON.parse = null",
        "Math.random = () => 0",
        "Date.now = () => 0",
        "agent.call = 1",
        "console.log = 1",
        "budget.total = 1",
        "TaskError.prototype.reason = 1",
        "tools.glob = 1",
        "Reflect.set(Object.prototype, 'toString', null) || (() => { throw new TypeError('refused') })()",
    ];
    let program = |attack: &str| {
        format!("'use strict'; try {{ {attack}; return 'done' }} catch (e) {{ return e.name }}")
    };
    for attack in attacks {
        assert_eq!(value(&program(attack), ""), r#"result "TypeError""#, "{attack}");
    }
}

#[test]
fn code_cannot_be_made_from_text() {
    let attempts = [
        "(() => {}).constructor('return 1')()",
        "(async () => {}).constructor('return 1')()",
        "(function* () {}).constructor('yield 1')()",
        "(async function* () {}).constructor('yield 1')()",
        "agent.constructor('return 1')()",
        "new (Object.getPrototypeOf(class {}).constructor)('return 1')",
        "Reflect.construct((() => {}).constructor, ['return 1'])",
    ];
    for attempt in attempts {
        let end = value(
            &format!("try {{ return typeof ({attempt}) }} catch (e) {{ return e.message }}"),
            "",
        );
        assert_eq!(end, r#"result "code cannot be made from text here""#, "{attempt}");
    }
}

#[test]
fn the_world_holds_what_it_should() {
    check(
        "return ['eval', 'Function', 'SharedArrayBuffer', 'Atomics', 'WeakRef', 'FinalizationRegistry', 'performance', '__lw',
            'loopwright:patterns', 'setTimeout', 'process', 'require', 'fetch', 'navigator', 'gc', 'os', 'std']
            .filter((name) => name in globalThis)",
        "",
        expect!["result []"],
    );
}

#[test]
fn a_program_may_use_every_name_of_the_api_itself() {
    let names = [
        "TaskError",
        "agent",
        "approve",
        "args",
        "asCompleted",
        "budget",
        "console",
        "coverage",
        "failures",
        "hedge",
        "log",
        "parallel",
        "phase",
        "pipeline",
        "quorum",
        "settle",
        "sleep",
        "structuredClone",
        "task",
        "tools",
        "withDeadline",
        "workflow",
    ];
    for name in names {
        assert_eq!(
            value(&format!("const {name} = 1; return {name}"), ""),
            "result 1",
            "const {name}"
        );
        assert_eq!(
            value(&format!("function {name}() {{ return 2 }} return {name}()"), ""),
            "result 2",
            "function {name}"
        );
        assert_eq!(
            value(&format!("class {name} {{}} return typeof {name}"), ""),
            r#"result "function""#,
            "class {name}"
        );
        assert_eq!(value(&format!("{name} = 3; return {name}"), ""), "result 3", "{name} =");
    }
}

#[test]
fn the_api_works_when_every_global_is_gone() {
    let program = "const {agent: a, parallel: p, pipeline: q, settle: s, coverage: c, tools: t, console: o, quorum: k, failures: f} = globalThis;
        const names = Object.getOwnPropertyNames, root = globalThis;
        for (const name of names(root)) { try { delete root[name] } catch {} }
        c(['x']); o.log({a: 1});
        const all = await p([() => a('1', {label: 'x', retries: 1}), () => q(['2'], (x) => a(x)), () => s([() => a('3')]),
            () => k(1, [() => a('4')]), () => t.readFile({}), () => { throw 5 }]);
        return [all, f()]";
    check(
        program,
        "",
        expect![[r#"
            log {"level":"log","text":"{ a: 1 }"}
            agent {"prompt":"1","label":"x","retries":1} 5:36 scope 1 null-on-failure tracked
            agent {"prompt":"2"} 5:92 null-on-failure
            agent {"prompt":"3"} 5:114 scope 2 null-on-failure tracked observed
            agent {"prompt":"4"} 6:31 scope 3 null-on-failure observed
            tool {"name":"read_file","args":{}} 6:49
            dropped parallel[5] Error: threw `5`
            result [["1",["2"],[{"status":"done","value":"3","receipt":{"call":"c2","attempts":1,"usage":{},"ms":5},"receipts":[{"call":"c2","attempts":1,"usage":{},"ms":5}]}],["4"],"read_file",null],[]]
            note {"note":"coverage","total":1,"done":1,"items":[]}"#]],
    );
}

#[test]
fn replaced_globals_do_not_reach_the_prelude() {
    let program = "for (const name of ['JSON', 'Promise', 'Map', 'Object', 'Array', 'String', 'Error', 'Reflect', 'Symbol', 'Math', 'Set', 'Number', 'TypeError'])
            globalThis[name] = new Proxy(function () {}, {get() { throw 'trapped' }, apply() { throw 'trapped' }, construct() { throw 'trapped' }});
        const {loopUntilDry} = await import('loopwright:patterns');
        const dry = await loopUntilDry(() => [], {dryRounds: 1});
        console.log({a: [1]}); return [await parallel([() => agent('a', {tmeout: 1})]), dry.rounds]";
    check(
        program,
        "",
        expect![[r#"
        log {"level":"log","text":"{ a: [1] }"}
        log {"level":"warn","text":"`agent` ignores its unknown option `tmeout`"}
        agent {"prompt":"a"} 5:62 null-on-failure
        result [["a"],1]"#]],
    );
}

#[test]
fn getters_and_iterators_of_arguments_may_call_back_in() {
    check(
        "const sneaky = {get retries() { agent('inner'); return 2 }, get label() { coverage(['outer']); return 'outer' }};
         const list = {[Symbol.iterator]: function* () { yield () => agent('first'); agent('between'); yield () => agent('second') }};
         await agent('outer', sneaky); await parallel(list);
         const schema = {get type() { agent('from the schema'); return 'object' }};
         await agent('last', {schema}); return failures()",
        "",
        expect![[r#"
            agent {"prompt":"inner"} 1:33 null-on-failure
            agent {"prompt":"outer","retries":2,"label":"outer"} 3:16 scope 1 null-on-failure tracked
            agent {"prompt":"between"} 2:86 null-on-failure
            agent {"prompt":"first"} 2:70 null-on-failure
            agent {"prompt":"second"} 2:116 null-on-failure
            agent {"prompt":"from the schema"} 4:39 null-on-failure
            agent {"prompt":"last","schema":{"type":"object"}} 5:16 null-on-failure
            result []
            note {"note":"coverage","total":1,"done":1,"items":[]}"#]],
    );
}

#[test]
fn arguments_that_throw_reject_with_what_they_threw() {
    check(
        "const bad = (what) => new Proxy({}, {get(_, name) { throw what + String(name) }, ownKeys() { throw what + 'keys' }});
         const calls = [agent('x', bad('a')), task(bad('t')), parallel(bad('p')), pipeline(bad('q')), settle(bad('s')), tools.glob(bad('g')),
            workflow(bad('w')), approve('x', bad('y')), quorum(1, [() => 1], bad('k')), agent('x', {schema: bad('e')})];
         return (await Promise.allSettled(calls)).map((end) => end.reason?.message ?? end.reason)",
        "",
        expect![[r#"result ["akeys","tdescription","pSymbol(Symbol.iterator)","qSymbol(Symbol.iterator)","sSymbol(Symbol.iterator)","gtoJSON","wname","ychoices","kdeadlineMs","etoJSON"]"#]],
    );
}

#[test]
fn a_thenable_given_by_a_thunk_is_awaited_and_nothing_more() {
    check(
        "return await parallel([() => ({then(resolve) { resolve('then'); resolve('again'); throw 1 }}), () => ({then(_, reject) { reject(new Error('no')) }}),
            () => ({get then() { throw 'got' }})])",
        "",
        expect![[r#"
            dropped parallel[2] Error: threw `got`
            dropped parallel[1] Error: no
            result ["then",null,null]"#]],
    );
}

#[test]
fn an_own_constructor_or_then_on_a_promise_changes_nothing() {
    check(
        "const call = agent('a'); call.constructor = function () { throw 1 }; call.then = () => { throw 2 };
         const all = await parallel([async () => { try { return await call } catch (e) { return 'caught ' + e } }]); return all",
        "",
        expect![[r#"
            agent {"prompt":"a"} 1:14 null-on-failure
            result ["a"]"#]],
    );
}

#[test]
fn values_from_the_host_are_data() {
    check(
        "const value = await agent('a'); return [Object.getPrototypeOf(value) === Object.prototype, Object.keys(value), typeof value.then, value.polluted]",
        r#"a => done {"__proto__": {"polluted": 1}, "then": "no function", "constructor": 1}"#,
        expect![[r#"
            agent {"prompt":"a"} 1:21 null-on-failure
            result [true,["__proto__","then","constructor"],"string",null]"#]],
    );
}

#[test]
fn patterns_cannot_be_imported_from_elsewhere() {
    let end = transcript(
        "const module = await import('loopwright:patterns'); return Object.keys(module)",
        "",
    );
    expect![[r#"result ["adversarialVerify","classifyAndAct","councilVote","deepResearch","fanOut","generateAndFilter","groupChat","judgePanel","loopUntilDry","mapReduce","reflect","tournament"]"#]].assert_eq(&end);
    expect![[r#"result "cannot import `loopwright:prelude`""#]]
        .assert_eq(&value("return await import('loopwright:prelude').catch((e) => e.message)", ""));
}

#[test]
fn every_name_of_the_api_is_declared_and_documented() {
    let types = include_str!("../prelude/loopwright.d.ts");
    let reference = include_str!("../../../docs/reference/program-api.md");
    let program = "const {default: _, ...patterns} = await import('loopwright:patterns');
        const {console, structuredClone, ...own} = Object.fromEntries(Object.getOwnPropertyNames(globalThis).map((name) => [name, 1]));
        return [...Object.keys(own), ...Object.keys(patterns)]";
    let end = value(program, "");
    let names: Vec<String> = serde_json::from_str(end.strip_prefix("result ").unwrap()).unwrap();
    let first = names
        .iter()
        .position(|name| name == "phase")
        .expect("the API follows the language's own names");
    assert!(names.len() - first > 30, "{names:?}");
    for name in &names[first..] {
        let declared = ["function", "const", "class"]
            .iter()
            .any(|kind| types.contains(&format!("{kind} {name}")));
        assert!(declared, "loopwright.d.ts does not declare `{name}`");
        let word =
            |at: usize| !reference[at + name.len()..].starts_with(|c: char| c.is_alphanumeric());
        let found = reference.match_indices(&format!("`{name}")).any(|(at, _)| word(at + 1));
        assert!(found, "docs/reference/program-api.md does not mention `{name}`");
    }
}
