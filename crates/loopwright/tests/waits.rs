//! A run that waits long gives its guests' memory up, and goes on as if it had not.
#![cfg(target_os = "linux")] // it looks into `/proc`

mod common;

use common::{Bench, execute};
use loopwright::types::RunStatus;
use std::path::Path;
use std::time::Duration;

const WAITER: &str = "---
name: waiter
description: waits for a file
command: [sh, -c, 'while [ ! -e go ]; do sleep 0.02; done; cat go']
---
";

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

#[test]
fn a_guest_rests_in_a_file_while_its_run_waits_and_the_run_ends_as_it_should() {
    let bench = Bench::new()
        .set("guest.rest_after_ms", "1")
        .file(".loopwright/agents/waiter.md", WAITER)
        .file("program.ts", "const before = [1, 2]; const said = await task({ description: 'wait', subagentType: 'waiter' }); [...before, said]");
    let program = bench.workspace().join("program.ts");
    let run = bench.prepare(&program, &bench.workspace(), None);
    let data_dir = bench.data_dir().canonicalize().unwrap();
    let running = std::thread::spawn(move || execute(run));
    while nameless_files(&data_dir) == 0 {
        assert!(!running.is_finished(), "it waits");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(bench.workspace().join("go.new"), r#"{"result":"go on"}"#).unwrap();
    std::fs::rename(bench.workspace().join("go.new"), bench.workspace().join("go")).unwrap();
    let ran = running.join().unwrap();
    assert_eq!(ran.report.status, RunStatus::Complete, "{:?}", ran.report.error);
    assert_eq!(ran.report.result.unwrap().text(), r#"[1,2,"go on"]"#);
    assert_eq!(nameless_files(&data_dir), 0);
}
