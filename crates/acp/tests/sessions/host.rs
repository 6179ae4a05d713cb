//! What happens around the host process itself: it is killed. The test runs this test binary once more as the host.

use crate::support::{Bench, assert_gone, python};
use loopwright_protocol::Progress;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Set for the inner process only.
const INNER: &str = "LOOPWRIGHT_TEST_HOST";

#[test]
fn an_agent_ends_with_a_host_that_is_killed() {
    if std::env::var_os(INNER).is_some() {
        let deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ngreet(); read()\n\
                    update(sessionUpdate='plan', entries=[])\nwhile True: time.sleep(1)";
        let bench = Bench::new(&[]);
        bench.start(0, &python(deaf), "the task", None, |_| ());
        let mut agent = 0;
        bench.end_after(&mut |progress| match progress {
            Progress::Process { pid, .. } => agent = *pid,
            _ => println!("inner: {agent}"),
        });
        unreachable!("the host is killed before");
    }
    let binary = std::env::current_exe().unwrap();
    let mut command = Command::new(binary);
    command.args(["--exact", "host::an_agent_ends_with_a_host_that_is_killed", "--nocapture"]);
    let mut host = command.env(INNER, "1").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(host.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told = |line: String| line.split_once("inner: ").map(|(_, pid)| pid.parse().unwrap());
    let agent: u32 = { lines }.find_map(told).unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    assert_gone(agent);
}
