//! All attempts of one run: each is one process with one session, all followed by one thread, which is started with
//! the first of them.

use crate::agent::Agent;
use crate::attempt::{self, Job};
use crate::conversation::Plan;
use crate::prompt;
use crate::servers::Grant;
use crate::wire::Limits;
use loopwright_host::Reporter;
use loopwright_processes::{Attempts, Signal, TimeLimits};
use loopwright_protocol::{Dispatch, Outcome, TaskWork};
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, Settings, Usage};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Runs agents.
pub struct AcpDriver {
    attempts: Attempts,
    workspace: PathBuf,
    start: Duration,
    wire: Limits,
    answer_bytes_max: usize,
}

impl AcpDriver {
    /// Agents run in `workspace`, which must be absolute, unless a task has a root of its own. Starts no thread before
    /// it is needed. Limits come from `acp.*` and `task.answer_bytes_max`.
    pub fn new(settings: &Settings, workspace: &Path) -> Self {
        Self {
            attempts: Attempts::new("agents", attempt::GRACE * 5),
            workspace: workspace.to_owned(),
            start: Duration::from_millis(settings.integer("acp.start_ms")),
            wire: Limits {
                message_bytes_max: settings.count("acp.message_bytes_max"),
                output_bytes_max: settings.integer("acp.output_bytes_max"),
            },
            answer_bytes_max: settings.count("task.answer_bytes_max"),
        }
    }

    /// Starts the attempt and returns; it ends in one [`Reporter::ended`].
    pub fn dispatch(
        &self,
        dispatch: &Dispatch,
        work: &TaskWork,
        agent: &Arc<Agent>,
        reporter: Arc<dyn Reporter>,
    ) {
        let (call, attempt) = (dispatch.call, dispatch.attempt);
        let told = Arc::clone(&reporter);
        let job = |watched| {
            attempt::run(Job {
                call,
                attempt,
                agent: Arc::clone(agent),
                plan: self.plan(work, agent),
                wants_json: work.schema.is_some(),
                mark: format!("{}/{call}/{attempt}", dispatch.run),
                limits: TimeLimits::new(dispatch.timeout, agent.timeout),
                start: self.start,
                wire: self.wire,
                answer_bytes_max: self.answer_bytes_max,
                reporter,
                watched,
            })
        };
        let tell = Arc::clone(&told);
        let ended = move |(outcome, usage)| tell.ended(call, attempt, outcome, usage);
        if let Err(cause) = self.attempts.start((call, attempt), job, ended) {
            let message = format!("no agent can be started: {cause}");
            let failure = Failure::new(Reason::Provider, Code::AGENT_NOT_STARTED, message);
            told.ended(call, attempt, Outcome::Failed(failure.not_sent()), Usage::default());
        }
    }

    fn plan(&self, work: &TaskWork, agent: &Agent) -> Plan {
        let root = match &work.root {
            Some(root) => self.workspace.join(root),
            None => self.workspace.clone(),
        };
        let (mut servers, mut notes) = (Vec::new(), Vec::new());
        for server in &agent.servers {
            match server.granted(&agent.tools, &agent.tools_denied, work.tools.as_deref()) {
                Grant::Whole => servers.push(server.clone()),
                Grant::Part => notes.push(format!(
                    "the MCP server `{name}` is not passed on: an agent gets all its tools (`mcp__{name}`) or none",
                    name = server.name,
                )),
                Grant::None => {}
            }
        }
        Plan {
            servers,
            notes,
            directory: match &agent.directory {
                Some(directory) => root.join(directory),
                None => root,
            },
            permissions: agent.permissions,
            authentication: agent.authentication.clone(),
            mode: agent.mode.clone(),
            model: work.model.clone().or_else(|| agent.model.clone()),
            effort: work.effort.clone(),
            prompt: prompt::prompt(agent, work),
        }
    }

    /// Ends the attempt and everything it started: the agent is told with `session/cancel`, then signalled. Unknown or
    /// ended ones are ignored.
    pub fn cancel(&self, call: CallId, attempt: Attempt) {
        self.attempts.cancel((call, attempt));
    }

    /// Sends the signal to the process group of every agent that is under way.
    pub fn signal_all(&self, signal: Signal) {
        self.attempts.signal_all(signal);
    }

    /// Lets its thread go if no agent is under way.
    pub fn rest(&self) {
        self.attempts.rest();
    }

    /// Ends all attempts and waits until they are gone, a few seconds at most.
    pub fn shutdown(&self) {
        self.attempts.shutdown();
    }
}
