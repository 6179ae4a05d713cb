//! Runs that are killed, cancelled or parked and go on in another process: nothing that is finished is done again, no
//! effect happens twice, and the result is the one of a run that nobody disturbed.

mod support;

use loopwright::journal::{RunRow, Store};
use loopwright::protocol::Entry;
use loopwright::types::RunStatus;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::{Ended, Place, signal};

/// Counts words; repeating it changes nothing. A host that is killed may leave a worker without its request: that one
/// does nothing. It keeps its own books. While there is a file `hold`, only those that it names end.
const COUNTER: &str = "read -r request || exit 1\nrest=${request#*'\"description\":\"'}\nfile=${rest%%'\"'*}\n\
    echo \"begun $file\" >> books\nwhile [ -e hold ] && ! grep -qsF \"$file\" hold; do sleep 0.02; done\nsleep 0.02\n\
    words=$(wc -w < \"$file\")\necho \"ended $file\" >> books\necho \"{\\\"result\\\": $words}\"\n";
/// Files a file away, which must not happen twice: one line for each time it happens.
const FILER: &str = "read -r request || exit 1\nrest=${request#*'\"description\":\"'}\nfile=${rest%%'\"'*}\n\
    echo \"begun $file\" >> books\nsleep 0.01\necho \"$file\" >> effects\nsleep 0.02\n\
    echo \"ended $file\" >> books\necho '{\"result\": \"filed\"}'\n";
const PROGRAM: &str = "const files = (await tools.glob({pattern: 'files/*.txt'})).split('\\n').filter(Boolean).sort();\n\
    const counts = await parallel(files.map((file) => () => agent(file, {agentType: 'counter', label: file})));\n\
    log(`counted ${files.length}`);\n\
    const filed = [];\n\
    for (const file of files.slice(0, 3)) filed.push(await agent(`${file}.away`, {agentType: 'filer', label: `${file}.away`}));\n\
    ({files, counts, filed, at: Math.random()})";

fn definition(name: &str, effects: &str) -> String {
    format!(
        "---\nname: {name}\ndescription: {name}\ndriver: command\neffects: {effects}\n\
         command: [sh, {name}.sh]\n---\n"
    )
}

fn place(program: &str) -> Place {
    let place = Place::with(&[("p.ts", program), ("counter.sh", COUNTER), ("filer.sh", FILER)]);
    place.write(".loopwright/agents/counter.md", &definition("counter", "none"));
    place.write(".loopwright/agents/filer.md", &definition("filer", "local"));
    for n in 0..6 {
        place.write(&format!("files/{n}.txt"), &"word ".repeat(n + 1));
    }
    place
}

const ARGS: [&str; 5] = ["p.ts", "--set", "run.seed=7", "--set", "run.concurrency=3"];

