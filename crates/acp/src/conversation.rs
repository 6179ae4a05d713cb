//! What is said to an agent, in order: initialize, log in, a session, its mode and model, the task.

use crate::agent::Permissions;
use crate::failure::Broken;
use crate::permission;
use crate::servers::{McpServer, Reach};
use crate::session::Session;
use agent_client_protocol::schema::ProtocolVersion;
use agent_client_protocol::v1::{ConnectionTo, schema};
use agent_client_protocol::{Agent, Channel, Client, Error, JsonRpcRequest};
use schema::{SessionConfigKind, SessionConfigOptionCategory, SessionConfigSelectOptions};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What one attempt wants of its agent.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) directory: PathBuf,
    pub(crate) permissions: Permissions,
    pub(crate) authentication: Option<String>,
    pub(crate) mode: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) effort: Option<String>,
    pub(crate) prompt: String,
    /// MCP servers that it is given.
    pub(crate) servers: Vec<McpServer>,
    /// What is said before the task is sent.
    pub(crate) notes: Vec<String>,
}

/// Holds the whole conversation; `stop` turns true when somebody wants it to end.
///
/// # Errors
/// When the agent cannot or will not go on.
pub(crate) async fn hold(
    channel: Channel,
    plan: Plan,
    session: Arc<Session>,
    stop: watch::Receiver<bool>,
) -> Result<schema::StopReason, Broken> {
    let (heard, asked) = (Arc::clone(&session), Arc::clone(&session));
    let policy = plan.permissions;
    let result = Client
        .v1()
        .on_receive_notification(
            async move |notification: schema::SessionNotification, _| {
                heard.update(notification.update);
                Ok(())
            },
            agent_client_protocol::on_receive_notification!(),
        )
        .on_receive_request(
            async move |request: schema::RequestPermissionRequest, responder, _| {
                let outcome = permission::answer(policy, &asked, &request);
                responder.respond(schema::RequestPermissionResponse::new(outcome))
            },
            agent_client_protocol::on_receive_request!(),
        )
        .connect_with(channel, async move |agent: ConnectionTo<Agent>| {
            let talk = Talk { agent, plan, session, stop };
            Ok(talk.through().await)
        })
        .await;
    // The connection itself fails only when its streams do.
    result.unwrap_or_else(|error| Err(broken("connection", error)))
}

struct Talk {
    agent: ConnectionTo<Agent>,
    plan: Plan,
    session: Arc<Session>,
    stop: watch::Receiver<bool>,
}

impl Talk {
    async fn through(mut self) -> Result<schema::StopReason, Broken> {
        let mut stop = self.stop.clone();
        let id = tokio::select! {
            id = self.begin() => id?,
            () = wanted(&mut stop) => return Err(Broken::Stopped),
        };
        self.session.prompted();
        let prompt = vec![schema::ContentBlock::Text(schema::TextContent::new(std::mem::take(
            &mut self.plan.prompt,
        )))];
        let request = self.agent.send_request(schema::PromptRequest::new(id.clone(), prompt));
        let mut answer = std::pin::pin!(request.block_task());
        let answer = tokio::select! {
            answer = &mut answer => answer,
            () = wanted(&mut stop) => {
                self.session.cancelled();
                // The turn still ends with an answer, which says what it used.
                let _ = self.agent.send_notification(schema::CancelNotification::new(id));
                answer.await
            }
        };
        let answer = answer.map_err(|error| broken("session/prompt", error))?;
        if let Some(usage) = &answer.usage {
            self.session.set_usage(usage);
        }
        Ok(answer.stop_reason)
    }

    /// Everything before the task.
    async fn begin(&self) -> Result<schema::SessionId, Broken> {
        // No file system and no terminal are offered: the agent has its own, in its own process.
        let hello = schema::InitializeRequest::new(ProtocolVersion::V1)
            .client_info(schema::Implementation::new("loopwright", env!("CARGO_PKG_VERSION")));
        let hello = self.ask("initialize", hello).await?;
        if hello.protocol_version != ProtocolVersion::V1 {
            return Err(Broken::Version(hello.protocol_version.to_string()));
        }
        self.session.set_authentications(hello.auth_methods.iter().map(method_words).collect());
        if let Some(wanted) = &self.plan.authentication {
            let ids: Vec<String> =
                hello.auth_methods.iter().map(|it| it.id().0.to_string()).collect();
            if !ids.contains(wanted) {
                return Err(Broken::NotOffered("authentication", wanted.clone(), ids));
            }
            self.ask("authenticate", schema::AuthenticateRequest::new(wanted.clone())).await?;
        }
        self.plan.notes.iter().for_each(|note| self.session.tell(note));
        let servers = self.servers(&hello.agent_capabilities.mcp_capabilities)?;
        let opened =
            schema::NewSessionRequest::new(self.plan.directory.clone()).mcp_servers(servers);
        let opened = self.ask("session/new", opened).await?;
        self.choose(&opened).await?;
        Ok(opened.session_id)
    }

