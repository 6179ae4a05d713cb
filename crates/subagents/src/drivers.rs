//! All drivers of one run behind one: routes each task to what serves its definition.

use crate::command::CommandDriver;
use crate::definition::{AcpOptions, Definition, Runner};
use crate::mock::MockDriver;
use crate::registry::Registry;
use loopwright_acp::{AcpDriver, Agent, McpServer};
use loopwright_host::{Driver, Reporter};
use loopwright_processes::Signal;
use loopwright_protocol::{Dispatch, Outcome, Work};
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, Settings, Usage};
use std::path::Path;
use std::sync::Arc;

/// The drivers of one run.
///
/// A mock without latency, and a task that is refused, report their end from within `dispatch`.
pub struct Drivers {
    registry: Registry,
    acp: AcpDriver,
    servers: Vec<McpServer>,
    command: CommandDriver,
    mock: MockDriver,
}

impl Drivers {
    /// Drivers for these definitions; commands run in `workspace`, and agents are given those of its MCP servers that
    /// their tools name. Starts no thread before it is needed.
    pub fn new(
        registry: &Registry,
        settings: &Settings,
        workspace: &Path,
        servers: Vec<McpServer>,
    ) -> Arc<Self> {
        Arc::new(Self {
            servers,
            registry: registry.clone(),
            acp: AcpDriver::new(settings, workspace),
            command: CommandDriver::new(settings, workspace),
            mock: MockDriver::new(settings),
        })
    }

    /// Passes a signal on to the process groups of all commands and agents under way.
    pub fn signal_all(&self, signal: Signal) {
        self.command.signal_all(signal);
        self.acp.signal_all(signal);
    }
}

impl Driver for Drivers {
    fn dispatch(&self, dispatch: Dispatch, reporter: Arc<dyn Reporter>) {
        let (call, attempt) = (dispatch.call, dispatch.attempt);
        let refuse = |failure: Failure| {
            reporter.ended(call, attempt, Outcome::Failed(failure), Usage::default());
        };
        let (work, is_lookup) = match &dispatch.work {
            Work::Task(work) => (work, false),
            Work::LookUp(sent) if let Work::Task(work) = &**sent => (work, true),
            _ => {
                let message = "subagents serve tasks only";
                let failure = Failure::new(Reason::Provider, Code::UNSUPPORTED, message);
                return refuse(failure.not_sent());
            }
        };
        let Some(definition) = self.registry.get(&work.subagent) else {
            return refuse(self.registry.refusal(&work.subagent));
        };
        if is_lookup {
            return match definition.lookup.is_some() {
                true => self.command.look_up(&dispatch, work, definition, reporter),
                false => refuse(no_lookup(&definition.name)),
            };
        }
        match &definition.runner {
            Runner::Command(_) => self.command.dispatch(&dispatch, work, definition, reporter),
            Runner::Acp(options) => {
                let agent = Arc::new(agent(definition, options, &self.servers));
                self.acp.dispatch(&dispatch, work, &agent, reporter);
            }
            Runner::Mock => self.mock.dispatch(&dispatch, work, definition, reporter),
            // A program may ask for the mock by itself.
            Runner::Model if work.model.as_deref() == Some("mock") => {
                self.mock.dispatch(&dispatch, work, definition, reporter);
            }
            Runner::Model => refuse(definition.needs_model(work.model.as_deref())),
        }
    }

    fn cancel(&self, call: CallId, attempt: Attempt) {
        self.acp.cancel(call, attempt);
        self.command.cancel(call, attempt);
        self.mock.cancel((call, attempt));
    }

    fn shutdown(&self) {
        self.mock.shutdown();
        self.acp.shutdown();
        self.command.shutdown();
    }

    fn rest(&self) {
        self.mock.rest();
        self.acp.rest();
        self.command.rest();
    }
}

fn no_lookup(name: &str) -> Failure {
    let message = format!("subagent `{name}` has no `lookup` any more");
    Failure::new(Reason::Provider, Code::LOOKUP_FAILED, message).not_sent()
}

/// The agent of a definition.
fn agent(definition: &Definition, options: &AcpOptions, servers: &[McpServer]) -> Agent {
    let line = &options.command;
    let variables = line.environment.iter();
    Agent {
        name: definition.name.clone(),
        program: line.program.clone(),
        arguments: line.arguments.clone(),
        environment: variables.map(|it| (it.name.clone(), it.value.clone())).collect(),
        directory: line.directory.clone(),
        permissions: options.permissions,
        mode: options.mode.clone(),
        model: definition.model.clone(),
        authentication: options.authentication.clone(),
        servers: servers.to_vec(),
        tools: definition.tools.clone().unwrap_or_default(),
        tools_denied: definition.disallowed_tools.clone().unwrap_or_default(),
        system_prompt: definition.system_prompt.clone(),
        timeout: definition.timeout,
    }
}
