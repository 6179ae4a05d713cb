//! The `mock` driver in real time, and tasks that no driver serves.

use crate::support::{Bench, Report};
use loopwright_host::Driver;
use loopwright_protocol::Outcome;
use loopwright_types::{Attempt, CallId, Code, Reason};

const MOCK: &str = "driver: mock";

#[test]
fn an_answer_without_latency_is_there_when_dispatch_returns() {
    let bench = Bench::new("", MOCK);
    bench.start(0, None, |_| ());
    let Ok(Report::Ended(Outcome::Done(json), usage)) = bench.reports.try_recv() else { panic!() };
    assert!(json.text().starts_with("\"Mock answer"), "{}", json.text());
    assert!(usage.output_tokens > 0);
}

#[test]
fn answers_come_in_the_order_of_their_latencies() {
    let bench =
        Bench::with("", MOCK, &[("mock.latency_ms", "20"), ("mock.latency_spread_ms", "60")]);
    for call in 0..200 {
        bench.start(call, None, |work| work.prompt = format!("task {call}"));
    }
    for _ in 0..200 {
        assert!(matches!(bench.end_of_any(), Outcome::Done(_)));
    }
    assert!(bench.reports.try_recv().is_err());
}

#[test]
fn a_cancelled_answer_is_reported_once_and_at_once() {
    let bench = Bench::with("", MOCK, &[("mock.latency_ms", "86400000")]);
    bench.start(1, None, |_| ());
    bench.start(2, None, |_| ());
    for _ in 0..2 {
        bench.drivers.cancel(CallId(1), Attempt(1));
    }
    assert_eq!(bench.end().failure().reason, Reason::Cancelled);
    assert!(bench.reports.try_recv().is_err());
    bench.drivers.shutdown();
    assert_eq!(bench.end().failure().reason, Reason::Cancelled);
    bench.start(3, None, |_| ());
    assert_eq!(bench.end().failure().reason, Reason::Cancelled);
    assert!(bench.reports.try_recv().is_err());
}

#[test]
fn tasks_that_nothing_serves_fail_unsent_with_their_own_cause() {
    let bench = Bench::new("", MOCK);
    let cases = [
        ("nobody", Code::SUBAGENT_UNKNOWN, Reason::Policy, "`nobody` is not defined"),
        ("general-purpose", Code::MODEL_UNAVAILABLE, Reason::Provider, "needs a model `opus`"),
    ];
    for (name, code, reason, part) in cases {
        let ended = bench.run(|work| {
            work.subagent = name.into();
            work.model = Some("opus".into());
        });
        let failure = ended.failure();
        assert_eq!((failure.code, failure.reason, failure.sent), (code, reason, false), "{name}");
        assert!(failure.message.contains(part), "{}", failure.message);
        assert!(failure.hint.is_some());
    }
    let mocked = bench.run(|work| {
        work.subagent = "general-purpose".into();
        work.model = Some("mock".into());
    });
    assert!(matches!(mocked.outcome, Outcome::Done(_)));
}
