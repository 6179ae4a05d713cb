//! A run's inbox, which also keeps the run itself while it waits: a run without news holds no thread. The next message,
//! or its next timer, starts one.

use crate::alarm::{self, Alarm};
use crate::clock::Clock;
use crate::host::Message;
use loopwright_types::Micros;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a run whose thread could not be started is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// What waits without a thread.
pub(crate) trait Sleeper: Send {
    /// Goes on, on a thread of its own.
    fn go_on(self: Box<Self>);
}

/// What reaches a run from other threads, in one order.
pub(crate) struct Mail {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    /// The run is over: nobody takes messages any more.
    is_closed: bool,
    /// The run, and what wakes it when nobody else does.
    asleep: Option<(Box<dyn Sleeper>, Option<Alarm>)>,
}

impl Mail {
    /// An empty inbox.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrived: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock: a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a message and wakes the run. One that is over does not want it any more.
    pub fn send(self: &Arc<Self>, message: Message) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        state.messages.push_back(message);
        let is_asleep = state.asleep.is_some();
        drop(state);
        if is_asleep {
            self.wake();
        } else {
            self.arrived.notify_one();
        }
    }

    /// Takes the messages that are there.
    pub fn take_now(&self, messages: &mut VecDeque<Message>) {
        messages.append(&mut self.lock().messages);
    }

    /// Takes all messages; waits for one if there is none, for so long at most.
    pub fn take(&self, wait: Option<Duration>, messages: &mut VecDeque<Message>) {
        let until = wait.map(|wait| Instant::now() + wait);
        let mut state = self.lock();
        while state.messages.is_empty() {
            state = match until {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    let waited = self.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        messages.append(&mut state.messages);
    }

    /// Keeps the run until there is a message, or it is `due` by this clock. Gives it back if there is a message now,
    /// or nothing could wake it in time.
    pub fn sleep<S: Sleeper + 'static>(
        self: &Arc<Self>,
        sleeper: Box<S>,
        due: Option<Micros>,
        clock: Clock,
    ) -> Option<Box<S>> {
        // Under the lock: an alarm that rings at once finds the run asleep.
        let mut state = self.lock();
        if !state.messages.is_empty() {
            return Some(sleeper);
        }
        let alarm = due.map(|due| {
            let mail = Arc::downgrade(self);
            let at = Instant::now() + Duration::from_micros(due.since(clock.now()).0);
            alarm::set(at, move || {
                if let Some(mail) = mail.upgrade() {
                    mail.wake();
                }
            })
        });
        match alarm {
            Some(None) => Some(sleeper),
            alarm => {
                state.asleep = Some((sleeper, alarm.flatten()));
                None
            }
        }
    }

    /// Goes on with the run that sleeps here, if one does, on a thread of its own.
    fn wake(self: &Arc<Self>) {
        loop {
            let mail = Arc::clone(self);
            let woken = on_a_thread(move || {
                let asleep = mail.lock().asleep.take();
                // Another message may have been faster.
                if let Some((sleeper, alarm)) = asleep {
                    drop(alarm);
                    sleeper.go_on();
                }
            });
            match woken {
                Ok(_) => return,
                // Its messages must not lie for ever: the system will have a thread again.
                Err(_) => std::thread::sleep(AGAIN),
            }
        }
    }

    /// The run is over: what waits is dropped, what comes is not taken.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        let left = std::mem::take(&mut state.messages);
        drop(state);
        drop(left);
    }
}

/// Starts work on a thread whose stack guests may recurse on.
///
/// # Errors
/// When the system gives no thread; the work is dropped then.
pub(crate) fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<T>> {
    let thread = std::thread::Builder::new().name("run".to_owned());
    thread.stack_size(loopwright_interpreter::STACK_BYTES).spawn(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopwright_protocol::Event;
    use std::sync::mpsc::{Sender, channel};

    fn message() -> Message {
        Message::Event(Event::CancelRequested { now: Micros(1) })
    }

    /// Tells which thread it goes on in and how many messages there are.
    struct Teller(Arc<Mail>, Sender<(std::thread::ThreadId, usize)>);

    impl Sleeper for Teller {
        fn go_on(self: Box<Self>) {
            let mut messages = VecDeque::new();
            self.0.take_now(&mut messages);
            self.1.send((std::thread::current().id(), messages.len())).unwrap();
        }
    }

    #[test]
    fn a_message_or_a_timer_wakes_a_sleeper_once_on_a_thread_of_its_own() {
        let (clock, (tell, told)) = (Clock::start(), channel());
        let mail = Mail::new();
        let sleeper = || Box::new(Teller(Arc::clone(&mail), tell.clone()));
        assert!(mail.sleep(sleeper(), None, clock).is_none());
        mail.send(message());
        let (thread, messages) = told.recv().unwrap();
        assert_eq!(messages, 1);
        assert_ne!(thread, std::thread::current().id());

        assert!(mail.sleep(sleeper(), Some(clock.now()), clock).is_none());
        assert_eq!(told.recv().unwrap().1, 0, "its time has come");

        // Many at once wake it once.
        assert!(mail.sleep(sleeper(), None, clock).is_none());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| mail.send(message()));
            }
        });
        let mut seen = told.recv().unwrap().1;
        let mut left = VecDeque::new();
        mail.take_now(&mut left);
        seen += left.len();
        assert_eq!(seen, 8);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn whoever_has_messages_does_not_sleep_and_an_alarm_of_an_earlier_sleep_wakes_nobody() {
        let (clock, (tell, told)) = (Clock::start(), channel());
        let mail = Mail::new();
        let sleeper = || Box::new(Teller(Arc::clone(&mail), tell.clone()));
        mail.send(message());
        assert!(mail.sleep(sleeper(), None, clock).is_some());
        mail.take(None, &mut VecDeque::new());

        let due = clock.now().after(Micros::from_millis(60));
        assert!(mail.sleep(sleeper(), Some(due), clock).is_none());
        mail.send(message());
        told.recv().unwrap();
        assert!(mail.sleep(sleeper(), None, clock).is_none());
        // The alarm rings in order of time: once this one has rung, the earlier one has as well.
        let (rang, ring) = channel();
        let at = Instant::now() + Duration::from_millis(80);
        let _alarm = alarm::set(at, move || rang.send(()).unwrap());
        ring.recv().unwrap();
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_closed_inbox_takes_nothing() {
        let mail = Mail::new();
        mail.send(message());
        mail.close();
        mail.send(message());
        let mut messages = VecDeque::new();
        mail.take_now(&mut messages);
        assert!(messages.is_empty());
    }
}
