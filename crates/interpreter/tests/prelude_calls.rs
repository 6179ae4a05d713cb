//! What `agent`, `task`, `tools`, `workflow`, `sleep` and `approve` send, refuse and give back.

mod prelude;
use expect_test::expect;
use prelude::{check, check_each, config, transcript_with, value};
use serde_json::json;

#[test]
fn an_agent_call_gives_its_answer() {
    check(
        "return await agent('hello')",
        "",
        expect![[r#"
        agent {"prompt":"hello"} 1:14 null-on-failure
        result "hello""#]],
    );
}

#[test]
fn options_of_both_dialects_become_one_form() {
    check(
        "await agent('a', {agentType: 'reviewer', schema: {type: 'object'}, label: 7, phase: 'p', model: 'm', effort: 'high',
            isolation: 'worktree'});
         await task({description: 'b', subagentType: 'reviewer', responseSchema: {type: 'object'}, retries: 2,
            timeoutMs: 500, maxTurns: 3, tools: ['grep'], budget: 1000, key: 'k', effects: 'none'});",
        "",
        expect![[r#"
            agent {"prompt":"a","subagent":"reviewer","schema":{"type":"object"},"label":"7","phase":"p","model":"m","effort":"high","isolation":"worktree"} 1:7 null-on-failure
            task {"prompt":"b","subagent":"reviewer","schema":{"type":"object"},"retries":2,"timeoutMs":500,"maxTurns":3,"tools":["grep"],"budget":1000,"key":"k","effects":"none"} 3:16
            result "b""#]],
    );
}

#[test]
fn a_task_with_prompt_and_description_takes_the_prompt_and_is_labelled() {
    check(
        "return await task({description: 'Review auth', prompt: 'Look at auth.ts'})",
        "",
        expect![[r#"
        task {"prompt":"Look at auth.ts","label":"Review auth"} 1:14
        result "Look at auth.ts""#]],
    );
}

#[test]
fn absent_options_are_not_sent() {
    check(
        "return await agent('a', {schema: null, label: undefined, model: null})",
        "",
        expect![[r#"
        agent {"prompt":"a"} 1:14 null-on-failure
        result "a""#]],
    );
}

#[test]
fn a_fallback_names_a_subagent_or_is_a_value() {
    check(
        "for (const fallback of ['reviewer', 'no idea', {subagentType: 'x'}, {agentType: 'y'}, {value: null}, null, [1],
            {subagentType: 'x', value: 1}, 0]) agent('f', {fallback});",
        "",
        expect![[r#"
            agent {"prompt":"f","fallback":{"subagent":"reviewer"}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"value":"no idea"}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"subagent":"x"}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"subagent":"y"}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"value":null}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"value":null}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"value":[1]}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"value":{"subagentType":"x","value":1}}} 2:48 null-on-failure
            agent {"prompt":"f","fallback":{"value":0}} 2:48 null-on-failure
            result "f""#]],
    );
}

