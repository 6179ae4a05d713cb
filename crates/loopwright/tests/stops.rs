//! A program that one of its limits stops: what it had said is kept, and the run says how long it took.

mod common;

use common::Bench;
use loopwright::protocol::Entry;
use loopwright::types::{Code, RunStatus};

#[test]
fn lines_logged_before_a_limit_stops_the_program_are_kept() {
    let cases = [
        ("console.log('before'); for (;;);", Code::GUEST_CPU),
        (
            "console.log('before'); const a = []; for (;;) a.push('x'.repeat(1e5) + a.length);",
            Code::GUEST_MEMORY,
        ),
    ];
    for (program, code) in cases {
        let ran = Bench::new().set("guest.cpu_ms", "100").set("guest.memory_mb", "16").run(program);
        assert_eq!(ran.report.status, RunStatus::Failed, "{program}");
        assert_eq!(ran.report.error.as_ref().unwrap().code, code, "{program}");
        let logged = ran.entries.iter().find_map(|entry| match entry {
            Entry::Logged(line) => Some(line.text.as_str()),
            _ => None,
        });
        assert_eq!(logged, Some("before"), "{program}");
    }
}
