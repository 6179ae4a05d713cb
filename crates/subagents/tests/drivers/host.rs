//! What happens around the host process itself: it is killed, or short of files. Each test runs this test binary
//! once more as the host.

use crate::support::{Bench, Report, assert_gone};
use loopwright_protocol::{Outcome, Progress};
use loopwright_types::Code;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Set for the inner process only.
const INNER: &str = "LOOPWRIGHT_TEST_HOST";

/// Runs the named test of this binary again, behind a line of shell.
fn host(test: &str, shell: &str) -> Child {
    let binary = std::env::current_exe().unwrap();
    let line = format!("{shell} exec \"$0\" --exact host::{test} --nocapture");
    let mut command = Command::new("sh");
    command.args(["-c", &line]).arg(binary).env(INNER, "1").stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// The lines that the inner process printed about itself.
fn lines(host: &mut Child) -> impl Iterator<Item = String> {
    let lines = BufReader::new(host.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.filter_map(|line| line.split_once("inner: ").map(|(_, rest)| rest.to_owned()))
}

#[test]
#[cfg(target_os = "linux")]
fn a_worker_ends_with_a_host_that_is_killed() {
    if std::env::var_os(INNER).is_some() {
        let bench = Bench::new("print('ready', flush=True)\ntime.sleep(300)", "");
        bench.start(0, None, |_| ());
        let mut worker = 0;
        for report in &bench.reports {
            match report {
                Report::Progressed(Progress::Process { pid, .. }) => worker = pid,
                _ => println!("inner: {worker}"),
            }
        }
    }
    let mut host = host("a_worker_ends_with_a_host_that_is_killed", "");
    let worker: u32 = lines(&mut host).next().unwrap().parse().unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    assert_gone(worker);
}

#[test]
fn a_host_short_of_files_says_so_and_serves_what_it_can() {
    const WORKERS: u32 = 60;
    if std::env::var_os(INNER).is_some() {
        let bench = Bench::new("", "command: [sh, -c, 'sleep 2; echo \"{\\\"result\\\":1}\"']");
        for call in 0..WORKERS {
            bench.start(call, None, |_| ());
        }
        for _ in 0..WORKERS {
            match bench.end_of_any() {
                Outcome::Done(_) => println!("\ninner: done"),
                Outcome::Failed(failure) => {
                    assert_eq!((failure.code, failure.sent), (Code::COMMAND_NOT_STARTED, false));
                    assert!(failure.retryable, "{}", failure.message);
                    println!("\ninner: {}", failure.message);
                }
            }
        }
        return;
    }
    let mut host = host("a_host_short_of_files_says_so_and_serves_what_it_can", "ulimit -n 64;");
    let told: Vec<String> = lines(&mut host).collect();
    assert!(host.wait().unwrap().success());
    assert_eq!(told.len(), WORKERS as usize, "{told:?}");
    assert!(told.iter().any(|line| line == "done"), "{told:?}");
    assert!(told.iter().any(|line| line.contains("the system is short of open files")), "{told:?}");
}
