//! All drivers of one run behind one: routes each task to what serves its definition.

use crate::command::{CommandDriver, Signal};
use crate::definition::Runner;
use crate::mock::MockDriver;
use crate::registry::Registry;
use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{Dispatch, Outcome, Work};
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, Settings, Usage};
use std::path::Path;
use std::sync::Arc;

/// The drivers of one run.
///
/// A mock without latency, and a task that is refused, report their end from within `dispatch`.
pub struct Drivers {
    registry: Registry,
    command: CommandDriver,
    mock: MockDriver,
}

impl Drivers {
    /// Drivers for these definitions; commands run in `workspace`. Starts no thread before it is needed.
    pub fn new(registry: &Registry, settings: &Settings, workspace: &Path) -> Arc<Self> {
        Arc::new(Self {
            registry: registry.clone(),
            command: CommandDriver::new(settings, workspace),
            mock: MockDriver::new(settings),
        })
    }

    /// Passes a signal on to the process groups of all commands under way.
    pub fn signal_all(&self, signal: Signal) {
        self.command.signal_all(signal);
    }
}

impl Driver for Drivers {
    fn dispatch(&self, dispatch: Dispatch, reporter: Arc<dyn Reporter>) {
        let (call, attempt) = (dispatch.call, dispatch.attempt);
        let refuse = |failure: Failure| {
            reporter.ended(call, attempt, Outcome::Failed(failure), Usage::default());
        };
        let Work::Task(work) = &dispatch.work else {
            let message = "subagents serve tasks only";
            return refuse(Failure::new(Reason::Provider, Code::UNSUPPORTED, message).not_sent());
        };
        let Some(definition) = self.registry.get(&work.subagent) else {
            return refuse(self.registry.refusal(&work.subagent));
        };
        match &definition.runner {
            Runner::Command(_) => self.command.dispatch(&dispatch, work, definition, reporter),
            Runner::Mock => self.mock.dispatch(&dispatch, work, definition, reporter),
            // A program may ask for the mock by itself.
            Runner::Model if work.model.as_deref() == Some("mock") => {
                self.mock.dispatch(&dispatch, work, definition, reporter);
            }
            Runner::Model => refuse(definition.needs_model(work.model.as_deref())),
        }
    }

    fn cancel(&self, call: CallId, attempt: Attempt) {
        self.command.cancel((call, attempt));
        self.mock.cancel((call, attempt));
    }

    fn shutdown(&self) {
        self.mock.shutdown();
        self.command.shutdown();
    }
}
