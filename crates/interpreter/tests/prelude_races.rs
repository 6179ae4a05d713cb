//! `settle`, `asCompleted`, `quorum`, `hedge`, `withDeadline`: typed outcomes, losers cancelled and silent.

mod prelude;
use expect_test::expect;
use prelude::{check, check_each, value};

#[test]
fn settle_tells_why_each_piece_gave_nothing() {
    check(
        "const ends = await settle([() => agent('a'), () => agent('dies'), () => task({description: 'late'}),
            () => agent('spent'), () => { throw new Error('mine') }, async () => null, () => agent('late')]);
         return ends.map(({status, reason, value, error, receipt}) =>
            [status, reason, value, error && error.message, receipt && receipt.call])",
        "dies => fail provider
         late => fail timeout LW0502
         spent => fail budget LW0503",
        expect![[r#"
            agent {"prompt":"a"} 1:34 scope 1 null-on-failure tracked observed
            agent {"prompt":"dies"} 1:52 scope 2 null-on-failure tracked observed
            task {"prompt":"late"} 1:73 scope 3 tracked observed
            agent {"prompt":"spent"} 2:19 scope 4 null-on-failure tracked observed
            agent {"prompt":"late"} 2:94 scope 7 null-on-failure tracked observed
            result [["done",null,"a",null,"c0"],["failed","provider",null,"call 1 failed",null],["failed","timeout",null,"call 2 failed",null],["failed","budget",null,"call 3 failed",null],["failed","program",null,"mine",null],["done",null,null,null,null],["failed","timeout",null,"call 4 failed",null]]"#]],
    );
}

#[test]
fn settle_keeps_null_apart_from_a_failure_that_was_handled() {
    check(
        "const ends = await settle([async () => (await agent('dies')) ?? 'instead',
            async () => { const [x] = await parallel([() => agent('dies')]); return x }]);
         return ends.map(({status, value, reason}) => ({status, value, reason}))",
        "dies => fail provider",
        expect![[r#"
            agent {"prompt":"dies"} 1:47 scope 1 null-on-failure tracked observed
            agent {"prompt":"dies"} 2:61 scope 2 null-on-failure tracked observed
            result [{"status":"done","value":"instead"},{"status":"failed","reason":"provider"}]"#]],
    );
}

