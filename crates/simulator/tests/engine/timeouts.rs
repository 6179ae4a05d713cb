use crate::{failure, run, simulation, tasks};
use loopwright_protocol::Dispatch;
use loopwright_simulator::{OnCancel, Plan, Random, START, Step};
use loopwright_types::{CallId, Micros, RunStatus, Usage};

#[test]
fn a_task_that_never_answers_ends_at_its_own_time_or_the_settings() {
    for (setting, own, ms) in [("1000", None, 1000), ("1000", Some(250.0), 250)] {
        let plans = |_: &Dispatch, _: &mut Random| Plan::done("late").never();
        let simulation = simulation().set("task.timeout_ms", setting).plans(plans);
        let step = Step::task("a");
        let step = if let Some(own) = own { step.with("timeoutMs", own) } else { step };
        let run = run(simulation, step);
        assert_eq!(failure(&run, 0), "timeout LW0502 after 1");
        assert_eq!(run.elapsed, Micros::from_millis(ms));
        let cancelled = run.books.of(CallId(0)).next().unwrap().cancelled;
        assert_eq!(cancelled, Some(START.after(Micros::from_millis(ms))));
    }
}

#[test]
fn the_time_is_for_the_whole_task_retries_included() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::retryable().after_ms(400);
    let simulation = simulation()
        .set("task.timeout_ms", "1000")
        .set("task.backoff_ms", "0")
        .set("task.retries", "1000")
        .plans(plans);
    let run = run(simulation, Step::task("a"));
    assert_eq!(failure(&run, 0), "timeout LW0502 after 3");
    assert_eq!(run.elapsed, Micros::from_millis(1000));
}

#[test]
fn waiting_in_the_queue_does_not_count_as_the_tasks_time() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::done("ok").after_ms(800);
    let simulation =
        simulation().set("task.timeout_ms", "1000").set("run.concurrency", "1").plans(plans);
    let run = run(simulation, Step::all(tasks(5)));
    assert_eq!(run.finish().status, RunStatus::Complete);
    assert_eq!(run.elapsed, Micros::from_millis(4000));
}

#[test]
fn each_attempt_is_told_how_much_time_is_left() {
    let left = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = left.clone();
    let plans = move |dispatch: &Dispatch, _: &mut Random| {
        seen.borrow_mut().push(dispatch.timeout.unwrap().as_millis());
        if dispatch.attempt.0 == 1 { Plan::retryable().after_ms(300) } else { Plan::done("ok") }
    };
    let simulation =
        simulation().set("task.timeout_ms", "1000").set("task.backoff_ms", "0").plans(plans);
    run(simulation, Step::task("a"));
    assert_eq!(*left.borrow(), [1000, 700]);
}

#[test]
fn a_late_answer_changes_nothing_but_is_charged() {
    let used = Usage { output_tokens: 5, ..Usage::default() };
    let plans = move |_: &Dispatch, _: &mut Random| {
        Plan::done("late").after_ms(5000).using(used).on_cancel(OnCancel::Ignored)
    };
    let run = run(simulation().set("task.timeout_ms", "1000").plans(plans), Step::task("a"));
    assert_eq!(failure(&run, 0), "timeout LW0502 after 1");
    assert_eq!(run.elapsed, Micros::from_millis(5000), "the run ends when its attempts have");
    assert_eq!(run.finish().usage, used);
}

#[test]
fn a_fallback_value_stands_in_for_a_task_out_of_time() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::done("late").never();
    let step = Step::task("a").with("fallback", serde_json::json!({ "value": "none" }));
    let run = run(simulation().set("task.timeout_ms", "10").plans(plans), step);
    assert_eq!(run.result(), "none");
}

#[test]
fn an_attempt_that_answers_at_the_last_moment_is_settled_once() {
    for seed in 0..200 {
        let plans = |_: &Dispatch, _: &mut Random| Plan::done("ok").after_ms(1000);
        let simulation = simulation().set("task.timeout_ms", "1000").plans(plans).setup(|setup| {
            (setup.seed, setup.shuffled) = (seed, true);
        });
        let run = run(simulation, Step::settle([Step::task("a")]));
        assert_eq!(run.finish().status, RunStatus::Complete, "seed {seed}");
    }
}

#[test]
fn a_sleep_takes_its_time_on_the_runs_clock_and_no_slot() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::done("ok").after_ms(10);
    let simulation = simulation().set("run.concurrency", "1").plans(plans);
    let script = Step::seq([
        Step::all([Step::sleep(5000), Step::task("a"), Step::task("b")]),
        Step::sleep(0),
    ]);
    let run = run(simulation, script);
    assert_eq!(run.elapsed, Micros::from_millis(5000));
}
