use crate::support::{elimination, estimate, on_big_stack, search, stages};
use loopwright_types::RunStatus;

/// The everyday share of seeds; `cargo bench -p loopwright-simulator` takes all.
const SEEDS: u64 = 15;

#[test]
fn barrier_and_pipeline_take_exactly_the_time_of_list_scheduling() {
    on_big_stack(|| {
        for (form, cap) in stages::CASES {
            for seed in 0..SEEDS {
                let expected = stages::scheduled(form, cap, &stages::durations(seed));
                let makespan = stages::makespan(form, cap, seed);
                assert_eq!(makespan, expected, "{form:?} at cap {cap}, seed {seed}");
            }
        }
    });
}

#[test]
fn list_scheduling_takes_the_time_that_theory_says() {
    let cited = [13.50, 8.25, 23.9, 20.5];
    for ((form, cap), cited) in stages::CASES.into_iter().zip(cited) {
        let theory = stages::theory(form, cap, 4000);
        let off = (theory.mean / cited - 1.0).abs();
        assert!(off < 0.01, "{form:?} at cap {cap}: {theory:?}, cited {cited}");
        let drawn = estimate(
            (0..4000)
                .map(|seed| stages::scheduled(form, cap, &stages::durations(seed)) as f64 / 1e6),
        );
        let off = (drawn.mean / theory.mean - 1.0).abs();
        assert!(off < 0.01, "{form:?} at cap {cap}: {theory:?}, drawn {drawn:?}");
    }
}

#[test]
fn a_loop_until_dry_takes_the_rounds_and_finds_the_share_that_theory_says() {
    let cited = [(12.0, 0.982), (20.6, 0.870)];
    for ((p, d), cited) in search::CASES.into_iter().zip(cited) {
        let (rounds, recall) = search::theory(p, d);
        assert!((rounds - cited.0).abs() < 0.05, "p {p}: {rounds} rounds, cited {}", cited.0);
        assert!((recall - cited.1).abs() < 0.0006, "p {p}: recall {recall}, cited {}", cited.1);
        let runs = on_big_stack(move || {
            (0..4 * SEEDS).map(|seed| search::measured(p, d, seed)).collect::<Vec<_>>()
        });
        let measured = estimate(runs.iter().map(|(rounds, _)| *rounds));
        let off = (measured.mean - rounds).abs() / measured.error;
        assert!(off < 4.0, "p {p}: {measured:?} rounds, expected {rounds}");
        let measured = estimate(runs.iter().map(|(_, recall)| *recall));
        let off = (measured.mean - recall).abs() / measured.error;
        assert!(off < 4.0, "p {p}: recall {measured:?}, expected {recall}");
    }
}

#[test]
fn a_loop_that_forgets_what_was_refuted_is_ended_by_the_limit_on_tasks() {
    let run = on_big_stack(|| search::run("loop_until_dry_confirmed.ts", 0.3, 2, 1));
    let finish = run.finish();
    assert_eq!(finish.status, RunStatus::Failed);
    let error = finish.error.as_ref().unwrap();
    assert_eq!(error.code.to_string(), "LW0501", "{error}");
    assert_eq!(run.books.executions.len(), 1000, "nothing is sent beyond the limit");
    assert!(error.location.is_some(), "the error names the line that called");
}

#[test]
fn a_tournament_is_as_deep_as_its_tree_and_the_best_wins_as_often_as_theory_says() {
    let cited = [0.41, 0.645, 0.788];
    for (judges, cited) in elimination::JUDGES.into_iter().zip(cited) {
        let theory = elimination::theory(judges);
        assert!((theory - cited).abs() < 0.001, "{judges} judges: {theory}, cited {cited}");
        let runs = on_big_stack(move || {
            (0..8 * SEEDS).map(|seed| elimination::run(judges, seed)).collect::<Vec<_>>()
        });
        assert!(runs.iter().all(|(_, depth)| *depth == 4), "four rounds, each at once");
        let won = estimate(runs.iter().map(|(best, _)| f64::from(*best)));
        let off = (won.mean - theory).abs() / won.error;
        assert!(off < 4.0, "{judges} judges: {won:?}, expected {theory}");
    }
}
