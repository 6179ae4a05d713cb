//! One server through its life: started when it is needed, started once more after it broke, ended with the run.

use crate::call::{self, Call};
use crate::config::{Definition, Endpoint};
use crate::connection::Connection;
use crate::failure;
use crate::handler::Answers;
use crate::limits::Limits;
use crate::listing::{self, Listed, Tools};
use crate::tokens::Tokens;
use loopwright_types::{Code, Failure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A server's tools are others than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The server.
    pub server: String,
    /// Tools that came, by the server's own names.
    pub added: Vec<String>,
    /// Tools that went.
    pub removed: Vec<String>,
    /// Tools that describe themselves otherwise.
    pub changed: Vec<String>,
}

/// Is told of changes, on the background thread: it must not block.
pub(crate) type OnChange = Arc<dyn Fn(&Change) + Send + Sync>;

/// What all servers share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) answers: Option<Arc<dyn Answers>>,
    pub(crate) on_change: Option<OnChange>,
    /// Where tokens are kept.
    pub(crate) tokens: PathBuf,
}

/// One server.
pub(crate) struct Server {
    definition: Definition,
    shared: Arc<Shared>,
    link: tokio::sync::Mutex<Link>,
    list: Mutex<List>,
    challenge: Mutex<Option<String>>,
}

#[derive(Default)]
struct Link {
    connection: Option<Arc<Connection>>,
    /// Starts after it broke, since a call last succeeded.
    restarts: u32,
    was_up: bool,
}

