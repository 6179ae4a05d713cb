//! Every example and every test program runs, is replayed from its journal without dispatching anything, and
//! makes the same calls with the same result.

mod common;

use common::{Bench, cache_dir, execute, root};
use loopwright::journal::Store;
use loopwright::protocol::Entry;
use loopwright::replay_run;
use loopwright::types::RunStatus;
use std::path::{Path, PathBuf};

/// Programs under a folder, in a fixed order.
fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(programs(&path));
        } else if path.extension().is_some_and(|end| end == "ts" || end == "js") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn replays_the_same(program: &Path, bench: &Bench, agents: Option<PathBuf>, workspace: &Path) {
    let run = bench.prepare(program, workspace, agents);
    let id = run.id().clone();
    let ran = execute(run);
    let shown = program.display();
    assert_ne!(ran.report.status, RunStatus::Running, "{shown}");
    let store = Store::open_read_only(&bench.data_dir()).unwrap();
    let stored: Vec<Entry> = store.read(&id).unwrap().map(|entry| entry.unwrap().1).collect();
    assert_eq!(stored, ran.entries, "{shown}: the journal has what was observed");
    let replayed =
        replay_run(&store, &id, Some(cache_dir())).unwrap_or_else(|e| panic!("{shown}: {e}"));
    let calls = ran.entries.iter().filter(|entry| matches!(entry, Entry::Called(_))).count();
    assert_eq!(replayed.calls, calls as u64, "{shown}");
    assert_eq!(replayed.result, ran.report.result, "{shown}");
}

#[test]
fn every_pattern_replays_to_the_same_calls_and_result() {
    for program in programs(&root().join("examples/patterns")) {
        let bench = Bench::new();
        replays_the_same(&program, &bench, None, &root());
    }
}

#[test]
fn barrier_and_pipeline_replay_whatever_the_order_of_answers_was() {
    let bench = Bench::new().set("mock.latency_spread_ms", "5").set("run.concurrency", "8");
    replays_the_same(&root().join("examples/barrier_versus_pipeline.js"), &bench, None, &root());
}

#[test]
fn the_main_job_over_real_files_completes_and_replays() {
    let mut bench = Bench::new();
    bench.model = None;
    bench.args = Some(
        loopwright::protocol::Json::parse(r#"{"pattern":"crates/types/**/*.rs"}"#.to_owned())
            .unwrap(),
    );
    let agents = root().join("examples/code_health/agents");
    let program = root().join("examples/code_health/audit.ts");
    let run = bench.prepare(&program, &root(), Some(agents));
    let id = run.id().clone();
    let ran = execute(run);
    assert_eq!(ran.report.status, RunStatus::Complete, "{:?}", ran.report);
    let report = ran.report.result.clone().unwrap();
    assert!(report.text().contains("# Code health"), "{report:?}");
    assert!(report.text().contains("crates/types"), "{report:?}");
    let store = Store::open_read_only(&bench.data_dir()).unwrap();
    let replayed = replay_run(&store, &id, Some(cache_dir())).unwrap();
    assert_eq!(replayed.result, ran.report.result);
}

#[test]
fn the_review_by_models_replays_offline() {
    let agents = root().join("examples/review_with_models/agents");
    let program = root().join("examples/review_with_models/review.ts");
    replays_the_same(&program, &Bench::new(), Some(agents), &root());
}

#[test]
fn every_test_program_replays_under_failing_slow_and_hostile_subagents() {
    let programs = programs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs"));
    assert!(programs.len() >= 10, "{}", programs.len());
    for program in programs {
        let bench = Bench::new()
            .set("mock.failure_rate", "0.2")
            .set("mock.invalid_rate", "0.1")
            .set("mock.null_rate", "0.05")
            .set("mock.hostile_rate", "0.1")
            .set("mock.latency_spread_ms", "3");
        let folder = program.parent().unwrap().to_owned();
        replays_the_same(&program, &bench, None, &folder);
    }
}