#[test]
fn a_budget_is_a_number_or_ceilings() {
    check(
        "agent('a', {budget: 5}); agent('b', {budget: {usd: 0.5, tokens: 10, outputTokens: 3}});
         try { await agent('c', {budget: {dollars: 5}}) } catch (e) { return e.message }",
        "",
        expect![[r#"
            agent {"prompt":"a","budget":5} 1:1 null-on-failure
            agent {"prompt":"b","budget":{"usd":0.5,"tokens":10,"outputTokens":3}} 1:26 null-on-failure
            result "`agent`: option `budget` must be a number of output tokens, or `{outputTokens?, tokens?, usd?}`, not an object""#]],
    );
}

#[test]
fn wrong_types_of_an_agent_call_are_refused_and_named() {
    check_each(
        "",
        &[
            "agent()",
            "agent('')",
            "agent(agent('x'))",
            "agent({prompt: 'x'})",
            "agent('x', 'reviewer')",
            "agent('x', {schema: 'object'})",
            "agent('x', {retries: 1.5})",
            "agent('x', {timeoutMs: 0})",
            "agent('x', {timeoutMs: NaN})",
            "agent('x', {tools: 'grep'})",
            "agent('x', {effects: 'all'})",
            "agent('x', {label: {}})",
            "agent('x', {fallback: {agentType: 5}})",
        ],
        expect![[r#"
            agent()
              error TypeError [LW0205]: `agent`: its prompt must be a text, not undefined
            agent('')
              error TypeError [LW0205]: `agent`: its prompt must be a text, not an empty string
            agent(agent('x'))
              error TypeError [LW0205]: `agent`: its prompt must be a text, not a promise (hint: await it first)
            agent({prompt: 'x'})
              error TypeError [LW0205]: `agent`: its prompt must be a text, not an object (hint: write `agent("what to do", {…})`, or put the data into the text with `JSON.stringify`)
            agent('x', 'reviewer')
              error TypeError [LW0205]: `agent`: its options must be an object, not the string `reviewer` (hint: write `agent(prompt, {agentType: …})`)
            agent('x', {schema: 'object'})
              error TypeError [LW0205]: `agent`: option `schema` must be a JSON Schema object, not the string `object`
            agent('x', {retries: 1.5})
              error TypeError [LW0205]: `agent`: option `retries` must be a whole number of 0 or more, not `1.5`
            agent('x', {timeoutMs: 0})
              error TypeError [LW0205]: `agent`: option `timeoutMs` must be a number of milliseconds above 0, not `0`
            agent('x', {timeoutMs: NaN})
              error TypeError [LW0205]: `agent`: option `timeoutMs` must be a number of milliseconds above 0, not `NaN`
            agent('x', {tools: 'grep'})
              error TypeError [LW0205]: `agent`: option `tools` must be an array of tool names, not the string `grep`
            agent('x', {effects: 'all'})
              error TypeError [LW0205]: `agent`: option `effects` must be `none`, `local` or `external`, not the string `all`
            agent('x', {label: {}})
              error TypeError [LW0205]: `agent`: option `label` must be a text, not an object
            agent('x', {fallback: {agentType: 5}})
              error TypeError [LW0205]: `agent`: option `fallback` must be a value, or `{subagentType: name}`, not an object"#]],
    );
}

#[test]
fn wrong_types_of_other_calls_are_refused_and_named() {
    check_each(
        "",
        &[
            "task('x')",
            "task({})",
            "task({description: 5})",
            "workflow(5)",
            "sleep('1s')",
            "sleep(-1)",
            "sleep(Infinity)",
            "approve()",
            "approve('ok?', {choices: 'yes'})",
            "tools.glob('**')",
            "phase({})",
            "agent('x', {schema: {a: () => 1}})",
        ],
        expect![[r#"
            task('x')
              error TypeError [LW0205]: `task`: its argument must be an object, not the string `x` (hint: write `task({description: "what to do"})`)
            task({})
              error TypeError [LW0205]: `task`: `description` must be a text, not undefined
            task({description: 5})
              error TypeError [LW0205]: `task`: `description` must be a text, not `5`
            workflow(5)
              error TypeError [LW0205]: `workflow`: its first argument must be the name of a saved program, not `5`
            sleep('1s')
              error TypeError [LW0205]: `sleep`: its argument must be a number of milliseconds of 0 or more, not the string `1s`
            sleep(-1)
              error TypeError [LW0205]: `sleep`: its argument must be a number of milliseconds of 0 or more, not `-1`
            sleep(Infinity)
              error TypeError [LW0205]: `sleep`: its argument must be a number of milliseconds of 0 or more, not `Infinity`
            approve()
              error TypeError [LW0205]: `approve`: its question must be a text, not undefined
            approve('ok?', {choices: 'yes'})
              error TypeError [LW0205]: `approve`: option `choices` must be an array of texts, not the string `yes`
            tools.glob('**')
              error TypeError [LW0205]: `tools.glob`: its argument must be an object, not the string `**` (hint: write `tools.glob({…})`)
            phase({})
              error TypeError [LW0205]: `phase`: its title must be a text, not an object
            agent('x', {schema: {a: () => 1}})
              error TypeError [LW0201]: `schema.a` is a function: call it and pass what it returns (hint: only JSON crosses between program and host)"#]],
    );
}

#[test]
fn calls_never_throw_but_reject() {
    assert_eq!(
        value(
            "const calls = [agent(), task(), workflow(), sleep(), approve(), tools.nothing()];
               const ends = await Promise.allSettled(calls); return ends.map((end) => end.status)",
            ""
        ),
        r#"result ["rejected","rejected","rejected","rejected","rejected","rejected"]"#
    );
}

#[test]
fn an_unknown_option_is_warned_about_once() {
    check(
        "await agent('a', {tmeoutMs: 5, subagent_typ: 'x', colour: 1}); await task({description: 'b', tmeoutMs: 5})",
        "",
        expect![[r#"
            log {"level":"warn","text":"`agent` ignores its unknown option `tmeoutMs`: did you mean `timeoutMs`?"}
            log {"level":"warn","text":"`agent` ignores its unknown option `subagent_typ`: did you mean `subagentType`?"}
            log {"level":"warn","text":"`agent` ignores its unknown option `colour`"}
            agent {"prompt":"a"} 1:7 null-on-failure
            task {"prompt":"b"} 1:70
            result "b""#]],
    );
}

#[test]
fn an_agent_that_dies_gives_null_and_a_task_rejects() {
    check(
        "const nothing = await agent('dies'); try { await task({description: 'dies'}) } catch (e) {
            return [nothing, e instanceof TaskError, e instanceof Error, e.name, e.message, e.reason, e.code, e.subagent,
                e.attempts, e.usage, e.retryable, e.call] }",
        "dies => fail provider",
        expect![[r#"
            agent {"prompt":"dies"} 1:23 null-on-failure
            task {"prompt":"dies"} 1:50
            result [null,true,true,"TaskError","call 1 failed","provider","LW0604","general-purpose",1,{"output_tokens":7},false,"c1"]"#]],
    );
}

#[test]
fn only_provider_timeout_and_cancelled_become_null() {
    let reasons = ["provider", "timeout", "cancelled", "schema", "budget", "limit", "policy"];
    let ends: Vec<_> = reasons
        .iter()
        .map(|reason| {
            let program = "try { return await agent('x') } catch (e) { return e.reason }";
            value(program, &format!("x => fail {reason}"))
        })
        .collect();
    expect![[r#"
        [
            "result null",
            "result null",
            "result null",
            "result \"schema\"",
            "result \"budget\"",
            "result \"limit\"",
            "result \"policy\"",
        ]
    "#]]
    .assert_debug_eq(&ends);
}

#[test]
fn failures_lists_what_gave_nothing_in_order() {
    check(
        "await agent('a'); await agent('dies'); try { await task({description: 'spent'}) } catch {}
         const list = failures(); list[0].reason = 'changed'; return failures()",
        "dies => fail provider
         spent => fail budget LW0503",
        expect![[r#"
            agent {"prompt":"a"} 1:7 null-on-failure
            agent {"prompt":"dies"} 1:25 null-on-failure
            task {"prompt":"spent"} 1:52
            result [{"call":"c1","reason":"provider","code":"LW0604","message":"call 1 failed","subagent":"general-purpose","attempts":1,"retryable":false,"usage":{"output_tokens":7}},{"call":"c2","reason":"budget","code":"LW0503","message":"call 2 failed","subagent":"general-purpose","attempts":1,"retryable":false,"usage":{"output_tokens":7}}]"#]],
    );
}

#[test]
fn tools_answer_to_snake_and_camel_case_and_to_members() {
    check(
        "return [await tools.read_file({path: 'a'}), await tools.readFile({path: 'b'}), await tools.glob(),
            await tools.db.runQuery({sql: 'x'}), await tools['db.run_query']({})]",
        "",
        expect![[r#"
            tool {"name":"read_file","args":{"path":"a"}} 1:21
            tool {"name":"read_file","args":{"path":"b"}} 1:57
            tool {"name":"glob","args":{}} 1:92
            tool {"name":"db.run_query","args":{"sql":"x"}} 2:28
            tool {"name":"db.run_query","args":{}} 2:56
            result ["read_file","read_file","glob","db.run_query","db.run_query"]"#]],
    );
}

#[test]
fn a_tool_that_is_not_allowed_is_refused_with_the_allowed_ones() {
    check(
        "const ends = await Promise.allSettled([tools.reedFile({}), tools.write_file({}), tools.db.drop({})]);
         return ends.map(({reason}) => [reason.code, reason.reason, reason.message, reason.hint])",
        "",
        expect![[r#"result [["LW0702","policy","tool `reedFile` is not allowed","did you mean `read_file`? allowed: `glob`, `grep`, `read_file`, `db.run_query`"],["LW0702","policy","tool `write_file` is not allowed","allowed: `glob`, `grep`, `read_file`, `db.run_query`"],["LW0702","policy","tool `db.drop` is not allowed","allowed: `glob`, `grep`, `read_file`, `db.run_query`"]]"#]],
    );
}

#[test]
fn tools_is_no_promise_and_no_trap() {
    check(
        "const same = await tools; return [typeof tools.then, typeof tools.toJSON, typeof tools.constructor,
            typeof tools[Symbol.iterator], same === tools, Object.keys(tools), 'grep' in tools, 'rm' in tools,
            tools.glob === tools.glob, Reflect.set(tools, 'glob', 1), Reflect.deleteProperty(tools, 'glob'),
            String(tools.glob).length > 0, typeof tools.glob.call]",
        "",
        expect![[r#"result ["undefined","undefined","undefined","undefined",true,["glob","grep","read_file","db.run_query"],true,false,true,false,false,true,"function"]"#]],
    );
}

#[test]
fn a_saved_program_is_named_by_text_or_reference() {
    check(
        "await workflow('audit', {deep: true}); await workflow({name: 'audit'}); return await workflow({scriptPath: 'a/b.js'})",
        "",
        expect![[r#"
            workflow {"name":"audit","args":{"deep":true}} 1:7
            workflow {"name":"audit"} 1:46
            workflow {"name":"a/b.js"} 1:86
            result "a/b.js""#]],
    );
}

#[test]
fn sleep_and_approve_send_what_they_were_given() {
    check(
        "await sleep(5); return await approve('Ship it?', {choices: ['yes', 'no'], data: {n: 1}, deadlineMs: 1000, color: 1})",
        "Ship => done \"yes\"",
        expect![[r#"
            sleep {"ms":5} 1:7
            log {"level":"warn","text":"`approve` ignores its unknown option `color`"}
            approve {"question":"Ship it?","choices":["yes","no"],"data":{"n":1},"deadlineMs":1000} 1:30
            result "yes""#]],
    );
}

#[test]
fn args_are_what_the_run_was_given() {
    let given = json!({ "args": { "files": ["a"], "__proto__": 1 }, "tools": [] });
    expect![[r#"result {"files":["a"],"__proto__":1}"#]]
        .assert_eq(&transcript_with("args", "", &given));
    expect![[r#"result ["undefined",true]"#]].assert_eq(&transcript_with(
        "[typeof args, args === undefined]",
        "",
        &config(),
    ));
    expect!["result null"].assert_eq(&transcript_with("args", "", &json!({ "args": null })));
}

#[test]
fn phases_and_lines_reach_the_host() {
    check(
        "phase('Search'); log('hello', 1, {a: [2]}); return 1",
        "",
        expect![[r#"
        note {"note":"phase","title":"Search"}
        log {"level":"log","text":"hello 1 { a: [2] }"}
        result 1"#]],
    );
}

#[test]
fn an_unawaited_failure_is_reported_at_its_line() {
    check(
        "const lost = task({description: 'dies'});\nawait sleep(1);\nreturn 1",
        "dies => fail provider",
        expect![[r#"
        task {"prompt":"dies"} 1:14
        sleep {"ms":1} 2:7
        result 1
        unhandled TaskError [LW0604, provider]: call 0 failed 1:14"#]],
    );
}
