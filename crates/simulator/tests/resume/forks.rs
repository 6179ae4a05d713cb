//! Forks whose processes die: what was taken over stays so, and nothing of it is asked, whether the old run is still
//! there for the next process or not.

use crate::everywhere::{guests, kinds, result};
use loopwright_engine::Recorded;
use loopwright_protocol::Entry;
use loopwright_simulator::{Crashes, Simulated, Simulation};
use loopwright_types::{CallId, Micros};
use std::collections::BTreeSet;

fn taken_over(run: &Simulated) -> BTreeSet<CallId> {
    let calls = run.entries.iter().filter_map(|entry| match entry {
        Entry::Settled(settled) => settled.reused.as_ref().map(|_| settled.call),
        _ => None,
    });
    calls.collect()
}

#[test]
fn a_fork_goes_on_from_every_entry_of_its_journal_and_ends_the_same() {
    for kind in kinds() {
        let old = (kind.simulation)().run(&mut guests(&kind));
        // The first half of the calls is taken over, so that there is something left to do.
        let past = || {
            let mut past = Recorded::read(old.entries.clone()).unwrap();
            past.accept_effects();
            if let Some(middle) = past.calls().get(past.calls().len() / 2) {
                past.refuse_from(middle.entry.call);
            }
            past
        };
        let simulation = || -> Simulation {
            (kind.simulation)().past(past()).setup(|setup| {
                setup.sync_delay = Micros::from_millis(5);
            })
        };
        let whole = simulation().run(&mut guests(&kind));
        for at in 1..whole.entries.len() as u64 {
            for past_is_gone in [false, true] {
                let place = format!("{}, crash after {at}, past gone {past_is_gone}", kind.name);
                let crashes = Crashes { past_is_gone, ..Crashes::at([at]) };
                let run = simulation().run_through(crashes, || guests(&kind));
                let run = run.unwrap_or_else(|error| panic!("{place}: {}", error.diagnostic()));
                assert_eq!(result(&run), result(&whole), "{place}");
                let taken = taken_over(&run);
                if !past_is_gone {
                    assert_eq!(taken.len(), taken_over(&whole).len(), "{place}");
                }
                let asked = taken.iter().find(|call| run.books.of(**call).next().is_some());
                assert_eq!(asked, None, "{place}: it was taken over and asked");
                let replayed = loopwright_engine::replay(run.entries, &mut guests(&kind), 1);
                replayed.unwrap_or_else(|error| panic!("{place}: {}", error.diagnostic()));
            }
        }
    }
}