fn lines(place: &Place, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn until(mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to pass");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What it says is in `err`.
fn start(place: &Place, arguments: &[&str]) -> Child {
    let err = std::fs::File::create(place.path().join("err")).unwrap();
    place.command(arguments).stdout(Stdio::null()).stderr(err).spawn().unwrap()
}

fn kill(mut child: Child) -> bool {
    let was_running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    was_running
}

fn row(place: &Place) -> Option<RunRow> {
    Store::open_read_only(&place.data()).unwrap().runs(1).unwrap().pop()
}

fn entries(place: &Place) -> Vec<Entry> {
    let store = Store::open_read_only(&place.data()).unwrap();
    let Some(row) = store.runs(1).unwrap().pop() else { return Vec::new() };
    store.read(&row.id).unwrap().map(|entry| entry.unwrap().1).collect()
}

/// What the finished tasks were asked.
fn finished(place: &Place) -> BTreeSet<String> {
    let mut asked = BTreeMap::new();
    let mut done = BTreeSet::new();
    for entry in entries(place) {
        match entry {
            Entry::Called(call) if call.kind.is_task() => {
                let request: Value = serde_json::from_str(call.request.text()).unwrap();
                asked.insert(call.call, request["prompt"].as_str().unwrap().to_owned());
            }
            Entry::Settled(settled) => done.extend(asked.get(&settled.call).cloned()),
            _ => {}
        }
    }
    done
}

fn begun(place: &Place, file: &str) -> usize {
    let line = format!("begun {file}");
    lines(place, "books").iter().filter(|found| **found == line).count()
}

/// The result and the journal's order of the same work without any disturbance.
fn undisturbed() -> String {
    place(PROGRAM).run(&[&["run"], &ARGS[..]].concat()).code(0).out
}

#[test]
fn a_killed_run_goes_on_and_nothing_that_is_finished_is_done_again() {
    let expected = undisturbed();
    let place = place(PROGRAM);
    place.write("hold", "files/0.txt files/1.txt");
    let child = start(&place, &[&["run"], &ARGS[..]].concat());
    until(|| finished(&place).len() == 2 && lines(&place, "books").len() == 7);
    kill(child);
    let row = row(&place).unwrap();
    assert!(row.interrupted);
    std::fs::remove_file(place.path().join("hold")).unwrap();
    let done = finished(&place);
    let before: Vec<usize> = done.iter().map(|file| begun(&place, file)).collect();
    let id = row.id.as_str();
    let listed = place.run(&["runs"]).code(0).out;
    assert!(listed.contains("interrupted"), "{listed}");
    let waited = place.run(&["wait", id]).code(1).err;
    assert!(waited.contains("error[LW0813]") && waited.contains("resume"), "{waited}");
    let ended = place.run(&["resume", id]).code(0);
    assert_eq!(ended.out, expected);
    assert!(ended.err.contains(&format!("run {id} goes on: ")), "{}", ended.err);
    let after: Vec<usize> = done.iter().map(|file| begun(&place, file)).collect();
    assert_eq!(after, before, "finished work was begun again");
    assert_eq!(lines(&place, "effects").len(), 3);
    let shown = place.run(&["show", id, "--json"]).code(0).json();
    assert_eq!((&shown["status"], &shown["resumes"]), (&json!("complete"), &json!(1)));
    assert!(
        shown["repeated"].as_u64() >= Some(1),
        "what was under way is repeated and counted: {shown}"
    );
    let text = place.run(&["show", id]).code(0).out;
    assert!(text.contains("resumed") && text.contains("price of the lost"), "{text}");
    assert_eq!(place.run(&["runs", "--json"]).json()[0]["counts"]["done"], 9);
    let again = place.run(&["resume", id]).code(1).err;
    assert!(again.contains("error[LW0809]"), "{again}");
}

#[test]
fn a_call_that_may_have_had_an_effect_waits_for_a_decision() {
    let program = "const asked = ['a', 'b', 'c'].map((n) => task({description: n, subagentType: 'slow'}).catch((e) => e.code));\n\
        await Promise.all(asked)";
    let place = place(program);
    place.write(".loopwright/agents/slow.md", &definition("slow", "external"));
    place.write(
        "slow.sh",
        "echo begun >> books\n[ -e go ] || sleep 600\necho '{\"result\": \"sent\"}'\n",
    );
    let child = start(&place, &["run", "p.ts"]);
    until(|| lines(&place, "books").len() == 3);
    kill(child);
    place.write("go", "");
    let parked = place.run(&["resume", "latest"]).code(4);
    assert!(parked.err.contains("LW0516") && parked.err.contains("decide"), "{}", parked.err);
    assert_eq!(lines(&place, "books").len(), 3, "no effect is repeated by itself");
    let doubts = place.run(&["approvals", "--json"]).code(0).json();
    let calls: Vec<u64> =
        doubts.as_array().unwrap().iter().map(|it| it["call"].as_u64().unwrap()).collect();
    assert_eq!((calls.as_slice(), &doubts[0]["kind"]), (&[0, 1, 2][..], &json!("doubt")));
    let text = place.run(&["approvals"]).code(0).out;
    assert!(text.contains("in doubt: slow was sent") && text.contains("--repeat"), "{text}");
    let wrong = place.run(&["decide", "latest", "9", "--fail"]).code(1).err;
    assert!(wrong.contains("error[LW0814]") && wrong.contains("call `0` (slow)"), "{wrong}");
    place.run(&["decide", "latest", "0"]).code(2);
    place.run(&["decide", "latest", "0", "--repeat"]).code(0);
    place.run(&["decide", "latest", "1", "--value", "\"done by hand\""]).code(0);
    let kept = place.run(&["decide", "latest", "2", "--fail"]).code(0).err;
    assert!(kept.contains("loopwright resume "), "{kept}");
    let ended = place.run(&["resume"]).code(0);
    assert_eq!(ended.out, "[\"sent\",\"done by hand\",\"LW0516\"]\n", "{}", ended.err);
    assert_eq!(lines(&place, "books").len(), 4);
}

#[test]
fn what_ctrl_c_stopped_goes_on() {
    let expected = undisturbed();
    let place = place(PROGRAM);
    place.write("hold", "");
    let mut command = place.command(&[&["run"], &ARGS[..]].concat());
    let child = command.spawn().unwrap();
    until(|| lines(&place, "books").len() >= 3);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &*pid]).status().unwrap().success());
    let stopped: Ended = child.wait_with_output().unwrap().into();
    let stopped = stopped.code(130);
    let id = row(&place).unwrap().id;
    assert!(stopped.err.contains(&format!("loopwright resume {id}")), "{}", stopped.err);
    assert_eq!(place.run(&["show", "--json"]).json()["counts"]["cancelled"], 6);
    std::fs::remove_file(place.path().join("hold")).unwrap();
    assert_eq!(place.run(&["resume", id.as_str()]).code(0).out, expected);
    let shown = place.run(&["show", "--json"]).code(0).json();
    assert_eq!((&shown["counts"]["done"], &shown["counts"]["cancelled"]), (&json!(9), &json!(0)));
}

