//! Threads for work that blocks: started when there is work for them, gone when there is none.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Work waits for disks and processes, not for cores.
const THREADS_MAX: usize = 4;
/// How long a thread waits for more work.
const KEEP: Duration = Duration::from_secs(1);

pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// A few threads and the work that waits for them. What waits when this is dropped is still done.
#[derive(Clone, Default)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock: a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let waited = self.more.wait_timeout(state, KEEP);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timeout.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

impl Pool {
    /// Does the work when a thread is free. Gives it back when there is none and none can be started.
    pub fn run(&self, job: Job) -> Result<(), Job> {
        let mut state = self.0.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads == THREADS_MAX {
            drop(state);
            self.0.more.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(&self.0);
        let thread = std::thread::Builder::new().name("tool".to_owned());
        // The new thread looks for work only when this lock is free again.
        match thread.spawn(move || shared.serve()) {
            Ok(_) => state.threads += 1,
            // Those that are there will come to it.
            Err(_) if state.threads > 0 => {}
            Err(_) => return state.jobs.pop_back().map_or(Ok(()), Err),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Barrier;
    use std::sync::mpsc::channel;

    #[test]
    fn work_is_done_side_by_side_on_few_threads_and_all_of_it() {
        let (pool, (tell, told)) = (Pool::default(), channel());
        // As many at a time as there may be: each waits for the others.
        let together = Arc::new(Barrier::new(THREADS_MAX));
        for _ in 0..2 * THREADS_MAX {
            let (tell, together) = (tell.clone(), Arc::clone(&together));
            let job = move || {
                together.wait();
                tell.send(std::thread::current().id()).unwrap();
            };
            assert!(pool.run(Box::new(job)).is_ok());
        }
        drop(tell);
        let threads: Vec<_> = told.iter().collect();
        assert_eq!(threads.len(), 2 * THREADS_MAX);
        assert!(threads.iter().collect::<HashSet<_>>().len() <= THREADS_MAX);
    }

    #[test]
    fn a_pool_without_work_has_no_threads_and_starts_one_for_new_work() {
        let pool = Pool::default();
        for _ in 0..2 {
            let (tell, told) = channel();
            assert!(pool.run(Box::new(move || tell.send(()).unwrap())).is_ok());
            told.recv().unwrap();
            while pool.0.lock().threads > 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
