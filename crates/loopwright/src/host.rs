//! The local host: one journal writer, one heap of timers, one inbox. The inbox is the run's total order of
//! completions; it becomes durable as the engine appends them.

use crate::clock::Clock;
use crate::timers::Timers;
use loopwright_host::{Driver, Reporter, RunHost};
use loopwright_journal::Writer;
use loopwright_protocol::{Command, Event, Outcome, Progress};
use loopwright_types::{Attempt, CallId, Diagnostic, Micros, Usage};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Attempts that end together are journalled with one sync: while others are under way, an end waits this long for the
/// next one, …
const GATHER_GAP: Duration = Duration::from_micros(150);
/// … and no longer than this altogether.
const GATHER_MAX: Duration = Duration::from_micros(600);

/// What reaches the run's thread from others.
pub(crate) enum Message {
    /// Something happened.
    Event(Event),
    /// The journal cannot be written any more.
    JournalFailed(Diagnostic),
}

/// Sends attempts' reports to the run's inbox.
pub(crate) struct Inbox {
    pub sender: Sender<Message>,
    pub clock: Clock,
}

impl Reporter for Inbox {
    fn ended(&self, call: CallId, attempt: Attempt, outcome: Outcome, usage: Usage) {
        let now = self.clock.now();
        let event = Event::Ended { call, attempt, outcome, usage, now };
        // A run that is over has dropped its inbox: nobody wants the report any more.
        let _ = self.sender.send(Message::Event(event));
    }

    fn progressed(&self, call: CallId, attempt: Attempt, progress: Progress) {
        let now = self.clock.now();
        let event = Event::Progressed { call, attempt, progress, now };
        let _ = self.sender.send(Message::Event(event));
    }
}

/// Carries out one run's commands on this machine.
pub(crate) struct LocalHost {
    pub writer: Writer,
    pub inbox: Receiver<Message>,
    pub reporter: Arc<dyn Reporter>,
    pub driver: Arc<dyn Driver>,
    pub clock: Clock,
    pub timers: Timers,
    /// Attempts whose end has not been taken yet.
    pub under_way: usize,
}

impl LocalHost {
    /// Takes a message; says whether it is the end of an attempt.
    fn take(&mut self, message: Message, events: &mut Vec<Event>) -> Result<bool, Diagnostic> {
        let event = match message {
            Message::Event(event) => event,
            Message::JournalFailed(error) => return Err(error),
        };
        let ended = matches!(event, Event::Ended { .. });
        self.under_way -= usize::from(ended);
        events.push(event);
        Ok(ended)
    }

    /// Takes everything that is there, and with an end those that come right after it.
    fn gather(&mut self, mut ended: bool, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        let began = Instant::now();
        loop {
            while let Ok(message) = self.inbox.try_recv() {
                ended |= self.take(message, events)?;
            }
            if !ended || self.under_way == 0 || began.elapsed() >= GATHER_MAX {
                return Ok(());
            }
            match self.inbox.recv_timeout(GATHER_GAP) {
                Ok(message) => self.take(message, events)?,
                Err(_) => return Ok(()),
            };
        }
    }
}

impl RunHost for LocalHost {
    fn submit(&mut self, commands: &mut Vec<Command>) -> Result<(), Diagnostic> {
        let mut entries = Vec::new();
        for command in commands.drain(..) {
            match command {
                Command::Append(entry) => entries.push(*entry),
                Command::Dispatch(dispatch) => {
                    self.under_way += 1;
                    self.driver.dispatch(*dispatch, Arc::clone(&self.reporter));
                }
                Command::CancelAttempt { call, attempt } => self.driver.cancel(call, attempt),
                Command::SetTimer { timer, at } => self.timers.set(timer, at),
                Command::DropTimer { timer } => self.timers.remove(timer),
                Command::StartGuest { .. }
                | Command::Turn { .. }
                | Command::DropGuest { .. }
                | Command::Finish { .. } => unreachable!("the drive loop keeps these to itself"),
            }
        }
        if !entries.is_empty() {
            self.writer.append(entries);
        }
        Ok(())
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }

    fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        loop {
            let now = self.clock.now();
            while let Some(timer) = self.timers.pop(now) {
                events.push(Event::Due { timer, now });
            }
            self.gather(false, events)?;
            if !events.is_empty() {
                return Ok(());
            }
            let waited = match self.timers.next() {
                Some(at) => self.inbox.recv_timeout(Duration::from_micros(at.since(now).0)),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match waited {
                Ok(message) => {
                    let ended = self.take(message, events)?;
                    self.gather(ended, events)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("the host itself holds a sender through its reporter")
                }
            }
        }
    }
}
