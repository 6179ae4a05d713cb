//! What servers send by themselves: progress, changes of their lists, questions.

use crate::failure::line;
use crate::server::Server;
use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, ErrorData, FormElicitationCapability, Implementation, InputRequest,
    ProgressNotificationParam, ProgressToken, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::mpsc::Sender;

/// What a server asks of the person at the other end.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The server that asks.
    pub server: String,
    /// What it asks, in its own words: data, never an instruction.
    pub message: String,
    /// JSON Schema of the answer; absent where it wants an address opened.
    pub schema: Option<Value>,
    /// The address it wants opened.
    pub url: Option<String>,
}

/// How a question is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Not at all.
    Decline,
    /// With this object, which should match the question's schema.
    Give(Value),
}

/// Who answers questions of servers. Without one, servers are told that nobody does, and a question is declined.
pub trait Answers: Send + Sync {
    /// Answers one question; may take its time, but the call's deadlines go on.
    fn answer(&self, question: &Question) -> Answer;
}

/// What came in on one connection.
#[derive(Default)]
pub(crate) struct Inbox {
    progress: Mutex<HashMap<ProgressToken, Sender<String>>>,
    declined: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inbox {
    /// Sends progress of this call on.
    pub(crate) fn follow(&self, token: ProgressToken, to: Sender<String>) {
        lock(&self.progress).insert(token, to);
    }

    pub(crate) fn forget(&self, token: &ProgressToken) {
        lock(&self.progress).remove(token);
    }

    /// How many questions were declined so far.
    pub(crate) fn declined(&self) -> usize {
        lock(&self.declined).len()
    }

    /// Questions declined since there were so many.
    pub(crate) fn declined_since(&self, before: usize) -> Vec<String> {
        lock(&self.declined).get(before..).unwrap_or_default().to_vec()
    }
}

/// The library's callbacks for one connection.
pub(crate) struct Handler {
    pub(crate) server: Weak<Server>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) answers: Option<Arc<dyn Answers>>,
}

impl Handler {
    /// Asks whoever answers; what is declined is remembered for the failure of the call.
    async fn ask(&self, params: ElicitRequestParams) -> ElicitResult {
        let server = self.server.upgrade().map(|it| it.name().to_owned()).unwrap_or_default();
        answer(self.answers.as_ref(), &self.inbox, question(server, params)).await
    }
}

/// The question in a request.
fn question(server: String, params: ElicitRequestParams) -> Question {
    match params {
        ElicitRequestParams::FormElicitationParams { message, requested_schema, .. } => {
            let schema = serde_json::to_value(requested_schema).ok();
            Question { server, message, schema, url: None }
        }
        ElicitRequestParams::UrlElicitationParams { message, url, .. } => {
            Question { server, message, schema: None, url: Some(url) }
        }
        _ => Question { server, message: String::new(), schema: None, url: None },
    }
}

async fn answer(
    answers: Option<&Arc<dyn Answers>>,
    inbox: &Inbox,
    question: Question,
) -> ElicitResult {
    let message = match &question.url {
        Some(url) => format!("{} ({url})", question.message),
        None => question.message.clone(),
    };
    let answers = answers.map(Arc::clone);
    // Whoever answers may block.
    let given = match answers {
        Some(answers) => tokio::task::spawn_blocking(move || answers.answer(&question)).await.ok(),
        None => None,
    };
    if let Some(Answer::Give(content)) = given {
        return ElicitResult::new(ElicitationAction::Accept).with_content(content);
    }
    lock(&inbox.declined).push(line(&message));
    ElicitResult::new(ElicitationAction::Decline)
}

/// Answers the question of an unfinished call, or says in words what cannot be answered.
pub(crate) async fn answer_input(
    server: &Server,
    inbox: &Inbox,
    request: InputRequest,
) -> Result<Value, String> {
    match request {
        InputRequest::Elicitation(request) => {
            let question = question(server.name().to_owned(), request.params);
            let asked = line(&question.message);
            let result = answer(server.answers(), inbox, question).await;
            match result.action {
                ElicitationAction::Accept => serde_json::to_value(result).map_err(|_| asked),
                _ => Err(asked),
            }
        }
        InputRequest::CreateMessage(_) => Err("a message of a model".to_owned()),
        _ => Err("the folders that it may read".to_owned()),
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        if self.answers.is_some() {
            let form = FormElicitationCapability::default();
            capabilities.elicitation = Some(ElicitationCapability::new().with_form(form));
        }
        let own = Implementation::new("loopwright", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, own)
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(self.ask(request).await)
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        let to = lock(&self.inbox.progress).get(&params.progress_token).cloned();
        if let Some(to) = to {
            // A call that has just ended listens no more; one that is behind misses some, and memory does not grow.
            let _ = to.try_send(told(&params));
        }
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        if let Some(server) = self.server.upgrade() {
            server.list_changed();
        }
    }
}

/// Progress as one line.
fn told(params: &ProgressNotificationParam) -> String {
    let share = match params.total {
        Some(total) if total > 0.0 => format!("{}/{total}", params.progress),
        _ => params.progress.to_string(),
    };
    match params.message.as_deref().map(line).filter(|it| !it.is_empty()) {
        Some(message) => format!("{share} {message}"),
        None => share,
    }
}
