//! `parallel` and `pipeline`: order, what becomes `null`, what propagates.

mod prelude;
use expect_test::expect;
use prelude::{check, check_each, transcript_with, value};
use serde_json::json;

#[test]
fn parallel_keeps_the_order_whatever_ends_first() {
    check(
        "return await parallel([() => agent('a'), () => agent('b'), () => 3])",
        "a => @3 done 1",
        expect![[r#"
        agent {"prompt":"a"} 1:30 null-on-failure
        agent {"prompt":"b"} 1:48 null-on-failure
        result [1,"b",3]"#]],
    );
}

#[test]
fn parallel_starts_every_thunk_at_once() {
    check(
        "parallel([() => agent('a'), () => agent('b')]); log('after')",
        "",
        expect![[r#"
        agent {"prompt":"a"} 1:17 null-on-failure
        agent {"prompt":"b"} 1:35 null-on-failure
        log {"level":"log","text":"after"}
        result null"#]],
    );
}

#[test]
fn a_thunk_that_fails_becomes_null_and_is_told() {
    check(
        "return await parallel([() => agent('dies'), () => task({description: 'dies'}), () => { throw new Error('mine') },
            async () => { throw 5 }, () => agent('lives')])",
        "dies => fail provider",
        expect![[r#"
            agent {"prompt":"dies"} 1:30 null-on-failure
            task {"prompt":"dies"} 1:51
            dropped parallel[2] Error: mine
            agent {"prompt":"lives"} 2:44 null-on-failure
            dropped parallel[3] Error: threw `5`
            dropped parallel[1] TaskError [LW0604, provider]: call 1 failed
            result [null,null,null,null,"lives"]"#]],
    );
}

#[test]
fn a_spent_budget_or_a_limit_propagates_from_parallel_once_all_have_ended() {
    check(
        "try { await parallel([() => agent('spent'), () => agent('slow').then((x) => log('slow ended'))]) }
         catch (e) { log('caught'); return [e.reason, e.code] }",
        "spent => fail budget LW0503
         slow => @3 done 1",
        expect![[r#"
            agent {"prompt":"spent"} 1:29 null-on-failure
            agent {"prompt":"slow"} 1:51 null-on-failure
            log {"level":"log","text":"slow ended"}
            log {"level":"log","text":"caught"}
            result ["budget","LW0503"]"#]],
    );
    let program = "try { await parallel([() => agent('x')]) } catch (e) { return e.reason }";
    assert_eq!(value(program, "x => fail limit LW0501"), r#"result "limit""#);
}

#[test]
fn a_forged_reason_does_not_propagate() {
    check(
        "return await parallel([() => { throw Object.assign(new Error('x'), {reason: 'budget'}) },
            () => { throw new TaskError('x', {reason: 'limit'}) }])",
        "",
        expect![[r#"
            dropped parallel[0] Error [budget]: x
            dropped parallel[1] TaskError [limit]: x
            result [null,null]"#]],
    );
}

#[test]
fn parallel_refuses_what_is_no_list_of_functions() {
    check_each(
        "",
        &[
            "parallel([agent('a')])",
            "parallel(agent('a'))",
            "parallel(() => agent('a'))",
            "parallel({length: 1})",
            "parallel()",
            "parallel([() => 1, , () => 2])",
            "pipeline(5, (x) => x)",
            "pipeline([1], 'stage')",
            "settle([1])",
        ],
        expect![[r#"
            parallel([agent('a')])
              error TypeError [LW0205]: `parallel`: item 0 must be a function, not a promise (hint: wrap each call: `() => agent(…)`)
            parallel(agent('a'))
              error TypeError [LW0205]: `parallel`: its argument must be an array, not a promise (hint: await it first)
            parallel(() => agent('a'))
              error TypeError [LW0205]: `parallel`: its argument must be an array, not a function
            parallel({length: 1})
              error TypeError [LW0205]: `parallel`: its argument must be an array, not an object
            parallel()
              error TypeError [LW0205]: `parallel`: its argument must be an array, not undefined
            parallel([() => 1, , () => 2])
              error TypeError [LW0205]: `parallel`: item 1 must be a function, not undefined (hint: wrap each call: `() => agent(…)`)
            pipeline(5, (x) => x)
              error TypeError [LW0205]: `pipeline`: its first argument must be an array, not `5`
            pipeline([1], 'stage')
              error TypeError [LW0205]: `pipeline`: stage 1 must be a function, not the string `stage` (hint: write `(previous, item, index) => …`)
            settle([1])
              error TypeError [LW0205]: `settle`: item 0 must be a function, not `1` (hint: wrap each call: `() => agent(…)`)"#]],
    );
}

#[test]
fn any_iterable_will_do() {
    assert_eq!(value("return await parallel(new Set([() => 1, () => 2]))", ""), "result [1,2]");
    assert_eq!(
        value("return await pipeline('ab', (x) => x + x)", ""),
        "error TypeError [LW0205]: `pipeline`: its first argument must be an array, not the string `ab`"
    );
    assert_eq!(
        value("return await pipeline(new Map([[1, 2]]).keys(), (x) => x + 1)", ""),
        "result [2]"
    );
}

#[test]
fn nothing_to_do_is_done() {
    assert_eq!(
        value(
            "return [await parallel([]), await pipeline([], (x) => x), await pipeline([1, 2])]",
            ""
        ),
        "result [[],[],[1,2]]"
    );
}

#[test]
fn more_items_than_the_limit_are_refused_and_propagate() {
    let small = json!({ "itemsMax": 3 });
    let last =
        |program: &str| transcript_with(program, "", &small).lines().last().unwrap().to_owned();
    expect!["error TaskError [LW0207, limit]: `parallel` was given 4 items (limit 3) (hint: work in batches, or raise `run.items_per_call_max`)"].assert_eq(&last("await parallel(Array(4).fill(() => 1))"));
    expect!["error TaskError [LW0207, limit]: `pipeline` was given more than 3 items (limit 3) (hint: work in batches, or raise `run.items_per_call_max`)"].assert_eq(&last("await pipeline((function* () { for (;;) yield 1 })(), (x) => x)"));
    expect!["error TaskError [LW0207, limit]: `pipeline` was given 4 items (limit 3) (hint: work in batches, or raise `run.items_per_call_max`)"].assert_eq(&last("await parallel([() => pipeline([1, 2, 3, 4], (x) => x)])"));
    expect!["error TaskError [LW0207, limit]: `settle` was given 1,000,000,000 items (limit 3) (hint: work in batches, or raise `run.items_per_call_max`)"].assert_eq(&last("await settle(Array(1e9))"));
}

#[test]
fn pipeline_stages_see_previous_item_and_index_without_a_barrier() {
    check(
        "return await pipeline(['a', 'b'], (previous, item, index) => agent(`1 ${previous} ${item} ${index}`),
            (previous, item, index) => agent(`2 ${previous} ${item} ${index}`))",
        "1 a => @3 done \"A\"",
        expect![[r#"
            agent {"prompt":"1 a a 0"} 1:62 null-on-failure
            agent {"prompt":"1 b b 1"} 1:62 null-on-failure
            agent {"prompt":"2 1 b b 1 b 1"} 2:40 null-on-failure
            agent {"prompt":"2 A a 0"} 2:40 null-on-failure
            result ["2 A a 0","2 1 b b 1 b 1"]"#]],
    );
}

#[test]
fn a_stage_that_throws_skips_the_later_ones() {
    check(
        "return await pipeline([1, 2, 3], (x) => { if (x === 2) throw new Error('no'); return x * 10 }, (x, item) => { log(item); return x + 1 })",
        "",
        expect![[r#"
            dropped pipeline[1] Error: no
            log {"level":"log","text":"1"}
            log {"level":"log","text":"3"}
            result [11,null,31]"#]],
    );
}

#[test]
fn a_stage_that_gives_null_does_not_skip_the_later_ones() {
    check(
        "return await pipeline(['x'], (x) => agent(x), (previous) => previous ?? 'instead')",
        "x => fail timeout",
        expect![[r#"
        agent {"prompt":"x"} 1:37 null-on-failure
        result ["instead"]"#]],
    );
}

#[test]
fn a_spent_budget_stops_the_pipeline_before_its_next_stages() {
    check(
        "try { await pipeline(['spent', 'b'], (x) => agent(x), (x) => agent('second ' + x)) } catch (e) { return e.reason }",
        "spent => fail budget LW0503
         {\"prompt\":\"b\"} => @2 done \"B\"",
        expect![[r#"
            agent {"prompt":"spent"} 1:45 null-on-failure
            agent {"prompt":"b"} 1:45 null-on-failure
            result "budget""#]],
    );
}

#[test]
fn nested_parallel_work_stays_in_order() {
    assert_eq!(
        value(
            "return await parallel([1, 2].map((x) => () => parallel([3, 4].map((y) => async () => (await agent(`${x}${y}`)) + '!'))))",
            ""
        ),
        r#"result [["13!","14!"],["23!","24!"]]"#
    );
}

#[test]
fn items_that_change_meanwhile_do_not_matter() {
    assert_eq!(
        value(
            "const items = [1, 2]; const work = pipeline(items, async (x) => { items.length = 0; await agent('a'); return x }); items.push(9); return await work",
            ""
        ),
        "result [1,2]"
    );
}
