//! The local host: one journal writer, one heap of timers, one inbox. The inbox is the run's total order of
//! completions; it becomes durable as the engine appends them.

use crate::clock::Clock;
use crate::mail::Mail;
use crate::requests::Requests;
use crate::timers::Timers;
use loopwright_host::{Driver, Reporter, RunHost};
use loopwright_journal::{Request, Writer};
use loopwright_protocol::{Command, Dispatch, Entry, Event, Outcome, Progress, Work};
use loopwright_types::{Attempt, CallId, Diagnostic, Micros, Usage};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What follows from the ends of attempts waits this long for the next end before it goes to the disk, so that
/// attempts that end together are journalled with one sync, …
const GATHER_GAP: Duration = Duration::from_micros(150);
/// … and no longer than this altogether.
const GATHER_MAX: Duration = Duration::from_micros(600);

/// What reaches the run's thread from others.
pub(crate) enum Message {
    /// Something happened.
    Event(Event),
    /// Another process asks something.
    Asked(Request),
    /// The journal cannot be written any more.
    JournalFailed(Diagnostic),
}

/// Sends attempts' reports to the run's inbox.
pub(crate) struct Inbox {
    pub mail: Arc<Mail>,
    pub clock: Clock,
}

impl Reporter for Inbox {
    fn ended(&self, call: CallId, attempt: Attempt, outcome: Outcome, usage: Usage) {
        let now = self.clock.now();
        let event = Event::Ended { call, attempt, outcome, usage, now };
        self.mail.send(Message::Event(event));
    }

    fn progressed(&self, call: CallId, attempt: Attempt, progress: Progress) {
        let now = self.clock.now();
        let event = Event::Progressed { call, attempt, progress, now };
        self.mail.send(Message::Event(event));
    }
}

/// Carries out one run's commands on this machine.
pub(crate) struct LocalHost {
    pub writer: Writer,
    pub mail: Arc<Mail>,
    /// Messages that were taken from it and not looked at yet.
    pub taken: VecDeque<Message>,
    pub reporter: Arc<dyn Reporter>,
    pub driver: Arc<dyn Driver>,
    pub clock: Clock,
    pub timers: Timers,
    /// Attempts whose end has not been taken yet.
    pub under_way: usize,
    /// Entries not handed to the writer yet, and since when they wait.
    pub gathered: Vec<Entry>,
    pub gathering: Option<Instant>,
    /// Quiet for this long, the run may rest; …
    pub rest_after: Duration,
    /// … until when it may not: absent before anything has happened.
    pub quiet_at: Option<Instant>,
    /// What other processes ask.
    pub requests: Requests,
    /// What follows from the commands themselves and is told at the next look.
    pub told: Vec<Event>,
}

impl LocalHost {
    /// Takes a message. What follows from an end of an attempt may wait for the next one while there is one.
    fn take(&mut self, message: Message, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        let event = match message {
            Message::Event(event) => event,
            Message::Asked(request) => {
                self.asked(request, events);
                return Ok(());
            }
            Message::JournalFailed(error) => return Err(error),
        };
        if let Event::Ended { call, attempt, .. } = event {
            if !self.requests.ended(call, attempt) {
                return Ok(()); // its end was told when it was answered
            }
            self.under_way -= 1;
            self.gathering.get_or_insert_with(Instant::now);
        }
        events.push(event);
        Ok(())
    }

    /// Takes what another process asks. A question that is answered so is taken back where it is shown.
    fn asked(&mut self, request: Request, events: &mut Vec<Event>) {
        let now = self.clock.now();
        if let Some((call, attempt)) = self.requests.take(request, now, events) {
            self.under_way -= 1;
            self.driver.cancel(call, attempt);
        }
    }

    fn dispatch(&mut self, dispatch: Dispatch) {
        if let Work::Approve(request) = &dispatch.work {
            let (call, attempt, now) = (dispatch.call, dispatch.attempt, self.clock.now());
            if !self.requests.ask(call, attempt, request, now, &mut self.told) {
                return;
            }
        }
        self.under_way += 1;
        self.driver.dispatch(dispatch, Arc::clone(&self.reporter));
    }

    /// Takes away the requests that were acted on: everything that follows from them is handed to the writer before.
    pub fn acknowledge(&mut self) {
        let done = self.requests.done();
        if !done.is_empty() {
            self.flush();
            done.into_iter().for_each(|request| self.writer.acknowledge(request));
        }
    }

    /// Hands what was gathered to the writer.
    fn flush(&mut self) {
        self.gathering = None;
        if !self.gathered.is_empty() {
            self.writer.append(std::mem::take(&mut self.gathered));
        }
    }

    /// When the run has something to do although nobody tells it anything.
    pub fn due(&mut self) -> Option<Micros> {
        self.timers.next()
    }

    /// How much longer gathered entries may wait; flushes those that may not.
    fn patience(&mut self) -> Option<Duration> {
        let since = self.gathering?;
        let left = GATHER_MAX.saturating_sub(since.elapsed());
        if self.under_way == 0 || left.is_zero() {
            self.flush();
            return None;
        }
        Some(left.min(GATHER_GAP))
    }
}

impl RunHost for LocalHost {
    fn submit(&mut self, commands: &mut Vec<Command>) -> Result<(), Diagnostic> {
        for command in commands.drain(..) {
            match command {
                Command::Append(entry) => self.gathered.push(*entry),
                Command::Dispatch(dispatch) => self.dispatch(*dispatch),
                Command::CancelAttempt { call, attempt } => self.driver.cancel(call, attempt),
                Command::SetTimer { timer, at } => self.timers.set(timer, at),
                Command::DropTimer { timer } => self.timers.remove(timer),
                Command::StartGuest { .. }
                | Command::Turn { .. }
                | Command::DropGuest { .. }
                | Command::Finish { .. } => unreachable!("the drive loop keeps these to itself"),
            }
        }
        if self.gathering.is_none() || self.under_way == 0 {
            self.flush();
        }
        Ok(())
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }

    fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        // The events of the last look were stepped, and what followed was submitted.
        self.acknowledge();
        events.append(&mut self.told);
        loop {
            let now = self.clock.now();
            while let Some(timer) = self.timers.pop(now) {
                events.push(Event::Due { timer, now });
            }
            self.mail.take_now(&mut self.taken);
            while let Some(message) = self.taken.pop_front() {
                self.take(message, events)?;
            }
            if !events.is_empty() {
                self.quiet_at = Some(Instant::now() + self.rest_after);
                return Ok(());
            }
            let patience = self.patience();
            let due = self.timers.next().map(|at| Duration::from_micros(at.since(now).0));
            let quiet = self.quiet_at.map(|at| at.saturating_duration_since(Instant::now()));
            if quiet.is_some_and(|left| left.is_zero()) {
                // Asked again, it waits on: a message that comes to nothing does not keep the run awake for ever.
                self.quiet_at = Some(Instant::now() + self.rest_after);
                self.flush();
                return Ok(());
            }
            let wait = patience.into_iter().chain(due).chain(quiet).min();
            self.mail.take(wait, &mut self.taken);
            if self.taken.is_empty() && patience.is_some() && patience == wait {
                self.flush();
            }
        }
    }
}
