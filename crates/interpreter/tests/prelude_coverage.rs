//! `coverage`: every registered item ends as done, failed, skipped or dropped.

mod prelude;
use expect_test::expect;
use prelude::{check, check_each, value};

#[test]
fn a_pipeline_over_the_items_decides_them() {
    check(
        "const items = [{id: 1}, {id: 2}, {id: 3}, {id: 4}]; const cover = coverage(items);
         await pipeline(items.slice(0, 3), (item) => item.id === 3 ? Promise.reject(new Error('no')) : agent('item ' + item.id));
         return cover.report()",
        "item 2 => fail provider",
        expect![[r#"
            agent {"prompt":"item 1"} 2:104 scope 1 null-on-failure
            agent {"prompt":"item 2"} 2:104 scope 2 null-on-failure
            dropped pipeline[2] Error: no
            result {"total":4,"done":1,"failed":2,"skipped":0,"dropped":1,"items":[{"key":"1","status":"done"},{"key":"2","status":"failed","reason":"provider"},{"key":"3","status":"failed","reason":"program"},{"key":"4","status":"dropped"}]}
            note {"note":"coverage","total":4,"done":1,"items":[{"key":"2","status":"failed","reason":"provider"},{"key":"3","status":"failed","reason":"program"},{"key":"4","status":"dropped"}]}"#]],
    );
}

#[test]
fn a_call_whose_key_or_label_names_an_item_decides_it() {
    check(
        "coverage(['a.ts', 'b.ts', 'c.ts', 'd.ts']); await agent('one', {key: 'a.ts'}); await agent('two', {label: 'b.ts'});
         await agent('dies', {label: 'c.ts'}); return 'end'",
        "dies => fail timeout",
        expect![[r#"
            agent {"prompt":"one","key":"a.ts"} 1:51 scope 1 null-on-failure tracked
            agent {"prompt":"two","label":"b.ts"} 1:86 scope 2 null-on-failure tracked
            agent {"prompt":"dies","label":"c.ts"} 2:16 scope 3 null-on-failure tracked
            result "end"
            note {"note":"coverage","total":4,"done":2,"items":[{"key":"c.ts","status":"failed","reason":"timeout"},{"key":"d.ts","status":"dropped"}]}"#]],
    );
}

#[test]
fn the_last_call_for_an_item_counts() {
    check(
        "coverage(['a']); await agent('dies', {label: 'a'}); await agent('again', {label: 'a'})",
        "dies => fail provider",
        expect![[r#"
            agent {"prompt":"dies","label":"a"} 1:24 scope 1 null-on-failure tracked
            agent {"prompt":"again","label":"a"} 1:59 scope 2 null-on-failure tracked
            result "again"
            note {"note":"coverage","total":1,"done":1,"items":[]}"#]],
    );
}

#[test]
fn what_the_program_says_wins() {
    check(
        "const items = ['a', 'b', 'c']; const cover = coverage(items); cover.skipped('a', 'not needed'); cover.failed('b', new Error('bad'));
         cover.done('c'); await agent('x', {key: 'a'}); return cover.report()",
        "",
        expect![[r#"
            agent {"prompt":"x","key":"a"} 2:33 scope 1 null-on-failure tracked
            result {"total":3,"done":1,"failed":1,"skipped":1,"dropped":0,"items":[{"key":"a","status":"skipped","reason":"not needed"},{"key":"b","status":"failed","reason":"bad"},{"key":"c","status":"done"}]}
            note {"note":"coverage","total":3,"done":1,"items":[{"key":"a","status":"skipped","reason":"not needed"},{"key":"b","status":"failed","reason":"bad"}]}"#]],
    );
}

#[test]
fn keys_come_from_the_program_or_from_usual_members() {
    let keys =
        |call: &str| value(&format!("return {call}.report().items.map((item) => item.key)"), "");
    assert_eq!(
        keys("coverage([{path: 'a'}, {name: 'n', path: 'b'}, 7, {}])"),
        r##"result ["a","n","7","#3"]"##
    );
    assert_eq!(keys("coverage([{no: 5}], 'no')"), r#"result ["5"]"#);
    assert_eq!(
        keys("coverage([{no: 5}], (item, index) => item.no + '-' + index)"),
        r#"result ["5-0"]"#
    );
    assert_eq!(keys("coverage(['a', 'a', 'b'])"), r#"result ["a","b"]"#);
}

#[test]
fn several_coverages_add_up() {
    check(
        "coverage(['a']).done('a'); coverage(['b', 'c']).done('c')",
        "",
        expect![[r#"
        result null
        note {"note":"coverage","total":3,"done":2,"items":[{"key":"b","status":"dropped"}]}"#]],
    );
}

#[test]
fn coverage_refuses_what_it_cannot_name() {
    check_each(
        "",
        &["coverage()", "coverage([1], 5)", "coverage([{a: 1}], 'b')", "coverage(['a']).done('b')"],
        expect![[r#"
            coverage()
              error TypeError [LW0205]: `coverage`: its first argument must be an array, not undefined
            coverage([1], 5)
              error TypeError [LW0205]: `coverage`: its second argument must be a function or the name of a member, not `5`
            coverage([{a: 1}], 'b')
              error TypeError [LW0205]: `coverage`: the key of item 0 must be a text or a number, not undefined
            coverage(['a']).done('b')
              error TypeError [LW0205]: `coverage`: `b` is not among the items"#]],
    );
}

#[test]
fn a_loser_does_not_undo_what_the_winner_did() {
    check(
        "coverage(['a']); return await quorum(1, [() => agent('never', {key: 'a'}), () => agent('quick', {key: 'a'})])",
        "never => never",
        expect![[r#"
            agent {"prompt":"never","key":"a"} 1:48 scope 2 null-on-failure tracked observed
            agent {"prompt":"quick","key":"a"} 1:82 scope 4 null-on-failure tracked observed
            cancel scope 1 (cancelled)
            result ["quick"]
            note {"note":"coverage","total":1,"done":1,"items":[]}"#]],
    );
}

#[test]
fn work_that_a_budget_kept_from_running_is_not_done() {
    check(
        "const items = ['spent', 'b']; coverage(items); try { await pipeline(items, (x) => agent(x), (x) => x) } catch {}",
        "spent => fail budget LW0503
         \"b\" => @2 done 1",
        expect![[r#"
            agent {"prompt":"spent"} 1:83 scope 1 null-on-failure
            agent {"prompt":"b"} 1:83 scope 2 null-on-failure
            result null
            note {"note":"coverage","total":2,"done":0,"items":[{"key":"spent","status":"failed","reason":"budget"},{"key":"b","status":"failed","reason":"budget"}]}"#]],
    );
}
