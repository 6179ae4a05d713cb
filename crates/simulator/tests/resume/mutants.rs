//! A program that is not the one of the journal is stopped before it makes a new call.

use crate::simulation;
use loopwright_engine::{Engine, ResumeError};
use loopwright_simulator::{Plan, Random, ScriptedGuests, Step};
use loopwright_types::CallId;

const TASKS: usize = 20;

/// Two waves of tasks of which one may be another.
fn script(changed: Option<(usize, &str)>) -> Step {
    let task = |i: usize| match changed {
        Some((at, prompt)) if at == i => Step::task(prompt),
        _ => Step::task(&i.to_string()),
    };
    let (half, all) = (TASKS / 2, TASKS);
    Step::seq([Step::all((0..half).map(task)), Step::all((half..all).map(task))])
}

fn guests(changed: Option<(usize, &str)>) -> ScriptedGuests {
    ScriptedGuests::new().with("main", script(changed))
}

#[test]
fn a_thousand_changed_requests_are_found_before_any_new_call() {
    let run = simulation().run(&mut guests(None));
    let journal = &run.entries[..run.entries.len() - 1]; // still to be ended
    assert!(Engine::resume(journal.to_vec(), &mut guests(None), 1).is_ok());
    let mut random = Random::new(9);
    let mut stopped = 0;
    for n in 0..1000 {
        let at = random.below(TASKS as u64) as usize;
        let prompt = format!("another {n}");
        let resumed = Engine::resume(journal.to_vec(), &mut guests(Some((at, &prompt))), 1);
        let Err(ResumeError::Mismatch(mismatch)) = resumed else { panic!("mutant {n} goes on") };
        assert_eq!(mismatch.call, Some(CallId(at as u32)));
        assert!(mismatch.place.is_some());
        assert_eq!(mismatch.recorded, format!(r#"{{"prompt":"{at}"}}"#));
        assert_eq!(mismatch.replayed, format!(r#"{{"prompt":"{prompt}"}}"#));
        stopped += 1;
    }
    assert_eq!(stopped, 1000);
}

#[test]
fn a_run_with_an_outcome_is_replayed_and_not_resumed() {
    let run = simulation().run(&mut guests(None));
    let refused = Engine::resume(run.entries.clone(), &mut guests(None), 1);
    let Err(ResumeError::Refused(why)) = refused else { panic!("it goes on") };
    assert_eq!(why.code, loopwright_types::Code::RUN_ENDED);
    let replayed = loopwright_engine::replay(run.entries, &mut guests(None), 1).unwrap();
    assert_eq!(replayed.calls, TASKS as u64);
}

/// E9: 102 calls of which 2 fail, completed in another order each time, and a crash anywhere.
#[test]
fn shuffled_completions_and_a_crash_anywhere_run_nothing_finished_again() {
    let plans = |dispatch: &loopwright_protocol::Dispatch, random: &mut Random| {
        let ms = random.below(40);
        match dispatch.call.0 {
            17 | 60 => Plan::broken().after_ms(ms),
            n => Plan::done(n).after_ms(ms),
        }
    };
    let script = || Step::settle((0..102).map(|i| Step::task(&i.to_string())));
    let guests = || ScriptedGuests::new().with("main", script());
    let mut results = std::collections::BTreeSet::new();
    let mut random = Random::new(3);
    for seed in 0..60 {
        let simulation = simulation().plans(plans).setup(|setup| {
            (setup.seed, setup.shuffled) = (seed, true);
            setup.sync_delay = loopwright_types::Micros::from_millis(seed % 7);
        });
        let at = 1 + random.below(300);
        let run = simulation.run_through(loopwright_simulator::Crashes::at([at]), guests).unwrap();
        results.insert(run.result().to_string());
        // The books see to it that nothing settled is dispatched again.
        assert_eq!(run.finish().tasks, 102);
    }
    assert_eq!(results.len(), 1, "the same whatever the order");
}
