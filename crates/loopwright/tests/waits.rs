//! A run that waits long gives up its thread and its guests' memory, and goes on as if it had not.
#![cfg(target_os = "linux")] // it looks into `/proc`

mod common;

use common::{Bench, execute};
use loopwright::journal::{Control, Store};
use loopwright::protocol::{Json, PersonAnswer};
use loopwright::types::{CallId, RunStatus};
use loopwright::{Elsewhere, Run, RunReport};
use loopwright_fakes::{FakeProvider, Options, Wire};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const WAITER: &str = "---
name: waiter
description: waits for a file
command: [sh, -c, 'while [ ! -e go ]; do sleep 0.02; done; cat go']
---
";

const QUICK: &str = "---
name: quick
description: says yes
command: [sh, -c, 'echo \"{\\\"result\\\":\\\"yes\\\"}\"']
---
";

/// The tests of this file look at all threads and files of their process.
static ALONE: Mutex<()> = Mutex::new(());

/// Files without a name that this process holds open in `dir`.
fn nameless_files(dir: &Path) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    targets
        .filter(|target| {
            target.starts_with(dir) && target.display().to_string().ends_with("(deleted)")
        })
        .count()
}

/// The names of this process's threads that serve runs.
fn threads() -> Vec<String> {
    const OURS: [&str; 10] = [
        "run", "tool", "question", "models", "mock", "commands", "agents", "mcp", "journal",
        "alarm",
    ];
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let names = names.map(|name| name.trim_end().to_owned());
    let mut ours: Vec<_> = names.filter(|name| OURS.contains(&name.as_str())).collect();
    ours.sort();
    ours
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(120);
    while !is_so() {
        assert!(Instant::now() < end, "{what}: {:?}", threads());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts the run and gives what will tell its end.
fn start(run: Run) -> Receiver<RunReport> {
    let (tell, told) = channel();
    let over = Box::new(move |ended: Result<RunReport, _>| tell.send(ended.unwrap()).unwrap());
    run.start(Box::new(|_| {}), Arc::new(Elsewhere), over).unwrap();
    told
}

#[test]
fn a_guest_rests_in_a_file_while_its_run_waits_and_the_run_ends_as_it_should() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let bench = Bench::new()
        .set("guest.rest_after_ms", "1")
        .file(".loopwright/agents/waiter.md", WAITER)
        .file("program.ts", "const before = [1, 2]; const said = await task({ description: 'wait', subagentType: 'waiter' }); [...before, said]");
    let program = bench.workspace().join("program.ts");
    let run = bench.prepare(&program, &bench.workspace(), None);
    let data_dir = bench.data_dir().canonicalize().unwrap();
    let running = std::thread::spawn(move || execute(run));
    until("the guest rests", || nameless_files(&data_dir) > 0);
    std::fs::write(bench.workspace().join("go.new"), r#"{"result":"go on"}"#).unwrap();
    std::fs::rename(bench.workspace().join("go.new"), bench.workspace().join("go")).unwrap();
    let ran = running.join().unwrap();
    assert_eq!(ran.report.status, RunStatus::Complete, "{:?}", ran.report.error);
    assert_eq!(ran.report.result.unwrap().text(), r#"[1,2,"go on"]"#);
    assert_eq!(nameless_files(&data_dir), 0);
}

#[test]
fn runs_that_wait_for_people_for_a_time_and_for_a_provider_hold_no_thread_and_all_go_on() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let provider = FakeProvider::start(Options::default());
    provider.set_outage(true);
    let mut bench = Bench::new()
        .set("guest.rest_after_ms", "20")
        .set("provider.breaker_failures", "2")
        .set("provider.probe_max_ms", "1500")
        // What served it before it waits has let its threads go, and serves it again afterwards.
        .set("mock.latency_ms", "5")
        .file(".loopwright/agents/quick.md", QUICK)
        .file("asks.ts", "const ask = () => task({ description: 'say', subagentType: 'quick' }); const read = await tools.glob({ pattern: '*.ts' }); const said = await ask(); const yes = await approve('go on?'); [read.length > 0, said, yes, await ask()]")
        .file("sleeps.ts", "await task({ description: 'one' }); await sleep(4000); 'slept'")
        .file("key", "sk-fake\n")
        .file("asks_model.ts", "await task({ description: 'say it' })");
    let prepare = |bench: &Bench, program: &str| {
        bench.prepare(&bench.workspace().join(program), &bench.workspace(), None)
    };
    let asking: Vec<_> = (0..20).map(|_| prepare(&bench, "asks.ts")).collect();
    let mut all: Vec<_> =
        (0..10).map(|_| (start(prepare(&bench, "sleeps.ts")), "\"slept\"")).collect();
    bench.tables = format!(
        "[providers.fake]\nwire = \"anthropic\"\nbase_url = \"{}\"\nkey = \"file:{}\"\n",
        provider.base_url(Wire::Anthropic),
        bench.workspace().join("key").display()
    );
    bench.model = Some("fake:some-model".to_owned());
    all.push((start(prepare(&bench, "asks_model.ts")), "\"echo: say it\""));
    let ids: Vec<_> = asking.iter().map(|run| run.id().clone()).collect();
    all.extend(asking.into_iter().map(|run| (start(run), "[true,\"yes\",true,\"yes\"]")));

    // One journal and one clock for all of them, and nothing else.
    until("all are asleep", || threads() == ["alarm", "journal"]);
    assert!(all.iter().all(|(ended, _)| ended.try_recv().is_err()), "none has ended");

    provider.set_outage(false);
    let store = Store::open(&bench.data_dir()).unwrap();
    for id in &ids {
        let given = PersonAnswer::Given { call: CallId(2), value: Json::of(&true), said: None };
        store.request(id, Control::Answer(Json::of(&given))).unwrap();
    }
    drop(store);
    for (ended, result) in all {
        let report = ended.recv().unwrap();
        assert_eq!(report.status, RunStatus::Complete, "{:?}", report.error);
        assert_eq!(report.result.unwrap().text(), result);
    }
    until("nothing is left", || threads().is_empty());
}
