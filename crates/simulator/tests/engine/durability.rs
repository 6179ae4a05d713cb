use crate::{count, run, simulation, tasks};
use loopwright_protocol::{Dispatch, Entry, Subagent};
use loopwright_simulator::{Latency, Plan, Random, Simulation, Step, Stopped, subagent};
use loopwright_types::{Effects, Micros, RunStatus};

fn slow_disk(simulation: Simulation, ms: u64) -> Simulation {
    simulation.setup(|setup| setup.sync_delay = Micros::from_millis(ms))
}

#[test]
fn nothing_goes_out_or_comes_back_before_the_disk_has_it() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::done("ok").after_ms(100);
    let simulation = slow_disk(simulation().plans(plans), 10);
    let run = run(simulation, Step::seq(tasks(2)));
    // Each task: the intent's sync, the task, the result's sync. The end waits for the last entry's.
    let times: Vec<u64> = run
        .books
        .executions
        .iter()
        .map(|one| one.dispatched.since(loopwright_simulator::START).as_millis())
        .collect();
    assert_eq!(times, [10, 130]);
    assert_eq!(run.elapsed, Micros::from_millis(250));
}

#[test]
fn a_slow_disk_is_shared_by_all_tasks_in_flight() {
    let plans = |_: &Dispatch, _: &mut Random| Plan::done("ok").after_ms(100);
    let simulation = slow_disk(simulation().set("run.concurrency", "50").plans(plans), 10);
    let run = run(simulation, Step::all(tasks(50)));
    assert!(run.elapsed < Micros::from_millis(160), "{}", run.elapsed);
}

#[test]
fn tasks_in_line_wait_for_the_disk_before_their_slot_is_free_and_not_after() {
    // Two waves: one sync for the first intents, the others are written meanwhile, one sync for the results, one for
    // the end. What may not run twice by itself is written no earlier than it goes out.
    for (effects, elapsed) in [(Effects::None, 10 + 200 + 20), (Effects::Local, 10 + 210 + 20)] {
        let plans = |_: &Dispatch, _: &mut Random| Plan::done("ok").after_ms(100);
        let subagent = Subagent { effects, ..subagent("general-purpose") };
        let simulation = slow_disk(simulation().subagent(subagent).plans(plans), 10);
        let run = run(simulation.set("run.concurrency", "50"), Step::all(tasks(100)));
        assert_eq!(run.elapsed, Micros::from_millis(elapsed), "{effects:?}");
        let told = run.entries.iter().filter_map(|entry| match entry {
            Entry::Dispatched { attempts, .. } => Some(attempts.len()),
            _ => None,
        });
        assert_eq!(told.sum::<usize>(), if effects == Effects::None { 50 } else { 0 });
    }
}

#[test]
fn a_failed_sync_stops_the_run_and_nothing_goes_out_after_it() {
    let mut stopped = 0;
    for number in 1..200 {
        let plans = |_: &Dispatch, random: &mut Random| {
            Plan::done("ok").after(Latency::Even(Micros(1), Micros(9000)).draw(random))
        };
        let mut simulation = slow_disk(simulation().set("run.concurrency", "3").plans(plans), 2);
        simulation.setup.faults.sync_failing = Some(number);
        let run = run(simulation, Step::seq([Step::all(tasks(10)), Step::all(tasks(5))]));
        // The books themselves assert that nothing is dispatched or delivered afterwards.
        match run.ended {
            Err(why) => assert_eq!(why, Stopped::SyncFailed { number }),
            Ok(status) => {
                assert_eq!(status, RunStatus::Complete);
                stopped = number;
                break;
            }
        }
    }
    assert!(stopped > 10, "the script has many syncs to fail: {stopped}");
}

#[test]
fn an_entry_that_cannot_be_written_stops_the_run() {
    for number in 0..40 {
        let mut simulation = simulation();
        simulation.setup.faults.append_failing = Some(number);
        let run = run(simulation, Step::all(tasks(10)));
        if run.ended.is_ok() {
            assert!(number > 30, "the run has more than {number} entries");
            return;
        }
        assert_eq!(run.ended, Err(Stopped::AppendFailed { number }));
        assert_eq!(run.entries.len() as u64, number);
    }
}

#[test]
fn a_report_that_comes_twice_counts_once() {
    let plans = |_: &Dispatch, _: &mut Random| {
        let mut plan = Plan::done("ok").after_ms(10);
        plan.usage.output_tokens = 5;
        plan.repeats = vec![Micros(0), Micros(1), Micros::from_millis(15)];
        plan
    };
    let run = run(simulation().plans(plans), Step::seq(tasks(3)));
    assert_eq!(run.finish().usage.output_tokens, 15);
    assert_eq!(count(&run, "settled"), 3);
}

#[test]
fn progress_is_written_while_the_attempt_runs_and_dropped_after() {
    let plans = |_: &Dispatch, _: &mut Random| {
        let line = |text: &str| loopwright_protocol::Progress::Message(text.to_owned());
        let mut plan = Plan::done("ok").after_ms(10);
        plan.progress =
            vec![(Micros(5), line("half")), (Micros::from_millis(11), line("too late"))];
        plan
    };
    let mut simulation = simulation().plans(plans);
    simulation.setup.faults.progress_late = true;
    let run = run(simulation, Step::seq([Step::task("a"), Step::sleep(50)]));
    assert_eq!(count(&run, "progressed"), 1);
}

#[test]
fn the_runs_clock_never_goes_back() {
    for seed in 0..20 {
        let plans = |_: &Dispatch, random: &mut Random| {
            Plan::done("ok").after(Latency::Exponential(Micros::from_millis(800)).draw(random))
        };
        let mut simulation = simulation().plans(plans);
        simulation.setup.seed = seed;
        simulation.setup.faults.clock_goes_back = true;
        let script = Step::seq([Step::all(tasks(20)), Step::sleep(1000), Step::task("last")]);
        // The audit compares the times of all entries.
        assert_eq!(run(simulation, script).finish().status, RunStatus::Complete);
    }
}

#[test]
fn a_turn_names_exactly_what_was_settled_before_it() {
    let plans = |dispatch: &Dispatch, _: &mut Random| {
        Plan::done("ok").after_ms(10 * (1 + u64::from(dispatch.call.0) / 2))
    };
    let run = run(simulation().plans(plans), Step::all(tasks(4)));
    let turns: Vec<Vec<u32>> = run
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Turn(turn) => Some(turn.settled.iter().map(|call| call.0).collect()),
            _ => None,
        })
        .collect();
    assert_eq!(turns, [vec![], vec![0, 1], vec![2, 3]]);
}
