//! The examples under trouble: whatever their subagents do, each ends by itself and can be replayed.

use crate::support::{on_big_stack, program, replay_of, simulate};
use loopwright_protocol::{ProgramText, Work};
use loopwright_simulator::{MockPlans, OnCancel, Plan, Plans, Random, Simulated, Simulation};
use loopwright_types::RunStatus;
use std::collections::BTreeSet;
use std::path::Path;

/// `mock.*` settings of each kind of trouble.
const TROUBLES: [(&str, &[(&str, &str)]); 5] = [
    ("none", &[]),
    ("failures", &[("mock.failure_rate", "0.4"), ("task.retries", "1")]),
    ("nulls and invalid answers", &[("mock.null_rate", "0.2"), ("mock.invalid_rate", "0.2")]),
    ("hostile values", &[("mock.hostile_rate", "0.5")]),
    ("a limit", &[("run.tasks_max", "5")]),
];

fn examples() -> Vec<ProgramText> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files: Vec<_> = ["patterns", "."]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("the examples are there"))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "js" || kind == "ts"))
        .collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let source = std::fs::read_to_string(path).expect("a readable example");
        program(&path.file_name().expect("a file").to_string_lossy(), &source)
    };
    files.iter().map(read).collect()
}

/// The mock's plans, in a world where every cancellation comes too late and there are three files.
struct Deaf(MockPlans);

impl Plans for Deaf {
    fn plan(&mut self, dispatch: &loopwright_protocol::Dispatch, random: &mut Random) -> Plan {
        match dispatch.work {
            Work::Tool { .. } => Plan::done("src/a.rs\nsrc/b.rs\nsrc/c.rs").after_ms(1),
            _ => self.0.plan(dispatch, random).on_cancel(OnCancel::Ignored),
        }
    }
}

fn run(example: &ProgramText, settings: &[(&str, &str)], seed: u64) -> Simulated {
    let mut simulation = Simulation::new(example.clone(), seed)
        .set("mock.seed", &seed.to_string())
        .set("mock.latency_ms", "20")
        .set("mock.latency_spread_ms", "200")
        .setup(|setup| setup.shuffled = true);
    for (name, value) in settings {
        simulation = simulation.set(name, value);
    }
    simulation.start.tools =
        ["glob", "grep", "ls", "read_file"].map(loopwright_protocol::Tool::reading).to_vec();
    let plans = MockPlans::new(&simulation.start.settings, []);
    simulate(simulation.plans(Deaf(plans)))
}

#[test]
fn every_example_ends_by_itself_whatever_its_subagents_do_and_can_be_replayed() {
    on_big_stack(|| {
        let mut ends = BTreeSet::new();
        for example in examples() {
            for (trouble, settings) in TROUBLES {
                for seed in 0..3 {
                    let run = run(&example, settings, seed);
                    let finish = run.finish();
                    let name = format!("{}, {trouble}, seed {seed}", example.name);
                    assert_eq!(replay_of(&run).result, finish.result, "{name}");
                    let known = [RunStatus::Complete, RunStatus::Degraded, RunStatus::Failed];
                    assert!(known.contains(&finish.status), "{name}: {finish:?}");
                    assert!(!finish.external, "{name}: {:?}", finish.error);
                    let good = trouble != "none" || finish.status == RunStatus::Complete;
                    assert!(good, "{name}: {finish:?}");
                    ends.insert(finish.status.as_str());
                }
            }
        }
        assert_eq!(ends.into_iter().collect::<Vec<_>>(), ["complete", "degraded", "failed"]);
    });
}
