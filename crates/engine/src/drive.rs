//! The loop that joins an engine, a host and guests. The same loop drives a local run, a simulated one
//! and, later, a distributed one.

use crate::Engine;
use loopwright_host::{Guests, RunHost};
use loopwright_protocol::{Command, Entry, Event, TurnReport};
use loopwright_types::{Code, Diagnostic, Micros, RunStatus};
use std::collections::VecDeque;

/// How [`drive`] ended: the run's last entry is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The run's status.
    pub status: RunStatus,
}

/// Runs the engine from its start to its end. Every appended entry passes `observe`, before it is durable.
///
/// # Errors
/// When the host cannot write the journal any more; nothing is dispatched or delivered after that.
pub fn drive(
    engine: &mut Engine,
    host: &mut dyn RunHost,
    guests: &mut dyn Guests,
    now: Micros,
    observe: &mut dyn FnMut(&Entry),
) -> Result<Ended, Diagnostic> {
    to_the_end(Drive::begin(now), engine, host, guests, observe)
}

/// Runs an engine that was restored from its journal on to its end. `guests` are those that it was restored with;
/// the host counts the entries of the whole run.
///
/// # Errors
/// As [`drive`].
pub fn drive_resumed(
    engine: &mut Engine,
    host: &mut dyn RunHost,
    guests: &mut dyn Guests,
    now: Micros,
    observe: &mut dyn FnMut(&Entry),
) -> Result<Ended, Diagnostic> {
    to_the_end(Drive::resume(now), engine, host, guests, observe)
}

fn to_the_end(
    mut drive: Drive,
    engine: &mut Engine,
    host: &mut dyn RunHost,
    guests: &mut dyn Guests,
    observe: &mut dyn FnMut(&Entry),
) -> Result<Ended, Diagnostic> {
    loop {
        if let Step::Ended(ended) = drive.go_on(engine, host, guests, observe)? {
            return Ok(ended);
        }
    }
}

/// How far [`Drive::go_on`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The run is over.
    Ended(Ended),
    /// Nothing has happened for a while. The run can be left as it is, without a thread, until its host has something
    /// for it again, and then goes on.
    Quiet,
}

/// The loop between two moments in which the run is quiet: what has happened and was not stepped yet.
#[derive(Debug)]
pub struct Drive {
    events: VecDeque<Event>,
}

impl Drive {
    /// A run begins.
    pub fn begin(now: Micros) -> Self {
        Self { events: VecDeque::from([Event::Started { now }]) }
    }

    /// A run that was restored from its journal goes on.
    pub fn resume(now: Micros) -> Self {
        Self { events: VecDeque::from([Event::Resumed { now }]) }
    }

    /// Goes on until the run is over or quiet; always with the same engine, host and guests.
    ///
    /// # Errors
    /// As [`drive`]; the run does not go on after that.
    pub fn go_on(
        &mut self,
        engine: &mut Engine,
        host: &mut dyn RunHost,
        guests: &mut dyn Guests,
        observe: &mut dyn FnMut(&Entry),
    ) -> Result<Step, Diagnostic> {
        let (mut arrived, mut outward) = (Vec::new(), Vec::new());
        loop {
            let ended = self.step(engine, host, guests, observe, &mut outward)?;
            host.submit(&mut outward)?;
            if let Some(ended) = ended {
                return Ok(Step::Ended(ended));
            }
            host.next(&mut arrived)?;
            if arrived.is_empty() {
                guests.rest();
                return Ok(Step::Quiet);
            }
            self.events.extend(arrived.drain(..));
        }
    }

    /// Steps everything that has happened.
    fn step(
        &mut self,
        engine: &mut Engine,
        host: &mut dyn RunHost,
        guests: &mut dyn Guests,
        observe: &mut dyn FnMut(&Entry),
        outward: &mut Vec<Command>,
    ) -> Result<Option<Ended>, Diagnostic> {
        let (mut commands, mut ended) = (Vec::new(), None);
        while let Some(event) = self.events.pop_front() {
            engine.step(event, &mut commands);
            // A turn's report goes before anything that arrived meanwhile: guests first.
            let mut reports = Vec::new();
            for command in commands.drain(..) {
                match command {
                    Command::StartGuest { guest, start } => {
                        if let Err(error) = guests.start(guest, &start) {
                            let report = Box::new(not_started(error));
                            reports.push(Event::Turned { guest, report, now: host.now() });
                        }
                    }
                    Command::Turn { guest, input } => {
                        // What may start now does not wait for a program to compute.
                        if outward.iter().any(|held| matches!(held, Command::Dispatch(_))) {
                            host.submit(outward)?;
                        }
                        let failed = |event: &Event| matches!(event, Event::Turned { guest: of, .. } if *of == guest);
                        if !reports.iter().any(failed) {
                            let report = Box::new(guests.turn(guest, &input));
                            reports.push(Event::Turned { guest, report, now: host.now() });
                        }
                    }
                    Command::DropGuest { guest } => guests.end(guest),
                    Command::Finish { status } => ended = Some(Ended { status }),
                    Command::Append(ref entry) => {
                        observe(entry);
                        outward.push(command);
                    }
                    other => outward.push(other),
                }
            }
            for report in reports.into_iter().rev() {
                self.events.push_front(report);
            }
        }
        Ok(ended)
    }
}

/// A guest that did not start has had its only turn. Where the machine had no room for it that is no
/// outcome of its program.
fn not_started(error: Diagnostic) -> TurnReport {
    let stop_is_external = error.code == Code::SANDBOX_SETUP;
    TurnReport { stop: Some(error), stop_is_external, ..TurnReport::default() }
}
