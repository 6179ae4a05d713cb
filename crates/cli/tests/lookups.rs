//! Runs that are killed in the midst of an effect, which is then looked up by its key: real processes, SIGKILL, and
//! nobody who has to decide anything.

mod support;

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::Place;

/// Sends, which must not happen twice: one line for each time, with the key. It can be held up before that and after.
const SENDER: &str = "read -r request || exit 1\necho \"$LOOPWRIGHT_KEY\" >> begun\n\
    while [ -e before ]; do sleep 0.02; done\necho \"$LOOPWRIGHT_KEY\" >> sent\n\
    while [ -e after ]; do sleep 0.02; done\necho '{\"result\": \"sent\"}'\n";
/// Looks in the same file; nothing is held up any more.
const LOOKUP: &str = "read -r request || exit 1\necho \"$LOOPWRIGHT_KEY\" >> looked\n\
    case $request in *\"\\\"idempotencyKey\\\":\\\"$LOOPWRIGHT_KEY\\\"\"*) ;; *) exit 1 ;; esac\n\
    rm -f before after\n[ -e blind ] && { echo '{\"status\": \"unknown\", \"message\": \"no log\"}'; exit; }\n\
    if grep -qx \"$LOOPWRIGHT_KEY\" sent; then echo '{\"status\": \"done\", \"result\": \"was sent\"}'\n\
    else echo '{\"status\": \"not_done\"}'; fi\n";
const DEFINITION: &str = "---\nname: sender\ndescription: sends\ncommand: [sh, sender.sh]\n\
    lookup: [sh, lookup.sh]\neffects: external\n---\n";
const PROGRAM: &str = "await task({ description: 'hello', subagentType: 'sender' })";

fn lines(place: &Place, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn killed(place: &Place, when: impl Fn() -> bool) {
    let mut child: Child = place
        .command(&["run", "p.ts"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !when() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to pass");
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn place() -> Place {
    let place = Place::with(&[("p.ts", PROGRAM), ("sender.sh", SENDER), ("lookup.sh", LOOKUP)]);
    place.write(".loopwright/agents/sender.md", DEFINITION);
    place
}

#[test]
fn an_effect_that_was_done_before_the_kill_is_found_and_happens_once() {
    let place = place();
    place.write("after", "");
    killed(&place, || !lines(&place, "sent").is_empty());
    let ended = place.run(&["resume"]).code(0);
    assert_eq!(ended.out, "was sent\n", "{}", ended.err);
    assert!(ended.err.contains("looked up: it was done"), "{}", ended.err);
    let sent = lines(&place, "sent");
    assert_eq!(sent.len(), 1);
    assert_eq!((lines(&place, "begun"), lines(&place, "looked")), (sent.clone(), sent));
    let shown = place.run(&["show", "--json"]).code(0).json();
    assert_eq!(shown["status"], "complete");
    assert_eq!(shown["lookedUp"], json!({ "done": 1, "notDone": 0, "unknown": 0 }));
    let text = place.run(&["show"]).code(0).out;
    assert!(text.contains("nothing was sent twice; looked up: 1 done"), "{text}");
    let task = place.run(&["show", "--task", "0", "--json"]).code(0).json();
    let lookup = &task["attempts"][1];
    assert_eq!((&lookup["looksUp"], &lookup["found"]), (&json!(1), &json!("done")), "{task}");
    let text = place.run(&["show", "--task", "0"]).code(0).out;
    assert!(text.contains("lookup 2") && text.contains("of attempt 1"), "{text}");
    place.run(&["replay"]).code(0);
}

#[test]
fn an_effect_that_was_not_done_before_the_kill_is_sent_again_under_the_same_key() {
    let place = place();
    let listed = place.run(&["agents", "--json"]).code(0).json();
    let mut agents = listed["agents"].as_array().unwrap().iter();
    assert_eq!(agents.find(|it| it["name"] == "sender").unwrap()["lookup"], true);
    place.write("before", "");
    killed(&place, || !lines(&place, "begun").is_empty());
    let ended = place.run(&["resume", "--json"]).code(0);
    let events = ended.events();
    let of =
        |name: &str| -> Vec<&Value> { events.iter().filter(|it| it["event"] == name).collect() };
    assert_eq!(of("task.lookup")[0]["looksUp"], 1, "{events:?}");
    assert_eq!(of("task.looked_up")[0]["found"], "not_done", "{events:?}");
    assert_eq!(of("run.finished")[0]["result"], "sent", "{events:?}");
    let begun = lines(&place, "begun");
    assert_eq!((begun.len(), &begun[0]), (2, &begun[1]), "a repeat has the key of the first");
    assert_eq!(lines(&place, "sent").len(), 1);
    let shown = place.run(&["show", "--json"]).code(0).json();
    assert_eq!((&shown["repeated"], &shown["lookedUp"]["notDone"]), (&json!(1), &json!(1)));
    let task = place.run(&["show", "--task", "0", "--json"]).code(0).json();
    assert_eq!(task["attempts"][2]["key"], 1, "{task}");
    place.run(&["replay"]).code(0);
}

#[test]
fn what_a_lookup_cannot_tell_a_person_is_asked_with_its_answer_and_the_next_resume_asks_again() {
    let place = place();
    place.write("after", "");
    place.write("blind", "");
    killed(&place, || !lines(&place, "sent").is_empty());
    let parked = place.run(&["resume"]).code(4);
    assert!(parked.err.contains("LW0516") && parked.err.contains("no log"), "{}", parked.err);
    let doubts = place.run(&["approvals", "--json"]).code(0).json();
    assert_eq!(doubts[0]["lookedUp"], "no log", "{doubts}");
    let text = place.run(&["approvals"]).code(0).out;
    assert!(text.contains("looked up: no log") && text.contains("--repeat"), "{text}");
    std::fs::remove_file(place.path().join("blind")).unwrap();
    assert_eq!(place.run(&["resume"]).code(0).out, "was sent\n");
    assert_eq!((lines(&place, "sent").len(), lines(&place, "looked").len()), (1, 2));
}

#[test]
fn a_call_of_an_mcp_tool_is_looked_up_by_the_tool_that_its_configuration_names() {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../mcp/tests/data/mail.py");
    let servers = json!({ "mcpServers": { "mail": {
        "command": "python3",
        "args": [server],
        "loopwright": { "tools": { "send": { "lookup": "send_status" } } },
    } } });
    let place = Place::with(&[("p.ts", "await tools.mail.send({ to: 'ada' })")]);
    place.write(".mcp.json", &servers.to_string());
    let listed = place.run(&["tools", "--json"]).code(0).json();
    let mut tools = listed["tools"].as_array().unwrap().iter();
    assert_eq!(tools.find(|it| it["name"] == "mail.send").unwrap()["lookup"], true);
    place.write("hold", "");
    killed(&place, || !lines(&place, "sent").is_empty());
    std::fs::remove_file(place.path().join("hold")).unwrap();
    let ended = place.run(&["resume"]).code(0);
    assert_eq!(ended.out, "sent to ada\n", "{}", ended.err);
    assert_eq!(lines(&place, "sent").len(), 1);
    let shown = place.run(&["show", "--json"]).code(0).json();
    assert_eq!(shown["lookedUp"], json!({ "done": 1, "notDone": 0, "unknown": 0 }));
}