#[test]
fn settle_gathers_the_receipts_of_all_calls_inside() {
    check(
        "const [end] = await settle([async () => { await agent('a'); return await task({description: 'b'}) }]);
         return [end.receipt.call, end.receipts.map((receipt) => receipt.call)]",
        "",
        expect![[r#"
            agent {"prompt":"a"} 1:49 scope 1 null-on-failure tracked observed
            task {"prompt":"b"} 1:74 scope 1 tracked observed
            result ["c1",["c0","c1"]]"#]],
    );
}

#[test]
fn settle_inside_settle_counts_for_both() {
    check(
        "const [outer] = await settle([async () => { const [inner] = await settle([() => agent('a')]); await agent('b');
            return inner.receipts.length }]);
         return [outer.value, outer.receipts.map((receipt) => receipt.call)]",
        "",
        expect![[r#"
            agent {"prompt":"a"} 1:81 scope 2 null-on-failure tracked observed
            agent {"prompt":"b"} 1:101 scope 1 null-on-failure tracked observed
            result [1,["c0","c1"]]"#]],
    );
}

#[test]
fn work_that_a_person_declined_was_skipped() {
    check(
        "const [end] = await settle([() => approve('ok?')]); return [end.status, end.reason]",
        "ok => fail policy LW0513",
        expect![[r#"
            approve {"question":"ok?"} 1:35 scope 1 tracked observed
            result ["skipped","policy"]"#]],
    );
}

#[test]
fn as_completed_yields_in_order_of_completion() {
    check(
        "const seen = []; for await (const {index, status, value} of asCompleted([() => agent('slow'), () => agent('quick'), () => agent('dies')]))
            seen.push([index, status, value]); return seen",
        "slow => @3 done 1
         dies => @2 fail provider",
        expect![[r#"
            agent {"prompt":"slow"} 1:80 scope 1 null-on-failure tracked observed
            agent {"prompt":"quick"} 1:101 scope 2 null-on-failure tracked observed
            agent {"prompt":"dies"} 1:123 scope 3 null-on-failure tracked observed
            result [[1,"done","quick"],[2,"failed",null],[0,"done",1]]"#]],
    );
}

#[test]
fn leaving_as_completed_early_cancels_the_rest() {
    check(
        "for await (const {value} of asCompleted([() => agent('never'), () => agent('quick')])) { log(value); break }
         return failures()",
        "never => never",
        expect![[r#"
            agent {"prompt":"never"} 1:48 scope 1 null-on-failure tracked observed
            agent {"prompt":"quick"} 1:70 scope 2 null-on-failure tracked observed
            log {"level":"log","text":"quick"}
            cancel scope 1 (cancelled)
            result []"#]],
    );
}

#[test]
fn quorum_gives_the_first_values_and_cancels_the_rest() {
    check(
        "return await quorum(2, [() => agent('never'), () => agent('dies'), () => agent('c'), () => agent('d')])",
        "never => never
         dies => fail provider
         {\"prompt\":\"c\"} => @3 done \"C\"",
        expect![[r#"
            agent {"prompt":"never"} 1:31 scope 1 null-on-failure observed
            agent {"prompt":"dies"} 1:53 scope 2 null-on-failure observed
            agent {"prompt":"c"} 1:74 scope 3 null-on-failure observed
            agent {"prompt":"d"} 1:92 scope 4 null-on-failure observed
            cancel scope 1 (cancelled)
            result ["d","C"]"#]],
    );
}

#[test]
fn a_quorum_that_cannot_be_reached_rejects_with_the_reason() {
    check(
        "try { await quorum(2, [() => agent('dies'), () => agent('b'), () => task({description: 'dies'})]) }
         catch (e) { return [e.reason, e.code, e.message, e.values, e.cause.message] }",
        "dies => fail provider",
        expect![[r#"
            agent {"prompt":"dies"} 1:30 scope 1 null-on-failure observed
            agent {"prompt":"b"} 1:51 scope 2 null-on-failure observed
            task {"prompt":"dies"} 1:69 scope 3 observed
            result ["provider","LW0604","a quorum of 2 out of 3 cannot be reached: 2 failed",["b"],"call 0 failed"]"#]],
    );
}

#[test]
fn a_quorum_that_a_budget_prevents_rejects_with_the_budget() {
    check(
        "try { await quorum(2, [() => agent('dies'), () => agent('spent'), () => agent('slow')]) } catch (e) { return [e.reason, e.code] }",
        "dies => fail provider
         spent => fail budget LW0503
         slow => @5 done 1",
        expect![[r#"
            agent {"prompt":"dies"} 1:30 scope 1 null-on-failure observed
            agent {"prompt":"spent"} 1:51 scope 2 null-on-failure observed
            agent {"prompt":"slow"} 1:73 scope 3 null-on-failure observed
            cancel scope 3 (cancelled)
            result ["budget","LW0503"]"#]],
    );
}

#[test]
fn a_quorum_with_a_deadline_says_what_it_had() {
    check(
        "try { await quorum(2, [() => agent('a'), () => agent('never')], {deadlineMs: 100}) }
         catch (e) { return [e.reason, e.code, e.message, e.values] }",
        "never => never
         \"ms\":100 => @5 done null",
        expect![[r#"
            agent {"prompt":"a"} 1:30 scope 1 null-on-failure observed
            agent {"prompt":"never"} 1:48 scope 2 null-on-failure observed
            sleep {"ms":100} 1:13 scope 3 observed
            cancel scope 2 (cancelled)
            result ["timeout","LW0510","`quorum` did not end within 100 ms",["a"]]"#]],
    );
}

#[test]
fn a_hedge_that_is_quick_runs_once() {
    check(
        "return await hedge(() => agent('a'), {afterMs: 50})",
        "\"ms\":50 => @9 done null",
        expect![[r#"
        agent {"prompt":"a"} 1:26 scope 1 null-on-failure observed
        sleep {"ms":50} 1:14 scope 2 observed
        cancel scope 2 (cancelled)
        result "a""#]],
    );
}

#[test]
fn a_hedge_that_is_slow_runs_twice_and_the_first_success_wins() {
    check(
        "let run = 0; return await hedge(() => agent('run ' + ++run), {afterMs: 50})",
        "run 1 => never
         run 2 => done \"second\"
         \"ms\":50 => @2 done null",
        expect![[r#"
            agent {"prompt":"run 1"} 1:39 scope 1 null-on-failure observed
            sleep {"ms":50} 1:27 scope 2 observed
            agent {"prompt":"run 2"} 1:39 scope 3 null-on-failure observed
            cancel scope 1 (cancelled)
            result "second""#]],
    );
}

#[test]
fn a_hedge_whose_second_run_fails_waits_for_the_first() {
    check(
        "let run = 0; return await hedge(() => task({description: 'run ' + ++run}), {afterMs: 50})",
        "run 1 => @9 done \"first\"
         run 2 => fail provider",
        expect![[r#"
            task {"prompt":"run 1"} 1:39 scope 1 observed
            sleep {"ms":50} 1:27 scope 2 observed
            task {"prompt":"run 2"} 1:39 scope 3 observed
            result "first""#]],
    );
}

#[test]
fn a_hedge_that_fails_early_fails() {
    check(
        "return await hedge(() => task({description: 'dies'}), {afterMs: 50})",
        "dies => fail provider\n\"ms\" => @9 done null",
        expect![[r#"
        task {"prompt":"dies"} 1:26 scope 1 observed
        sleep {"ms":50} 1:14 scope 2 observed
        cancel scope 2 (cancelled)
        error TaskError [LW0604, provider]: call 0 failed"#]],
    );
    assert_eq!(
        value(
            "return await hedge(() => agent('dies'), {afterMs: 50})",
            "dies => fail provider\n\"ms\" => @9 done null"
        ),
        "result null"
    );
}

#[test]
fn a_deadline_that_is_kept_changes_nothing() {
    check(
        "return await withDeadline(100, () => agent('a'), 'other')",
        "\"ms\":100 => @9 done null",
        expect![[r#"
        agent {"prompt":"a"} 1:38 scope 1 null-on-failure observed
        sleep {"ms":100} 1:14 scope 2 observed
        cancel scope 2 (cancelled)
        result "a""#]],
    );
}

#[test]
fn a_deadline_that_passes_gives_the_other_value() {
    let script = "never => never";
    check(
        "return await withDeadline(100, () => agent('never'), 'other')",
        script,
        expect![[r#"
        agent {"prompt":"never"} 1:38 scope 1 null-on-failure observed
        sleep {"ms":100} 1:14 scope 2 observed
        cancel scope 1 (cancelled)
        result "other""#]],
    );
    assert_eq!(
        value("return await withDeadline(100, () => agent('never'), () => agent('other'))", script),
        r#"result "other""#
    );
    assert_eq!(
        value("return await withDeadline(100, () => agent('never'), undefined)", script),
        "result null"
    );
}

#[test]
fn a_deadline_that_passes_without_another_value_rejects() {
    check(
        "return await withDeadline(1500, () => agent('never'))",
        "never => never",
        expect![[r#"
        agent {"prompt":"never"} 1:39 scope 1 null-on-failure observed
        sleep {"ms":1500} 1:14 scope 2 observed
        cancel scope 1 (cancelled)
        error TaskError [LW0510, timeout]: `withDeadline` did not end within 1,500 ms (hint: give it more time, or a value to use instead)"#]],
    );
}

#[test]
fn cancelled_work_ends_instead_of_looping() {
    check(
        "return await withDeadline(100, async () => { try { for (;;) { await agent('again'); } } finally { log('cleaned up') } }, 'other')",
        "again => @2 done null
         \"ms\" => @5 done null",
        expect![[r#"
            agent {"prompt":"again"} 1:69 scope 1 null-on-failure observed
            sleep {"ms":100} 1:14 scope 2 observed
            agent {"prompt":"again"} 1:69 scope 1 null-on-failure observed
            agent {"prompt":"again"} 1:69 scope 1 null-on-failure observed
            cancel scope 1 (cancelled)
            result "other"
            log {"level":"log","text":"cleaned up"}"#]],
    );
}

#[test]
fn cancelled_work_cannot_start_anything_new() {
    check(
        "const value = await withDeadline(100, async () => { try { await agent('never') } catch { await agent('more').catch((e) => log(e.reason)) } }, 'other');
         await sleep(1); return value",
        "never => never",
        expect![[r#"
            agent {"prompt":"never"} 1:65 scope 1 null-on-failure observed
            sleep {"ms":100} 1:21 scope 2 observed
            cancel scope 1 (cancelled)
            sleep {"ms":1} 2:16
            log {"level":"log","text":"cancelled"}
            result "other""#]],
    );
}

#[test]
fn a_race_inside_a_lost_race_is_lost_too() {
    check(
        "return await withDeadline(100, () => quorum(1, [() => agent('never 1'), () => agent('never 2')]), 'other')",
        "never => never",
        expect![[r#"
            agent {"prompt":"never 1"} 1:55 scope 2 null-on-failure observed
            agent {"prompt":"never 2"} 1:79 scope 3 null-on-failure observed
            sleep {"ms":100} 1:14 scope 4 observed
            cancel scope 1 (cancelled)
            result "other""#]],
    );
}

#[test]
fn losers_are_not_among_the_failures_and_not_unhandled() {
    check(
        "const value = await quorum(1, [() => task({description: 'never'}), () => agent('a'), async () => { throw new Error('late') }]);
         await sleep(5); return [value, failures()]",
        "never => never",
        expect![[r#"
            task {"prompt":"never"} 1:38 scope 1 observed
            agent {"prompt":"a"} 1:74 scope 2 null-on-failure observed
            cancel scope 1 (cancelled)
            sleep {"ms":5} 2:16
            result [["a"],[]]"#]],
    );
}

#[test]
fn what_a_loser_leaves_unhandled_says_that_it_was_cancelled() {
    // The engine does not count it: `cancelled` is nobody's to handle.
    check(
        "return await withDeadline(100, async () => { const calls = ['never 1', 'never 2'].map((description) => task({description}));
            for (const call of calls) await call }, 'other')",
        "never => never",
        expect![[r#"
            task {"prompt":"never 1"} 1:104 scope 1 observed
            task {"prompt":"never 2"} 1:104 scope 1 observed
            sleep {"ms":100} 1:14 scope 2 observed
            cancel scope 1 (cancelled)
            result "other"
            unhandled TaskError [LW0504, cancelled]: call 1 failed 1:104"#]],
    );
}

#[test]
fn racing_functions_refuse_wrong_arguments() {
    check_each(
        "",
        &[
            "quorum(0, [() => 1])",
            "quorum(2, [() => 1])",
            "quorum(1, [() => 1], {deadlineMs: 'soon'})",
            "hedge(agent('x'), {afterMs: 1})",
            "hedge(() => 1)",
            "withDeadline(() => 1, 100)",
            "withDeadline(100, agent('x'))",
        ],
        expect![[r#"
            quorum(0, [() => 1])
              error TypeError [LW0205]: `quorum`: its first argument must be a whole number of 1 to 1, not `0`
            quorum(2, [() => 1])
              error TypeError [LW0205]: `quorum`: its first argument must be a whole number of 1 to 1, not `2`
            quorum(1, [() => 1], {deadlineMs: 'soon'})
              error TypeError [LW0205]: `quorum`: option `deadlineMs` must be a number of milliseconds of 0 or more, not the string `soon`
            hedge(agent('x'), {afterMs: 1})
              error TypeError [LW0205]: `hedge`: its first argument must be a function, not a promise (hint: wrap the call: `() => agent(…)`)
            hedge(() => 1)
              error TypeError [LW0205]: `hedge`: option `afterMs` must be a number of milliseconds of 0 or more, not undefined
            withDeadline(() => 1, 100)
              error TypeError [LW0205]: `withDeadline`: its first argument must be a number of milliseconds of 0 or more, not a function
            withDeadline(100, agent('x'))
              error TypeError [LW0205]: `withDeadline`: its second argument must be a function, not a promise (hint: wrap the call: `() => agent(…)`)"#]],
    );
}
