use crate::{count, run, simulation, tasks};
use loopwright_protocol::{Dispatch, Entry, Outcome};
use loopwright_simulator::{OnCancel, Plan, Random, ScriptedGuests, Simulated, Step, program};
use loopwright_types::{CallId, Micros, Reason, RunStatus, Usage};

/// The reasons with which calls failed, in call order; `None` is a value.
fn reasons(run: &Simulated) -> Vec<Option<Reason>> {
    let mut all: Vec<_> = run
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Settled(settled) => match &settled.outcome {
                Outcome::Failed(failure) => Some((settled.call, Some(failure.reason))),
                Outcome::Done(_) => Some((settled.call, None)),
            },
            _ => None,
        })
        .collect();
    all.sort_unstable_by_key(|(call, _)| *call);
    all.into_iter().map(|(_, reason)| reason).collect()
}

/// Prompts are latencies in milliseconds; `never` never ends by itself, `flaky` is worth a retry.
fn timed(dispatch: &Dispatch, _: &mut Random) -> Plan {
    let loopwright_protocol::Work::Task(task) = &dispatch.work else { return Plan::done("tool") };
    match task.prompt.as_str() {
        "never" => Plan::done("").never(),
        "flaky" => Plan::retryable(),
        ms => Plan::done(ms).after_ms(ms.parse().unwrap()),
    }
}

#[test]
fn losers_of_a_quorum_are_ended_wherever_they_stand() {
    let slow = || Step::task("never");
    let cases = [
        ("running", slow()),
        ("in a backoff", Step::task("flaky")),
        ("sleeping", Step::sleep(1_000_000)),
        ("between two calls", Step::seq([Step::sleep(1), slow()])),
        ("below another scope", Step::quorum(1, [slow(), Step::deadline(99_999, slow())])),
        ("asking a person", Step::approve("go on?")),
    ];
    for (name, loser) in cases {
        let plans = |dispatch: &Dispatch, random: &mut Random| match &dispatch.work {
            loopwright_protocol::Work::Approve(_) => Plan::done(true).never(),
            _ => timed(dispatch, random),
        };
        let simulation = simulation().set("task.backoff_ms", "86400000").plans(plans);
        let run = run(simulation, Step::quorum(1, [loser, Step::task("5")]));
        assert_eq!(run.result(), serde_json::json!(["5"]), "{name}");
        assert_eq!(run.elapsed, Micros::from_millis(5), "{name}");
        assert_eq!(run.finish().status, RunStatus::Complete, "{name}");
    }
}

#[test]
fn a_loser_in_the_queue_never_goes_out() {
    let simulation = simulation().set("run.concurrency", "2").plans(timed);
    let never = || Step::task("never");
    let of = [never(), Step::task("5"), never(), never(), never()];
    let run = run(simulation, Step::quorum(1, of));
    // The winner's slot is given on while its result is being written; the other two never get one.
    assert_eq!(run.books.executions.len(), 3);
    let cancelled = Some(Reason::Cancelled);
    assert_eq!(reasons(&run), [cancelled, None, cancelled, cancelled, cancelled]);
}

#[test]
fn a_dispatch_held_back_by_the_disk_is_withdrawn_when_its_call_is_cancelled() {
    // The scope is cancelled in the very turn in which its task was called.
    let script = Step::seq([
        Step::quorum(1, [Step::task("never"), Step::value("at once")]),
        Step::task("1"),
    ]);
    let simulation = simulation()
        .set("run.concurrency", "1")
        .setup(|setup| setup.sync_delay = Micros::from_millis(7))
        .plans(timed);
    let run = run(simulation, script);
    assert_eq!(run.books.executions.len(), 1, "only the task after the race goes out");
    assert_eq!(run.result(), "1");
}

#[test]
fn a_deadline_cancels_with_reason_timeout_and_its_timer_goes_when_the_work_is_done() {
    let over = run(simulation().plans(timed), Step::deadline(50, Step::task("never")));
    assert_eq!(reasons(&over), [Some(Reason::Timeout), None]);
    assert_eq!(over.elapsed, Micros::from_millis(50));
    let kept = run(simulation().plans(timed), Step::deadline(50, Step::task("20")));
    assert_eq!(reasons(&kept), [None, Some(Reason::Cancelled)]);
    assert_eq!(kept.elapsed, Micros::from_millis(20));
}

#[test]
fn a_call_in_a_cancelled_scope_is_refused_at_once() {
    let stubborn = Step::seq([Step::catch(Step::task("never")), Step::task("never")]);
    let run = run(simulation().plans(timed), Step::deadline(50, stubborn));
    let timeout = Some(Reason::Timeout);
    assert_eq!(reasons(&run), [timeout, None, Some(Reason::Cancelled)]);
    assert_eq!(run.settled(2).unwrap().attempts, 0);
}