#[test]
fn an_answer_that_was_kept_is_taken_when_the_run_goes_on() {
    let place =
        place("[await approve('ship?'), await approve('where?', {choices: ['here', 'there']})]");
    let parked = place.run(&["run", "p.ts"]).code(4);
    assert!(parked.err.contains("loopwright resume"), "{}", parked.err);
    place.run(&["approve", "latest"]).code(0);
    place.run(&["resume"]).code(4); // the second question parks it again
    place.run(&["approve", "latest", "--choice", "there"]).code(0);
    assert_eq!(place.run(&["resume"]).code(0).out, "[true,\"there\"]\n");
}

#[test]
fn a_paused_run_goes_on_in_the_background() {
    let expected = undisturbed();
    let place = place(PROGRAM);
    place.write("hold", "");
    let detached = place.run(&[&["run"], &ARGS[..], &["--detach"]].concat()).code(0);
    let id = detached.out.trim().to_owned();
    until(|| lines(&place, "books").len() >= 3);
    place.run(&["pause", &id, "--no-wait"]).code(0);
    until(|| place.run(&["show", &id, "--json"]).json()["pauseRequested"] == json!(true));
    std::fs::remove_file(place.path().join("hold")).unwrap();
    place.run(&["wait", &id]).code(4);
    assert_eq!(finished(&place).len(), 3);
    let again = place.run(&["resume", &id, "--detach"]).code(0);
    assert_eq!(again.out.trim(), id);
    assert_eq!(place.run(&["wait", &id]).code(0).out, expected);
    assert_eq!(lines(&place, "books").len(), 18, "each of nine tasks began and ended once");
    let logs = std::fs::read_dir(place.data().join("logs")).unwrap().count();
    assert_eq!(logs, 2, "both logs are kept");
}