#[derive(Default)]
struct List {
    /// By the server's own names, as the server has them now.
    current: BTreeMap<String, Listed>,
    /// As they were when the run began.
    pinned: BTreeMap<String, Listed>,
    /// Grows with every change.
    generation: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    pub(crate) fn new(definition: Definition, shared: Arc<Shared>) -> Self {
        let (link, list) = Default::default();
        Self { definition, shared, link, list, challenge: Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.definition.name
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.definition
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn answers(&self) -> Option<&Arc<dyn Answers>> {
        self.shared.answers.as_ref()
    }

    /// The stored tokens of a server over HTTP.
    pub(crate) fn tokens(&self) -> Option<Tokens> {
        match &self.definition.endpoint {
            Endpoint::Http { url, .. } => Some(Tokens::new(&self.shared.tokens, self.name(), url)),
            Endpoint::Stdio { .. } => None,
        }
    }

    /// Remembers how the server asked for a login.
    pub(crate) fn challenged(&self, challenge: &str) {
        *lock(&self.challenge) = Some(challenge.to_owned());
        // The login may be done by another process: it should know which scopes were missing.
        if let Some(tokens) = self.tokens() {
            tokens.keep_challenge(Some(challenge));
        }
    }

    /// How the server last asked for a login.
    pub(crate) fn challenge(&self) -> Option<String> {
        let own = lock(&self.challenge).clone();
        own.or_else(|| self.tokens()?.challenge())
    }

    /// The login is done.
    pub(crate) fn satisfied(&self) {
        *lock(&self.challenge) = None;
        if let Some(tokens) = self.tokens() {
            tokens.keep_challenge(None);
        }
    }

    /// Starts it, if it is not up, and lists its tools, which are pinned from then on. Gives what is wrong with single
    /// tools.
    pub(crate) async fn start(self: &Arc<Self>) -> Result<Vec<String>, Failure> {
        let mut link = self.link.lock().await;
        let up = link.connection.as_ref().filter(|it| !it.is_closed());
        let found = match up {
            Some(connection) => listing::tools(self.name(), connection, self.limits()).await?,
            None => {
                let (connection, found) = self.open().await?;
                link.connection = Some(connection);
                link.was_up = true;
                found
            }
        };
        drop(link);
        let mut list = lock(&self.list);
        list.current = by_name(found.tools);
        list.pinned = list.current.clone();
        Ok(found.complaints)
    }

    async fn open(self: &Arc<Self>) -> Result<(Arc<Connection>, Tools), Failure> {
        let connection = Arc::new(Connection::open(self).await?);
        connection.listen(self);
        match listing::tools(self.name(), &connection, self.limits()).await {
            Ok(found) => Ok((connection, found)),
            Err(failure) => {
                connection.close().await;
                Err(failure.not_sent())
            }
        }
    }

    /// The connection, opened once more if it broke.
    pub(crate) async fn connected(self: &Arc<Self>) -> Result<Arc<Connection>, Failure> {
        let mut link = self.link.lock().await;
        if let Some(connection) = link.connection.as_ref().filter(|it| !it.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let is_program = matches!(self.definition.endpoint, Endpoint::Stdio { .. });
        if is_program && link.was_up && link.restarts > 0 {
            let cause = "it broke again after it had been started anew";
            return Err(failure::lost(self.name(), cause)
                .hint("see what the server needs; it is not started a third time")
                .not_sent());
        }
        if let Some(broken) = link.connection.take() {
            broken.close().await;
        }
        link.restarts += u32::from(link.was_up);
        let (connection, found) = self.open().await?;
        link.connection = Some(Arc::clone(&connection));
        link.was_up = true;
        drop(link);
        self.listed(found);
        Ok(connection)
    }

    /// Calls one of its tools.
    pub(crate) async fn call(self: Arc<Self>, mut call: Call) -> Result<Value, Failure> {
        let connection = tokio::select! {
            connected = self.connected() => connected?,
            Ok(()) = &mut call.cancelled => {
                return Err(failure::cancelled(&call.tool).not_sent());
            }
        };
        self.check_pin(&call)?;
        let result = call::run(&self, &connection, call).await;
        let code = result.as_ref().err().map(|failure| failure.code);
        let mut link = self.link.lock().await;
        let is_same = link.connection.as_ref().is_some_and(|it| Arc::ptr_eq(it, &connection));
        match code {
            None | Some(Code::TOOL_FAILED) if is_same => link.restarts = 0,
            // Over HTTP nothing closes by itself: what broke, or has an old token, is opened anew by the next call.
            Some(Code::MCP_LOST | Code::MCP_LOGIN) if is_same => {
                link.connection = None;
                drop(link);
                tokio::spawn(async move { connection.close().await });
            }
            _ => {}
        }
        result
    }

    /// A tool that changed since the run began is not the one that was approved.
    fn check_pin(&self, call: &Call) -> Result<(), Failure> {
        let list = lock(&self.list);
        let (pinned, current) =
            (list.pinned.get(&call.wire_name), list.current.get(&call.wire_name));
        if pinned == current {
            return Ok(());
        }
        let what = if current.is_some() { "describes itself otherwise" } else { "is gone" };
        let (tool, server) = (&call.tool, self.name());
        let message =
            format!("the tool `{tool}` of the MCP server `{server}` {what} since the run began");
        Err(Failure::new(loopwright_types::Reason::Policy, Code::MCP_CHANGED, message)
            .hint("it can be used again in the next run, which sees it as it is now")
            .not_sent())
    }

    /// Lists the tools again, later: this is called while a message is being read.
    pub(crate) fn list_changed(self: &Arc<Self>) {
        let server = Arc::clone(self);
        tokio::spawn(async move {
            let connection = server.link.lock().await.connection.clone();
            let Some(connection) = connection else { return };
            // A list that cannot be had says nothing: the tools stay as they are known.
            if let Ok(found) = listing::tools(server.name(), &connection, server.limits()).await {
                server.listed(found);
            }
        });
    }

    fn listed(&self, found: Tools) {
        let new = by_name(found.tools);
        let mut list = lock(&self.list);
        let old = std::mem::replace(&mut list.current, new);
        let Some(change) = compare(self.name(), &old, &list.current) else { return };
        list.generation += 1;
        drop(list);
        if let Some(on_change) = &self.shared.on_change {
            on_change(&change);
        }
    }

    /// How often its tools changed.
    pub(crate) fn generation(&self) -> u64 {
        lock(&self.list).generation
    }

    /// Takes the tools as they are now for those of the next run, and gives them.
    pub(crate) fn pin(&self) -> Vec<Listed> {
        let mut list = lock(&self.list);
        list.pinned = list.current.clone();
        list.pinned.values().cloned().collect()
    }

    /// Ends the connection; the next call opens a new one.
    pub(crate) async fn close(&self) {
        let mut link = self.link.lock().await;
        let connection = link.connection.take();
        *link = Link::default();
        drop(link);
        if let Some(connection) = connection {
            connection.close().await;
        }
    }

    /// The revision agreed on, while it is up.
    pub(crate) async fn revision(&self) -> Option<String> {
        let link = self.link.lock().await;
        link.connection.as_ref().map(|it| it.revision().as_str().to_owned())
    }

    /// What it says about using it, while it is up.
    pub(crate) async fn instructions(&self) -> Option<String> {
        let link = self.link.lock().await;
        let info = link.connection.as_ref().and_then(|it| it.peer.peer_info());
        info.and_then(|it| it.instructions.clone())
    }
}

fn by_name(tools: Vec<Listed>) -> BTreeMap<String, Listed> {
    tools.into_iter().map(|tool| (tool.name.clone(), tool)).collect()
}

fn compare(
    server: &str,
    old: &BTreeMap<String, Listed>,
    new: &BTreeMap<String, Listed>,
) -> Option<Change> {
    let names = |it: &BTreeMap<String, Listed>| it.keys().cloned().collect::<BTreeSet<_>>();
    let (before, after) = (names(old), names(new));
    let changed = before.intersection(&after).filter(|name| old.get(*name) != new.get(*name));
    let change = Change {
        server: server.to_owned(),
        added: after.difference(&before).cloned().collect(),
        removed: before.difference(&after).cloned().collect(),
        changed: changed.cloned().collect(),
    };
    let is_none = [&change.added, &change.removed, &change.changed].iter().all(|it| it.is_empty());
    (!is_none).then_some(change)
}
