//! What went wrong with an agent, in words an author can act on.

use crate::agent::Agent;
use crate::session::Session;
use agent_client_protocol::v1::schema::StopReason;
use agent_client_protocol::{Error, ErrorCode};
use loopwright_processes::shown;
use loopwright_types::{Code, Failure, FailureClass, Reason};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Characters of an agent's own words in a message.
const SHOWN_MAX: usize = 500;
const VERSION_HINT: &str =
    "use a version of the agent that speaks version 1 of the Agent Client Protocol";

/// How a conversation can break.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The agent closed its output, or ended.
    Gone,
    /// A request was answered with an error.
    Refused(&'static str, Error),
    /// It speaks another version of the protocol.
    Version(String),
    /// It wrote a line that is no message.
    NoProtocol(String),
    /// It wrote more than this setting allows.
    Flood(&'static str, u64),
    /// Its final message is over the limit.
    TooLarge(usize),
    /// It was not ready in time.
    NotReady(Duration),
    /// It does not offer what was asked for: what, which, and what there is.
    NotOffered(&'static str, String, Vec<String>),
    /// It cannot reach this MCP server.
    Server(String),
    /// Somebody wants it to end before the task was sent.
    Stopped,
}

/// What is known when an attempt has broken.
pub(crate) struct Known<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) session: &'a Session,
    pub(crate) status: Option<ExitStatus>,
    pub(crate) stderr: String,
    pub(crate) answer_bytes_max: usize,
}

/// The agent by its name, as messages begin.
pub(crate) fn who(agent: &Agent) -> String {
    format!("agent `{}`", shown(&agent.name, 100))
}