#[test]
fn one_process_goes_on_with_a_run_and_the_other_is_told_which() {
    let place = place(PROGRAM);
    place.write("hold", "");
    let child = start(&place, &[&["run"], &ARGS[..]].concat());
    until(|| lines(&place, "books").len() >= 3);
    let pid = child.id();
    let live = place.run(&["resume"]).code(1).err;
    assert!(
        live.contains("error[LW0807]") && live.contains(&format!("process {pid} since ")),
        "{live}"
    );
    kill(child);
    let before = lines(&place, "books").len();
    let both: Vec<Child> = (0..2).map(|_| place.command(&["resume"]).spawn().unwrap()).collect();
    until(|| lines(&place, "books").len() >= before + 3);
    std::fs::remove_file(place.path().join("hold")).unwrap();
    let ended: Vec<Ended> =
        both.into_iter().map(|child| child.wait_with_output().unwrap().into()).collect();
    let won = ended.iter().filter(|ended| ended.code == Some(0)).count();
    let told = ended.iter().find(|ended| ended.code != Some(0)).unwrap();
    assert_eq!((won, told.code), (1, Some(1)), "{ended:#?}");
    assert!(told.err.contains("error[LW0807]"), "{}", told.err);
    assert_eq!(lines(&place, "effects").len(), 3);
}

#[test]
fn a_raised_ceiling_lets_a_parked_run_go_on_and_nothing_else_can_be_changed() {
    let program = "await parallel([1, 2, 3].map((n) => () => agent(`${n}`, {agentType: 'spender'}))); 'spent'";
    let place = place(program);
    place.write(
        ".loopwright/agents/spender.md",
        "---\nname: spender\ndescription: spends\ndriver: command\neffects: none\ncommand: [sh, spender.sh]\n---\n",
    );
    place.write(
        "spender.sh",
        "echo begun >> books\necho '{\"result\": 1, \"usage\": {\"inputTokens\": 60, \"outputTokens\": 60}}'\n",
    );
    let run = ["run", "p.ts", "--set", "budget.tokens=100", "--set", "run.concurrency=1"];
    let parked = place.run(&run).code(4);
    assert!(parked.err.contains("budget"), "{}", parked.err);
    let wrong = place.run(&["resume", "--set", "run.concurrency=9"]).code(2).err;
    assert!(wrong.contains("error[LW0904]") && wrong.contains("budget.tokens"), "{wrong}");
    let ended = place.run(&["resume", "--set", "budget.tokens=1000"]).code(0);
    assert_eq!(ended.out, "spent\n");
    assert_eq!(lines(&place, "books").len(), 3);
}

