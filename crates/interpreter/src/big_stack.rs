//! Threads on which a guest may recurse.
//!
//! A guest may use 8 MiB of native stack before it is stopped, so turns run only where that much is free: on the
//! caller's thread if it is, else on one of a few threads kept for that. The check costs nanoseconds, the change of
//! thread some ten microseconds, so a caller with many short turns does well to run on a big stack itself.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};

/// Stack a thread needs so that turns run on it directly.
pub const STACK_BYTES: usize = 24 << 20;

/// What must be free at the start of a turn: the guest's own limit and room for the host's frames below it.
const FREE_BYTES: usize = crate::engine::WASM_STACK_BYTES + (2 << 20);

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { jobs: VecDeque::new(), idle: 0, threads: 0 });
static READY: Condvar = Condvar::new();

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` where a guest's deepest recursion fits: here, or on a thread kept for that. Panics pass through.
pub fn run_on_big_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    if free_stack() >= FREE_BYTES {
        return work();
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let job = move || {
        // The receiver waits for as long as this runs, so sending cannot fail.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    };
    let mut pool = pool();
    pool.jobs.push_back(Box::new(job));
    let threads_max = std::thread::available_parallelism().map_or(2, |n| n.get().max(2));
    if pool.idle < pool.jobs.len() && pool.threads < threads_max && spawn() {
        pool.threads += 1;
    }
    assert!(pool.threads > 0, "no thread with a stack of {STACK_BYTES} bytes could be started");
    drop(pool);
    READY.notify_one();
    match receiver.recv().expect("the job always answers") {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}

fn spawn() -> bool {
    let thread = std::thread::Builder::new().name("guest".into()).stack_size(STACK_BYTES);
    thread.spawn(serve).is_ok()
}

fn serve() {
    let mut pool = pool();
    loop {
        if let Some(job) = pool.jobs.pop_front() {
            drop(pool);
            job();
            pool = self::pool();
        } else {
            pool.idle += 1;
            pool = READY.wait(pool).unwrap_or_else(PoisonError::into_inner);
            pool.idle -= 1;
        }
    }
}

/// Bytes between here and the end of this thread's stack; 0 when it cannot be told.
fn free_stack() -> usize {
    thread_local!(static LOWEST: Cell<Option<usize>> = const { Cell::new(None) });
    let lowest = LOWEST.get().unwrap_or_else(|| {
        let lowest = lowest_stack_address();
        LOWEST.set(Some(lowest));
        lowest
    });
    let here = std::ptr::from_ref(&lowest).addr();
    here.checked_sub(lowest).filter(|_| lowest != 0).unwrap_or(0)
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn lowest_stack_address() -> usize {
    // SAFETY: the attributes are initialised by pthread_getattr_np before they are read and destroyed once; the
    // thread is this one, so it lives.
    unsafe {
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return 0;
        }
        let (mut lowest, mut size) = (std::ptr::null_mut(), 0);
        let found =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size) == 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if found { lowest.addr() } else { 0 }
    }
}

#[cfg(not(target_os = "linux"))]
fn lowest_stack_address() -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_moves_off_a_small_stack_and_stays_on_a_big_one() {
        let here = std::thread::current().id();
        assert_ne!(run_on_big_stack(|| std::thread::current().id()), here);
        let big = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = big.spawn(|| {
            let here = std::thread::current().id();
            run_on_big_stack(move || std::thread::current().id() == here)
        });
        assert!(thread.unwrap().join().unwrap());
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_thread_serves_on() {
        let panic = catch_unwind(|| run_on_big_stack(|| panic!("on purpose")));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"on purpose"));
        assert_eq!(run_on_big_stack(|| 7), 7);
    }
}