impl Known<'_> {
    /// The failure of a conversation that broke.
    pub(crate) fn failure(&self, broken: Broken) -> Failure {
        let failure = match broken {
            Broken::Gone | Broken::Stopped => self.gone(),
            Broken::Refused(method, error) => self.refused(method, &error),
            Broken::Version(version) => self
                .provider(Code::AGENT_PROTOCOL, &format!("speaks protocol version {version}, and this client 1"))
                .hint(VERSION_HINT),
            Broken::NoProtocol(line) => self
                .provider(Code::AGENT_PROTOCOL, &format!("wrote a line that is no message of the protocol: `{line}`"))
                .hint("start it in its ACP mode; only messages may go to its standard output, logs belong to standard error"),
            Broken::Flood(setting, limit) => self
                .provider(Code::AGENT_PROTOCOL, &format!("wrote more than `{setting}` allows ({limit} bytes)"))
                .hint(format!("raise `{setting}` if that much is right")),
            Broken::TooLarge(bytes) => {
                let limit = self.answer_bytes_max;
                self.provider(Code::ANSWER_TOO_LARGE, &format!("answered {bytes} bytes or more (limit {limit})"))
                    .hint("ask for a file and its path instead, or raise `task.answer_bytes_max`")
            }
            Broken::NotReady(limit) => {
                let what = format!("was not ready within `{}` ms{}", limit.as_millis(), self.heard());
                self.provider(Code::AGENT_NOT_READY, &what)
                    .hint("start it in its ACP mode, and install it first rather than with each start; or raise `acp.start_ms`")
                    .retryable()
            }
            Broken::Server(name) => {
                let name = shown(&name, 100);
                let what = format!("cannot reach the MCP server `{name}`: it takes only servers that are programs");
                self.provider(Code::AGENT_SERVER, &what)
                    .hint("take the server out of `tools`, or configure it in the agent itself")
            }
            Broken::NotOffered(what, wanted, offered) => {
                let list = offered.iter().take(20).map(|it| format!("`{}`", shown(it, 60)));
                let hint = match offered.is_empty() {
                    true => format!("it offers no choice of {what}: leave it out"),
                    false => format!("it offers {}", list.collect::<Vec<_>>().join(", ")),
                };
                let wanted = shown(&wanted, 100);
                self.provider(Code::AGENT_OPTION, &format!("does not offer the {what} `{wanted}`")).hint(hint)
            }
        };
        if self.session.is_prompted() { failure } else { failure.not_sent() }
    }

    /// The failure of a turn that ended without an answer.
    pub(crate) fn unanswered(&self, stop: StopReason) -> Failure {
        let fails = |what: &str| self.provider(Code::AGENT_NO_ANSWER, what);
        match stop {
            StopReason::EndTurn => fails("ended its turn without a message").retryable(),
            StopReason::MaxTokens => fails("was cut off by its token limit (`max_tokens`)")
                .class(FailureClass::Switch)
                .hint("split the task, or use a model with a larger limit"),
            StopReason::MaxTurnRequests => {
                fails("reached its limit of model requests (`max_turn_requests`)")
                    .class(FailureClass::Switch)
                    .hint("split the task, or raise the limit in the agent's own settings")
            }
            StopReason::Refusal => {
                fails("refused to go on (`refusal`)").class(FailureClass::Switch)
            }
            StopReason::Cancelled => {
                fails("cancelled its turn by itself (`cancelled`)").retryable()
            }
            _ => fails("stopped for a reason that is not known"),
        }
    }

    fn provider(&self, code: Code, what: &str) -> Failure {
        Failure::new(Reason::Provider, code, format!("{} {what}", who(self.agent)))
    }

    /// It ended, or closed its output, while something was asked of it.
    fn gone(&self) -> Failure {
        let (how, may_pass) = match self.status.map(|status| (status.signal(), status.code())) {
            Some((Some(signal), _)) => (format!("was ended by signal {signal}"), true),
            Some((None, code)) => {
                let code = code.unwrap_or_default();
                (format!("ended with exit status {code}"), may_pass(code))
            }
            None => ("closed its standard output".to_owned(), true),
        };
        let is_prompted = self.session.is_prompted();
        let (code, when) = match is_prompted {
            true => (Code::AGENT_FAILED, "before it answered"),
            false => (Code::AGENT_NOT_READY, "before the session began"),
        };
        let mut failure = self.provider(code, &format!("{how} {when}{}", self.heard()));
        failure.retryable = may_pass;
        if is_prompted {
            failure
        } else {
            failure.hint("run its command by hand: many agents speak the protocol only with an option such as `--acp`")
        }
    }

    fn refused(&self, method: &str, error: &Error) -> Failure {
        let data = match &error.data {
            Some(serde_json::Value::String(text)) => format!(": {text}"),
            Some(data) => format!(": {data}"),
            None => String::new(),
        };
        let said = shown(&format!("{}{data}", error.message), SHOWN_MAX);
        if error.code == ErrorCode::AUTH_REQUIRED {
            let methods = self.session.authentications();
            let hint = match methods.is_empty() {
                true => {
                    "log in with the agent's own command, or pass its key with `env`".to_owned()
                }
                false => format!(
                    "it offers {}: log in with the agent's own command, pass its key with `env`, or set `authentication` in the definition",
                    methods.join(", ")
                ),
            };
            return self
                .provider(Code::AGENT_LOGIN, &format!("wants to be logged in: {said}"))
                .hint(hint);
        }
        // What is wrong with the request is wrong the next time too.
        let may_pass = ![
            ErrorCode::INVALID_PARAMS,
            ErrorCode::INVALID_REQUEST,
            ErrorCode::METHOD_NOT_FOUND,
            ErrorCode::PARSE_ERROR,
        ]
        .contains(&error.code);
        let code = match (self.session.is_prompted(), method) {
            (true, _) => Code::AGENT_FAILED,
            // Who cannot even greet speaks something else, often another version.
            (false, "initialize") if !may_pass => Code::AGENT_PROTOCOL,
            (false, _) => Code::AGENT_NOT_READY,
        };
        let what = format!("answered `{method}` with an error: {said}{}", self.stderr());
        let mut failure = self.provider(code, &what);
        failure.retryable = may_pass;
        match code {
            Code::AGENT_PROTOCOL => failure.hint(VERSION_HINT),
            _ => failure,
        }
    }

    /// What else it wrote: a stray line of output, and the end of standard error.
    fn heard(&self) -> String {
        let stray = self.session.first_stray();
        let stray = if stray.is_empty() { stray } else { format!("; it wrote `{stray}`") };
        format!("{stray}{}", self.stderr())
    }

    fn stderr(&self) -> String {
        match self.stderr.as_str() {
            "" => String::new(),
            stderr => format!("; standard error ends `{stderr}`"),
        }
    }
}

/// Whether an exit status may be different next time. The numbers of `sysexits.h` say that the request or the setup
/// is wrong, but for 75; a shell uses 126 and 127 for a command that is not there; and who ends in order without
/// having been asked anything is no agent.
fn may_pass(code: i32) -> bool {
    code == 75 || !matches!(code, 0 | 64..=78 | 126 | 127)
}
