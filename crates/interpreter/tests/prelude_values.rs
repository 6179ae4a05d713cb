//! `console`, `structuredClone`, `budget`, `TaskError`: values as text and as copies.

mod prelude;
use expect_test::expect;
use loopwright_interpreter::{Limits, Source, TurnInput};
use prelude::{check, interpreter, value};

#[test]
fn the_console_writes_any_value() {
    check(
        "console.log('text', 1, -0, true, null, undefined, 10n, Symbol('s'));
         console.info({a: [1, 'two', {b: new Map([['k', {v: 1}]])}], 'odd name': new Set([1])});
         console.warn([1, , 3], function named() {}, () => 1, class A {}, new Date(0), /x/g);
         console.error(new TypeError('bad'), Object.assign(new Error('coded'), {code: 'LW0001', hint: 'do this'}));
         console.debug(Promise.resolve(1), [[[[[[1]]]]]], {get a() { throw 1 }});
         const loop = {name: 'loop'}; loop.self = loop; log(loop); log();",
        "",
        expect![[r#"
            log {"level":"log","text":"text 1 0 true null undefined 10n Symbol(s)"}
            log {"level":"info","text":"{ a: [1, \"two\", { b: Map(1) { \"k\" => { v: 1 } } }], \"odd name\": Set(1) { 1 } }"}
            log {"level":"warn","text":"[1, undefined, 3] [function named] [function (anonymous)] [function A] 1970-01-01T00:00:00.000Z /x/g"}
            log {"level":"error","text":"TypeError: bad Error LW0001: coded (hint: do this)"}
            log {"level":"debug","text":"[promise] [[[[[[array of 1]]]]]] { a: [getter] }"}
            log {"level":"log","text":"{ name: \"loop\", self: [circular] }"}
            log {"level":"log","text":""}
            result null"#]],
    );
}

#[test]
fn the_console_is_bounded_and_cannot_be_broken() {
    check(
        "const trap = new Proxy({}, {get() { throw 1 }, ownKeys() { throw 2 }, getPrototypeOf() { throw 3 }});
         console.log(trap, [trap], {get [Symbol.toStringTag]() { throw 4 }}, Object.create(null));
         const error = new Error(); Object.defineProperty(error, 'message', {get() { throw 5 }}); console.log(error);
         console.log({toString() { throw 6 }, toJSON() { throw 7 }}, 2n ** 1000n);",
        "",
        expect![[r#"
            log {"level":"log","text":"<unprintable> [<unprintable>] {} {}"}
            log {"level":"log","text":"Error: <unprintable>"}
            log {"level":"log","text":"{ toString: [function toString], toJSON: [function toJSON] } [large bigint]"}
            result null"#]],
    );
    let long = value(
        "console.log('x'.repeat(1e6)); console.log(Array(1e6).fill(1)); console.log(new Map(Array.from({length: 1e4}, (_, i) => [i, i]))); return 'alive'",
        "",
    );
    assert_eq!(long, r#"result "alive""#);
}

#[test]
fn structured_clone_copies_plain_data() {
    check(
        "const source = {n: 1, list: [1, {x: 2}], when: new Date(5), map: new Map([[{k: 1}, 'v']]), set: new Set([1]),
            re: /a/gi, bytes: new Uint8Array([1, 2]), error: new RangeError('bad')}; source.self = source;
         const copy = structuredClone(source);
         return [copy !== source, copy.self === copy, copy.list[1] !== source.list[1], copy.list[1].x, +copy.when,
            [...copy.map.keys()][0].k, copy.set.has(1), copy.re.flags, copy.bytes[1], copy.bytes !== source.bytes,
            copy.error.name, copy.error.message, copy.error instanceof RangeError, structuredClone('text')]",
        "",
        expect![[r#"result [true,true,true,2,5,1,true,"gi",2,true,"RangeError","bad",true,"text"]"#]],
    );
    expect!["error TypeError: structuredClone: a function cannot be cloned"]
        .assert_eq(&value("return structuredClone({f() {}})", ""));
    expect!["error TypeError: structuredClone: a promise cannot be cloned"]
        .assert_eq(&value("return structuredClone([agent('x')])", ""));
}

#[test]
fn without_ceilings_the_budget_is_open() {
    check(
        "return [budget.total, budget.spent(), budget.remaining() === Infinity, budget.usd.total, budget.tokens.total,
            Object.isFrozen(budget)]",
        "",
        expect!["result [null,0,true,null,null,true]"],
    );
}

#[test]
fn the_budget_shows_the_figures_of_the_turn() {
    let mut guest = interpreter().guest(&Limits::default()).unwrap();
    let code = "const {total, usd, tokens} = budget;
        return [total, budget.spent(), budget.remaining(), tokens.total, tokens.spent(), tokens.remaining(), usd.total,
            usd.spent(), usd.remaining() === Infinity]";
    guest.start(&Source { code, ..Source::default() }, "{}").unwrap();
    let budget = [120.0, 100.0, 300.0, 1000.0, 0.25, f64::INFINITY];
    let output = guest.turn(&TurnInput { budget, ..TurnInput::default() }).unwrap();
    let result = String::from_utf8(output.records[0].bytes.to_vec()).unwrap();
    assert_eq!(result, "[100,120,0,1000,300,700,null,0.25,true]");
}

#[test]
fn a_task_error_can_be_made_and_extended_by_programs() {
    check(
        "class Mine extends TaskError { constructor(m) { super(m, {reason: 'policy', attempts: 2}); this.name = 'Mine' } }
         const e = new Mine('no'); return [e.name, e.reason, e.attempts, e.retryable, e instanceof TaskError, String(e),
            new TaskError('plain').reason]",
        "",
        expect![[r#"result ["Mine","policy",2,false,true,"Mine: no","program"]"#]],
    );
}