#[test]
fn a_run_whose_surroundings_are_gone_is_told_what_is_missing() {
    let place = place(
        "await approve('go on?'); await task({description: 'files/0.txt', subagentType: 'counter'})",
    );
    place.run(&["run", "p.ts"]).code(4);
    let id = row(&place).unwrap().id;
    std::fs::remove_file(place.path().join("p.ts")).unwrap(); // its text is in the record
    place.write(".loopwright/agents/counter.md", &definition("counter", "local"));
    place.run(&["approve", id.as_str()]).code(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("moved");
    let data = elsewhere.path().join("data");
    std::fs::rename(place.data(), &data).unwrap();
    let (data, workspace) = (data.to_str().unwrap(), place.path());
    std::fs::rename(workspace, &moved).unwrap();
    std::fs::create_dir(workspace).unwrap();
    std::fs::remove_dir(workspace).unwrap();
    let other = Place::new();
    let gone = other.run(&["resume", id.as_str(), "--data-dir", data]).code(1).err;
    assert!(gone.contains("error[LW0817]") && gone.contains("--workspace"), "{gone}");
    let moved = moved.to_str().unwrap();
    let ended =
        other.run(&["resume", id.as_str(), "--data-dir", data, "--workspace", moved]).code(0);
    assert_eq!(ended.out, "1\n");
    assert!(
        ended.err.contains("warning[LW0818]: subagent `counter` is not what it was"),
        "{}",
        ended.err
    );
}

#[test]
fn an_answer_after_the_deadline_is_refused_and_the_program_is_told_of_the_deadline() {
    let place = place("await approve('go on?', {deadlineMs: 300})");
    place.run(&["run", "p.ts"]).code(4);
    std::thread::sleep(Duration::from_millis(400));
    let late = place.run(&["approve", "latest"]).code(1).err;
    assert!(late.contains("error[LW0814]: the question at call `0` could be"), "{late}");
    let ended = place.run(&["resume"]).code(1).err;
    assert!(ended.contains("LW0510"), "{ended}");
}

#[test]
fn a_run_whose_subagent_is_gone_does_not_go_on_until_it_is_back_or_that_is_allowed() {
    let program = "await approve('go on?'); await task({description: 'files/0.txt', subagentType: 'counter'})";
    for allowed in [false, true] {
        let place = place(program);
        place.run(&["run", "p.ts"]).code(4);
        place.run(&["approve", "latest"]).code(0);
        let file = place.path().join(".loopwright/agents/counter.md");
        std::fs::remove_file(&file).unwrap();
        let gone = place.run(&["resume"]).code(1).err;
        assert!(gone.contains("error[LW0818]: subagent `counter` is gone"), "{gone}");
        assert_eq!(row(&place).unwrap().status, RunStatus::Parked, "nothing is lost by asking");
        if allowed {
            let ended = place.run(&["resume", "--allow-missing"]).code(1).err;
            assert!(ended.contains("warning[LW0818]: subagent `counter` is gone"), "{ended}");
        } else {
            place.write(".loopwright/agents/counter.md", &definition("counter", "none"));
            assert_eq!(place.run(&["resume"]).code(0).out, "1\n");
        }
    }
}

#[test]
fn an_owner_that_wakes_up_late_writes_nothing_more() {
    let expected = undisturbed();
    let place = place(PROGRAM);
    place.write("hold", "");
    let arguments = [&["run"], &ARGS[..], &["--set", "journal.lease_ms=1000"]].concat();
    let child = place.command(&arguments).spawn().unwrap();
    until(|| lines(&place, "books").len() >= 3);
    // Not in the middle of a commit: it would hold the lock for as long as it is stopped.
    until(|| {
        signal(child.id(), "-STOP");
        let is_between = place.may_write();
        (!is_between).then(|| signal(child.id(), "-CONT"));
        is_between
    });
    until(|| row(&place).is_some_and(|row| !row.live));
    std::fs::remove_file(place.path().join("hold")).unwrap();
    assert_eq!(place.run(&["resume"]).code(0).out, expected);
    let entries = entries(&place).len();
    signal(child.id(), "-CONT");
    let late: Ended = child.wait_with_output().unwrap().into();
    let late = late.code(1);
    assert!(late.err.contains("error[LW0808]"), "{}", late.err);
    assert_eq!(self::entries(&place).len(), entries);
    assert_eq!(lines(&place, "effects").len(), 3);
    place.run(&["verify"]).code(0);
}

#[test]
fn commands_that_outlived_their_host_are_ended_before_the_run_goes_on() {
    let program = "await task({description: 'x', subagentType: 'daemon'})";
    let place = place(program);
    place.write(".loopwright/agents/daemon.md", &definition("daemon", "none"));
    // It leaves its process group, so that nobody finds it but by what it has in its environment.
    place.write(
        "daemon.sh",
        "if [ -e go ]; then echo '{\"result\": \"done\"}'; exit; fi\n\
         trap '' TERM\nsetsid sh -c 'echo $$ > pid; trap \"\" TERM; while :; do sleep 0.05; done' &\nwait\n",
    );
    let child = start(&place, &["run", "p.ts"]);
    until(|| !lines(&place, "pid").is_empty());
    kill(child);
    place.write("go", "");
    let pid: u32 = lines(&place, "pid")[0].trim().parse().unwrap();
    let is_alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(is_alive(), "it outlives its host, whatever the host has left to end it");
    assert_eq!(place.run(&["resume"]).code(0).out, "done\n");
    until(|| !is_alive());
}

/// A generator of its own, so that a seed means the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most.max(1)
    }
}

