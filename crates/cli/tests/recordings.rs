//! Runs replayed from their records, and programs held against recordings.

mod support;

use serde_json::json;
use support::Place;

const MOCK: &str = "---\nname: reviewer\ndescription: looks\ndriver: mock\neffects: none\n---\n";
const PROGRAM: &str = "const found = [];\nfor (const part of ['a', 'b']) {\n  found.push(await task({description: `look at ${part}`, subagentType: 'reviewer'}));\n}\nfound.length";

fn place(program: &str) -> Place {
    Place::with(&[("p.ts", program), (".loopwright/agents/reviewer.md", MOCK)])
}

fn recorded(program: &str) -> Place {
    let place = place(program);
    place.run(&["run", "p.ts"]).code(0);
    place.run(&["export", "latest", "p.run"]).code(0);
    place
}

#[test]
fn a_run_replays_from_its_record_alone() {
    let place = recorded(PROGRAM);
    std::fs::remove_file(place.path().join("p.ts")).unwrap();
    std::fs::remove_dir_all(place.path().join(".loopwright")).unwrap();
    let told = place.run(&["replay"]).code(0).out;
    assert!(told.ends_with(": 3 turns, 2 calls, same\n"), "{told}");
    let json = place.run(&["replay", "latest", "--json"]).code(0).json();
    assert_eq!((&json["same"], &json["calls"]), (&json!(true), &json!(2)));
    let none = place.run(&["replay", "nonesuch"]).code(1).err;
    assert!(none.contains("error[LW0805]"), "{none}");
}

#[test]
fn a_program_is_held_against_its_recordings() {
    let place = recorded(PROGRAM);
    let same = place.run(&["test"]).code(0);
    assert_eq!(same.out, "ok      p.ts  p.run  3 turns, 2 calls, same\n", "{}", same.err);
    // Other lines, other logs: the same calls.
    place.write("p.ts", &format!("// a comment\n\nlog('more');\n{PROGRAM}"));
    place.run(&["test", "p.ts"]).code(0);
    place.write("p.ts", &PROGRAM.replace("look at", "look into"));
    let other = place.run(&["test"]).code(1);
    assert!(other.out.starts_with("FAIL    p.ts  p.run  call 0 differs"), "{}", other.out);
    for piece in [
        "error[LW0508]",
        "p.ts:3:",
        "recorded  ",
        "look at a",
        "now       ",
        "look into a",
        "0 passed, 1 failed",
    ] {
        assert!(other.err.contains(piece), "no `{piece}` in\n{}", other.err);
    }
    let against = place.run(&["test", "p.ts", "--run", "latest"]).code(1);
    assert!(against.out.starts_with("FAIL"), "{}", against.out);
    for mistake in [&["."][..], &[], &["p.ts", "p.ts"]] {
        let usage = place.run(&[&["test", "--run", "latest"], mistake].concat()).code(2);
        assert!(usage.err.contains("error[LW0904]: `--run` takes one program"), "{}", usage.err);
    }
    let updated = place.run(&["test", "--update"]).code(0);
    assert!(updated.out.starts_with("update  p.ts  p.run  recorded anew"), "{}", updated.out);
    place.run(&["test"]).code(0);
    let other_end =
        PROGRAM.replace("look at", "look into").replace("found.length", "found.length + 1");
    place.write("p.ts", &other_end);
    let result = place.run(&["test"]).code(1);
    assert!(result.out.contains("another end"), "{}", result.out);
    place.write("p.ts", "let let = (");
    assert!(place.run(&["test"]).code(1).err.contains("error[LW01"));
}

#[test]
fn a_program_without_a_recording_is_rehearsed_with_mocks() {
    let place = place("await task({description: 'x', subagentType: 'worker'}); 'ok'");
    place.write(
        ".loopwright/agents/worker.md",
        "---\nname: worker\ndescription: acts\ndriver: command\ncommand: [sh, -c, 'touch acted']\n---\n",
    );
    let nothing = place.run(&["test"]).code(1).err;
    assert!(nothing.contains("error[LW0906]"), "{nothing}");
    let ended = place.run(&["test", "p.ts"]).code(0);
    assert_eq!(ended.out, "ok      p.ts  mock  complete, 1 of 1 tasks\n");
    assert!(!place.path().join("acted").exists(), "nothing is started in a rehearsal");
    place.write("bad.ts", "throw new Error('no')");
    let bad = place.run(&["test", "p.ts", "bad.ts"]).code(1);
    assert!(bad.out.contains("FAIL    bad.ts  mock  failed"), "{}", bad.out);
    assert!(
        bad.err.contains("error[LW0208]") && bad.err.contains("1 passed, 1 failed"),
        "{}",
        bad.err
    );
    place.write("loopwright.toml", "run.concurency = 2\n");
    let broken = place.run(&["test", "p.ts"]).code(1);
    assert!(broken.err.contains("error[LW0901]: unknown setting"), "{}", broken.err);
    std::fs::remove_file(place.path().join("loopwright.toml")).unwrap();
    let made = place.run(&["test", "p.ts", "--update"]).code(0);
    assert!(made.out.contains("recorded anew in p.run"), "{}", made.out);
    assert!(place.run(&["test"]).code(0).out.contains("p.run"));
    assert_eq!(place.run(&["runs", "--json"]).out, "[]\n", "tests leave no runs behind");
}

