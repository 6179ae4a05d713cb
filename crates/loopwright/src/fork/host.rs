//! The host of a forecast: tools that only read and saved programs are looked up for real, time jumps, nothing is
//! written down and nothing is sent.

use crate::timers::Timers;
use crate::toolbox::{ToolCall, Toolbox};
use loopwright_host::RunHost;
use loopwright_protocol::{CallEntry, Command, Dispatch, Entry, Event, Outcome, Work};
use loopwright_types::{Code, Diagnostic, Failure, Micros, Reason, Usage};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

/// Happenings after which a forecast is left where it is: a program may wait for something for ever.
const EVENTS_MAX: u64 = 200_000;

pub(super) struct ForecastHost {
    pub now: Micros,
    pub tools: Arc<Toolbox>,
    pub workspace: PathBuf,
    /// Calls made, in their order.
    pub called: Vec<CallEntry>,
    timers: Timers,
    events: VecDeque<Event>,
    appended: u64,
    synced: u64,
    happened: u64,
}

impl ForecastHost {
    pub fn new(now: Micros, tools: Arc<Toolbox>, workspace: PathBuf) -> Self {
        Self {
            now,
            tools,
            workspace,
            called: Vec::new(),
            timers: Timers::default(),
            events: VecDeque::new(),
            appended: 0,
            synced: 0,
            happened: 0,
        }
    }

    fn dispatch(&self, work: &Work) -> Outcome {
        match work {
            Work::Tool { name, args, .. } => {
                let args = args.read().unwrap_or_default();
                let call = ToolCall { name, args: &args, root: None, grant: None, key: "" };
                self.tools.call(&call, &|| false, &|_| {})
            }
            Work::LoadProgram { name } => crate::services::load_program(&self.workspace, name),
            _ => {
                let message = "a forecast sends nothing";
                Outcome::Failed(Failure::new(Reason::Policy, Code::UNSUPPORTED, message).not_sent())
            }
        }
    }
}

impl RunHost for ForecastHost {
    fn submit(&mut self, commands: &mut Vec<Command>) -> Result<(), Diagnostic> {
        for command in commands.drain(..) {
            match command {
                Command::Append(entry) => {
                    self.appended += 1;
                    if let Entry::Called(call) = *entry {
                        self.called.push(*call);
                    }
                }
                Command::Dispatch(dispatch) => {
                    let Dispatch { call, attempt, work, .. } = *dispatch;
                    let (outcome, usage) = (self.dispatch(&work), Usage::default());
                    let now = self.now;
                    self.events.push_back(Event::Ended { call, attempt, outcome, usage, now });
                }
                Command::SetTimer { timer, at } => self.timers.set(timer, at),
                Command::DropTimer { timer } => self.timers.remove(timer),
                _ => {} // an attempt that is cancelled has ended already; guests are the loop's
            }
        }
        Ok(())
    }

    fn now(&self) -> Micros {
        self.now
    }

    fn next(&mut self, events: &mut Vec<Event>) -> Result<(), Diagnostic> {
        self.happened += 1;
        let idle = || Diagnostic::new(Code::NEVER_SETTLES, "nothing more can be forecast");
        if self.happened > EVENTS_MAX {
            return Err(idle());
        }
        if self.synced < self.appended {
            self.synced = self.appended;
            events.push(Event::Synced { count: self.synced, now: self.now });
        }
        events.extend(self.events.drain(..));
        if !events.is_empty() {
            return Ok(());
        }
        let at = self.timers.next().ok_or_else(idle)?;
        self.now = self.now.max(at);
        let timer = self.timers.pop(self.now).ok_or_else(idle)?;
        events.push(Event::Due { timer, now: self.now });
        Ok(())
    }
}