#[test]
fn a_scope_made_in_a_cancelled_one_is_cancelled_too() {
    let stubborn = Step::seq([
        Step::catch(Step::task("never")),
        Step::quorum(1, [Step::task("never"), Step::deadline(9, Step::task("never"))]),
    ]);
    let run = run(simulation().plans(timed), Step::deadline(50, stubborn));
    assert_eq!(run.books.executions.len(), 1, "only the first task goes out");
    assert_eq!(run.elapsed, Micros::from_millis(50));
}

#[test]
fn cancellation_reaches_the_calls_of_nested_programs() {
    let inner = Step::all([Step::task("never"), Step::sleep(99_999), Step::workflow("inmost")]);
    let inmost = Step::all([Step::task("never"), Step::task("never")]);
    let outer = Step::deadline(50, Step::workflow("inner"));
    let simulation = simulation()
        .set("run.concurrency", "2")
        .saved(program("inner"))
        .saved(program("inmost"))
        .plans(timed);
    let mut guests =
        ScriptedGuests::new().with("main", outer).with("inner", inner).with("inmost", inmost);
    let run = simulation.run(&mut guests);
    assert_eq!(run.elapsed, Micros::from_millis(50));
    assert_eq!(run.guests().len(), 3);
    assert!(run.books.executions.iter().all(|one| one.ended.is_some()));
    let done = reasons(&run).into_iter().filter(Option::is_none).count();
    assert_eq!(done, 1, "only the deadline's own sleep gave a value");
}

#[test]
fn a_nested_program_that_is_still_being_found_does_not_start_when_cancelled() {
    let script = Step::quorum(1, [Step::workflow("inner"), Step::value(1)]);
    let simulation = simulation()
        .saved(program("inner"))
        .setup(|setup| setup.sync_delay = Micros::from_millis(1));
    let mut guests = ScriptedGuests::new().with("main", script).with("inner", Step::Never);
    let run = simulation.run(&mut guests);
    assert_eq!(run.guests().len(), 1);
}

#[test]
fn a_failed_branch_takes_no_sibling_with_it() {
    let plans = |dispatch: &Dispatch, random: &mut Random| match dispatch.call.0 {
        1 => Plan::broken().after_ms(1),
        _ => timed(dispatch, random),
    };
    let run = run(simulation().plans(plans), Step::all([Step::task("50"), Step::task("1")]));
    assert_eq!(reasons(&run), [None, Some(Reason::Provider)]);
    assert_eq!(run.finish().status, RunStatus::Failed, "nothing caught the failure");
    assert_eq!(run.elapsed, Micros::from_millis(50), "the sibling went on to its end");
}

#[test]
fn a_cancelled_run_ends_when_its_attempts_have_and_counts_what_they_used() {
    let used = Usage { output_tokens: 9, ..Usage::default() };
    let plans = move |dispatch: &Dispatch, _: &mut Random| {
        let after = Micros::from_millis(u64::from(dispatch.call.0) * 10);
        Plan::done("").never().on_cancel(OnCancel::Ends { after, usage: used })
    };
    let simulation = simulation()
        .set("run.concurrency", "4")
        .setup(|setup| setup.cancel_after = Some(Micros::from_millis(100)))
        .plans(plans);
    let run = run(simulation, Step::all(tasks(10)));
    assert_eq!(run.finish().status, RunStatus::Cancelled);
    assert_eq!(run.elapsed, Micros::from_millis(130));
    assert_eq!(run.finish().usage.output_tokens, 4 * 9);
    assert_eq!(count(&run, "settled"), 0, "what is left stays open: the run may be resumed");
    assert_eq!(count(&run, "attempt_ended"), 4);
}

#[test]
fn a_paused_run_lets_its_attempts_end_and_begins_nothing_new() {
    for seed in 0..50 {
        let simulation = simulation()
            .set("run.concurrency", "2")
            .setup(|setup| {
                (setup.seed, setup.shuffled) = (seed, true);
                setup.pause_after = Some(Micros::from_millis(15));
                setup.sync_delay = Micros::from_millis(seed % 4);
            })
            .plans(timed);
        let each = ["20", "30", "10", "10"].map(Step::task);
        let run = run(simulation, Step::all(each));
        assert_eq!(run.finish().status, RunStatus::Paused, "seed {seed}");
        assert!(run.books.executions.iter().all(|one| one.ended.is_some()), "seed {seed}");
        assert_eq!((run.books.executions.len(), count(&run, "settled")), (2, 2), "seed {seed}");
    }
}

#[test]
fn a_second_request_to_cancel_changes_nothing() {
    for seed in 0..50 {
        let simulation = simulation()
            .setup(|setup| {
                (setup.seed, setup.shuffled) = (seed, true);
                setup.cancel_after = Some(Micros::from_millis(5));
                setup.sync_delay = Micros::from_millis(3);
            })
            .plans(timed);
        let run = run(simulation, Step::all([Step::task("5"), Step::task("8")]));
        assert_eq!(run.finish().status, RunStatus::Cancelled);
        assert!(run.books.of(CallId(1)).all(|one| one.ended.is_some()));
    }
}