#[test]
fn a_damaged_recording_is_told_and_not_taken_for_a_difference() {
    let place = recorded(PROGRAM);
    let mut bytes = std::fs::read(place.path().join("p.run")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(place.path().join("p.run"), bytes).unwrap();
    let ended = place.run(&["test"]).code(1);
    assert!(ended.err.contains("error[LW0811]"), "{}", ended.err);
}

#[test]
fn a_recorded_failure_is_held_wherever_its_file_and_its_lines_are() {
    let program = "const seen = await parallel([() => { throw new Error('one is lost'); }]);\n\
        await task({description: 'look', subagentType: 'reviewer'});\n\
        throw new TypeError(`no good: ${seen.length}`);";
    let place = place(program);
    place.run(&["run", "p.ts"]).code(1);
    place.run(&["export", "latest", "p.run"]).code(0);
    place.run(&["test"]).code(0);
    let later = format!("// a comment\n\nconst more = 1;\n{program}");
    place.write("p.ts", &later);
    place.run(&["test"]).code(0);
    // Another folder, the same program.
    place.write("flows/p.ts", &later);
    std::fs::copy(place.path().join("p.run"), place.path().join("flows/p.run")).unwrap();
    place.run(&["test", "flows/p.ts"]).code(0);
    for (was, is) in [("no good", "very bad"), ("TypeError", "RangeError"), ("one is", "it is")] {
        place.write("p.ts", &later.replace(was, is));
        let other = place.run(&["test", "p.ts"]).code(1);
        assert!(other.err.contains("error[LW0508]") && other.err.contains(is), "{}", other.err);
    }
    place.write("p.ts", &later.replace("throw new TypeError(", "("));
    place.run(&["test", "p.ts"]).code(1);
}

/// An MCP server with one tool, which leaves a file behind.
const SERVER: &str = "import json, sys\n\
    for line in sys.stdin:\n\
    \x20   m = json.loads(line)\n\
    \x20   if 'id' not in m: continue\n\
    \x20   if m['method'] == 'initialize': r = {'protocolVersion': m['params']['protocolVersion'], 'capabilities': {'tools': {}}, 'serverInfo': {'name': 's', 'version': '1'}}\n\
    \x20   elif m['method'] == 'tools/list': r = {'tools': [{'name': 'act', 'description': 'acts', 'inputSchema': {'type': 'object'}, 'outputSchema': {'type': 'object', 'required': ['n'], 'properties': {'n': {'type': 'integer'}}}}]}\n\
    \x20   elif m['method'] == 'tools/call':\n\
    \x20       open('acted', 'w').close()\n\
    \x20       r = {'content': [{'type': 'text', 'text': '{\"n\": 1}'}], 'structuredContent': {'n': 1}}\n\
    \x20   else: r = {}\n\
    \x20   print(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'result': r}), flush=True)\n";

#[test]
fn a_rehearsal_reads_the_workspace_and_does_nothing_and_its_recording_stays_one() {
    let program = "const text = await tools.read_file({path: 'in.txt'});\n\
        await tools.write_file({path: 'out.txt', content: 'x'});\n\
        const said = await tools.s.act({});\n\
        await task({description: 'x', subagentType: 'worker', isolation: 'worktree'});\n\
        ({text: String(text).includes('hello'), n: typeof said.n})";
    let place = place(program);
    place.write("in.txt", "hello\n");
    place.write("server.py", SERVER);
    place.write(
        ".mcp.json",
        r#"{"mcpServers": {"s": {"command": "python3", "args": ["server.py"]}}}"#,
    );
    place.write(".loopwright/settings.toml", "tools.allow = \"read_file,write_file\"\n");
    place.write(
        ".loopwright/agents/worker.md",
        "---\nname: worker\ndescription: acts\ndriver: command\ncommand: [sh, -c, 'touch acted']\n---\n",
    );
    let nothing_done = || {
        let there = |name: &str| place.path().join(name).exists();
        assert!(!there("out.txt") && !there("acted"), "something was done");
    };
    let ended = place.run(&["test", "p.ts"]).code(0);
    assert!(ended.out.starts_with("ok      p.ts  mock  complete"), "{}", ended.out);
    nothing_done();
    place.run(&["test", "p.ts", "--update"]).code(0);
    nothing_done();
    // A recording of a rehearsal is replaced by one.
    place.write("p.ts", &program.replace("content: 'x'", "content: 'y'"));
    let updated = place.run(&["test", "--update"]).code(0);
    assert!(updated.out.starts_with("update  p.ts  p.run"), "{}", updated.out);
    nothing_done();
    let replayed = place.run(&["test"]).code(0);
    assert!(replayed.out.contains("same"), "{}", replayed.out);
    place.run(&["import", "p.run"]).code(0);
    let shown = place.run(&["show", "latest", "--json"]).code(0).json();
    assert_eq!(shown["result"], json!({"text": true, "n": "number"}), "{shown}");
    // What a recording has answers for tools that are gone, whatever they would do.
    std::fs::remove_file(place.path().join(".mcp.json")).unwrap();
    std::fs::remove_file(place.path().join("in.txt")).unwrap();
    place.run(&["test"]).code(0);
    nothing_done();
}
