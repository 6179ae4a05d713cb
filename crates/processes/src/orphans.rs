//! Processes whose host was killed and that outlived it: they are ended before their run goes on, so that no work is done
//! twice at a time.

use crate::group::{self, Signal};
use loopwright_types::RunId;
use std::time::{Duration, Instant};

/// Time that commands get to end in order.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether they have.
const PERIOD: Duration = Duration::from_millis(20);

/// A process that served an attempt, as the journal tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its process id, which is also its process group.
    pub pid: u32,
    /// Its start time in clock ticks since boot; 0 where that is not known.
    pub start_ticks: u64,
}

/// Ends what an earlier process has left of a run: first in order, then by force. A process is only touched when it is
/// known to be the run's: its id and start time are those in the journal, or its environment names the run. Blocks
/// until all are gone, for two seconds and a moment at most; says how many there were.
///
/// Call it while no attempt of the run is under way.
pub fn end_orphans(run: &RunId, recorded: &[Orphan]) -> usize {
    let alive = || {
        let leaders = recorded.iter().filter(|it| group::is_same(it.pid, it.start_ticks));
        let leaders: Vec<u32> = leaders.map(|it| it.pid).collect();
        let marked = group::marked_with_run(run.as_str());
        let others: Vec<u32> = marked.into_iter().filter(|pid| !leaders.contains(pid)).collect();
        (leaders, others)
    };
    let (leaders, others) = alive();
    let count = leaders.len() + others.len();
    if count == 0 {
        return 0;
    }
    let signal = |leaders: &[u32], others: &[u32], signal| {
        leaders.iter().for_each(|group| group::signal_group(*group, signal));
        others.iter().for_each(|pid| group::signal_process(*pid, signal));
    };
    signal(&leaders, &others, Signal::Terminate);
    let until = Instant::now() + PATIENCE;
    loop {
        let (leaders, others) = alive();
        if leaders.is_empty() && others.is_empty() {
            return count;
        }
        if Instant::now() >= until {
            signal(&leaders, &others, Signal::Kill);
            return count;
        }
        std::thread::sleep(PERIOD);
    }
}