/// Decides what is in doubt as a careful person would: looks whether it was done.
fn decide(place: &Place) {
    let effects = lines(place, "effects");
    for doubt in place.run(&["approvals", "--json"]).code(0).json().as_array().unwrap() {
        let file = doubt["request"].as_str().unwrap();
        let call = doubt["call"].to_string();
        let done = effects.iter().any(|line| line == file);
        let how: &[&str] = if done { &["--value", "\"filed\""] } else { &["--repeat"] };
        place.run(&[&["decide", "latest", &call], how].concat()).code(0);
    }
}

/// Processes that are killed at a time.
const KILLERS: u64 = 4;

/// Real processes over real files, killed at random moments, also while they go on after a kill.
#[test]
fn sigkills_never_repeat_finished_work_nor_effects() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("SIGKILLS_SEED").unwrap_or(20_261_126);
    let wanted = number("SIGKILLS").unwrap_or(100);
    println!("SIGKILLS_SEED={seed}");
    let begun_at = Instant::now();
    let expected = undisturbed();
    let whole_us = u64::try_from(begun_at.elapsed().as_micros()).unwrap();
    let killed = std::thread::scope(|scope| {
        let expected = expected.as_str();
        let killer = |of: u64| {
            let kills = wanted / KILLERS + u64::from(of < wanted % KILLERS);
            scope.spawn(move || kill_at_random(seed + of, kills, whole_us, expected))
        };
        let killers: Vec<_> = (0..KILLERS).map(killer).collect();
        killers.into_iter().map(|killer| killer.join().unwrap()).collect::<Vec<_>>()
    });
    let (kills, runs) = killed.iter().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    println!("{kills} kills in {runs} runs took {:?}", begun_at.elapsed());
}

/// Kills runs until there were so many kills; says how many there were, and how many runs they took.
fn kill_at_random(seed: u64, wanted: u64, whole_us: u64, expected: &str) -> (u64, u64) {
    let mut random = Random(seed);
    let (mut kills, mut runs) = (0, 0);
    while kills < wanted {
        let place = place(PROGRAM);
        runs += 1;
        loop {
            // One that was killed before its first entry has nothing to go on with.
            let exists = row(&place).is_some_and(|row| row.entries > 0);
            let done: Vec<(String, usize)> = finished(&place)
                .into_iter()
                .map(|file| (file.clone(), begun(&place, &file)))
                .collect();
            let whole = [&["run"], &ARGS[..]].concat();
            let arguments: &[&str] = if exists { &["resume", "latest"] } else { &whole };
            let mut child = start(&place, arguments);
            std::thread::sleep(Duration::from_micros(random.below(whole_us)));
            let ended = child.try_wait().unwrap();
            kills += u64::from(kill(child));
            for (file, before) in done {
                let now = begun(&place, &file);
                assert_eq!(now, before, "seed {seed}, run {runs}: `{file}` was finished");
            }
            match ended.and_then(|status| status.code()) {
                None => {}
                Some(0) => break,
                Some(4) => decide(&place),
                code => panic!("seed {seed}: {code:?}: {:#?}", lines(&place, "err")),
            }
            if row(&place).is_some_and(|row| row.status == RunStatus::Complete) {
                break; // it was killed behind its end
            }
        }
        let told = place.run(&["wait", "latest"]).code(0).out;
        assert_eq!(told, expected, "seed {seed}, run {runs}");
        let effects = lines(&place, "effects");
        let once: BTreeSet<&String> = effects.iter().collect();
        assert_eq!((effects.len(), once.len()), (3, 3), "seed {seed}, run {runs}: {effects:?}");
        place.run(&["replay"]).code(0);
    }
    (kills, runs)
}