    /// The MCP servers that it is given. One that it cannot reach is a failure: its definition counts on it.
    fn servers(&self, can: &schema::McpCapabilities) -> Result<Vec<schema::McpServer>, Broken> {
        let servers = self.plan.servers.iter();
        let missed = |it: &&McpServer| matches!(it.reach, Reach::Http { .. }) && !can.http;
        match servers.clone().find(missed) {
            Some(server) => Err(Broken::Server(server.name.clone())),
            None => Ok(servers.map(McpServer::said).collect()),
        }
    }

    /// Mode, model and effort, where they are wanted. A mode may be what keeps an agent from writing, so one that is not
    /// there is a failure; so is a model where there is a choice. Where there is none, the agent's own is told about.
    async fn choose(&self, opened: &schema::NewSessionResponse) -> Result<(), Broken> {
        use SessionConfigOptionCategory::{Mode, Model, ThoughtLevel};
        let options = opened.config_options.as_deref().unwrap_or_default();
        if let Some(wanted) = &self.plan.mode {
            let modes = opened.modes.iter().flat_map(|it| &it.available_modes);
            let modes: Vec<Choice> =
                modes.map(|it| (it.id.0.to_string(), it.name.clone())).collect();
            if let Some(found) = find(&modes, wanted) {
                let request =
                    schema::SetSessionModeRequest::new(opened.session_id.clone(), found.to_owned());
                self.ask("session/set_mode", request).await?;
            } else if !self.configure(opened, options, &Mode, wanted, "mode").await? {
                return Err(not_offered("mode", wanted, &modes));
            }
        }
        for (category, wanted, what) in
            [(Model, &self.plan.model, "model"), (ThoughtLevel, &self.plan.effort, "effort")]
        {
            let Some(wanted) = wanted else { continue };
            if !self.configure(opened, options, &category, wanted, what).await? {
                self.session
                    .tell(&format!("the agent offers no choice of {what}: `{wanted}` is not used"));
            }
        }
        Ok(())
    }

    /// Sets the option of this category; `false` when there is none.
    async fn configure(
        &self,
        opened: &schema::NewSessionResponse,
        options: &[schema::SessionConfigOption],
        category: &SessionConfigOptionCategory,
        wanted: &str,
        what: &'static str,
    ) -> Result<bool, Broken> {
        for option in options.iter().filter(|it| it.category.as_ref() == Some(category)) {
            let SessionConfigKind::Select(select) = &option.kind else { continue };
            let choices = choices(&select.options);
            let found =
                find(&choices, wanted).ok_or_else(|| not_offered(what, wanted, &choices))?;
            let request = schema::SetSessionConfigOptionRequest::new(
                opened.session_id.clone(),
                option.id.clone(),
                schema::SessionConfigOptionValue::value_id(found.to_owned()),
            );
            self.ask("session/set_config_option", request).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn ask<R: JsonRpcRequest>(
        &self,
        method: &'static str,
        request: R,
    ) -> Result<R::Response, Broken>
    where
        R::Response: Send,
    {
        self.agent.send_request(request).block_task().await.map_err(|error| broken(method, error))
    }
}

/// Waits until somebody wants the conversation to end.
async fn wanted(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// An id and a name for people.
type Choice = (String, String);

fn choices(options: &SessionConfigSelectOptions) -> Vec<Choice> {
    let choice = |it: &schema::SessionConfigSelectOption| (it.value.0.to_string(), it.name.clone());
    match options {
        SessionConfigSelectOptions::Ungrouped(options) => options.iter().map(choice).collect(),
        SessionConfigSelectOptions::Grouped(groups) => {
            groups.iter().flat_map(|group| &group.options).map(choice).collect()
        }
        _ => Vec::new(),
    }
}

/// By id, else by name in any case.
fn find<'a>(choices: &'a [Choice], wanted: &str) -> Option<&'a str> {
    let by_id = choices.iter().find(|(id, _)| id == wanted);
    let by_name = || choices.iter().find(|(_, name)| name.eq_ignore_ascii_case(wanted));
    by_id.or_else(by_name).map(|(id, _)| id.as_str())
}

fn not_offered(what: &'static str, wanted: &str, choices: &[Choice]) -> Broken {
    Broken::NotOffered(what, wanted.to_owned(), choices.iter().map(|(id, _)| id.clone()).collect())
}

fn method_words(method: &schema::AuthMethod) -> String {
    let shown = |text: &str| loopwright_processes::shown(text, 60);
    format!("`{}` ({})", shown(&method.id().0), shown(method.name()))
}

fn broken(method: &'static str, error: Error) -> Broken {
    let is_gone = agent_client_protocol::is_incoming_transport_closed(&error)
        || agent_client_protocol::is_connection_terminated(&error);
    if is_gone { Broken::Gone } else { Broken::Refused(method, error) }
}
