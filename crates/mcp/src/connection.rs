//! A server that is up: how it came up, and how it ends.

use crate::config::Endpoint;
use crate::failure;
use crate::handler::{Handler, Inbox};
use crate::http;
use crate::probe::Probe;
use crate::process::Process;
use crate::server::Server;
use crate::stdio::{Complaint, Stdio};
use loopwright_types::Failure;
use rmcp::RoleClient;
use rmcp::model::{ProtocolVersion, SubscriptionFilter};
use rmcp::service::{
    ClientInitializeError, ClientLifecycleMode, ClientServiceExt, Peer, RunningService,
};
use rmcp::transport::Transport;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take to end; after that its process is killed with the last handle.
const END: Duration = Duration::from_secs(4);

/// One live connection.
pub(crate) struct Connection {
    pub(crate) peer: Peer<RoleClient>,
    pub(crate) inbox: Arc<Inbox>,
    service: tokio::sync::Mutex<Option<RunningService<RoleClient, Handler>>>,
    process: Option<Arc<Process>>,
    complaint: Complaint,
}

/// What is kept of an attempt to start while it goes on, for the message if it takes too long.
#[derive(Clone, Default)]
struct Traces {
    process: Arc<Mutex<Option<Arc<Process>>>>,
    complaint: Complaint,
}

impl Traces {
    fn process(&self) -> Option<Arc<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the server did wrong so far, as the end of a message.
    fn said(&self) -> String {
        let complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take();
        let complaint = complaint.map(|it| format!("; {it}")).unwrap_or_default();
        let process = self.process().map(|it| it.said()).unwrap_or_default();
        format!("{complaint}{process}")
    }
}

/// How a connection is begun.
#[derive(Clone, Copy)]
enum Way {
    /// By asking which revisions the server speaks, waiting so long for an answer; then by the older handshake.
    Either(Duration),
    /// By the older handshake.
    Older,
}

impl Way {
    fn mode(self) -> ClientLifecycleMode {
        match self {
            Self::Either(_) => ClientLifecycleMode::Auto {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
                legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
            },
            Self::Older => ClientLifecycleMode::Initialize,
        }
    }
}

/// Why a start failed.
struct NotUp {
    failure: Failure,
    /// No other way can do better.
    is_final: bool,
    /// The server did not say in time what it speaks.
    gave_up: bool,
}

impl Connection {
    /// Starts or reaches the server and agrees on a revision with it.
    pub(crate) async fn open(server: &Arc<Server>) -> Result<Self, Failure> {
        let limits = server.limits();
        let traces = Traces::default();
        let opened = timeout(limits.connect_timeout, Self::open_any(server, &traces)).await;
        opened.unwrap_or_else(|_| {
            let millis = limits.connect_timeout.as_millis();
            let cause = format!("it did not answer within {millis} ms{}", traces.said());
            let hint = "raise the setting `mcp.connect_timeout_ms` if it needs more time";
            Err(failure::not_started(server.name(), &cause).hint(hint))
        })
    }

    /// First the newer revision, with the older one on the same connection where the server says so or is silent. Then,
    /// on a fresh connection, the same with patience where the server was only slow; then the older one alone, for
    /// servers that end when they read a message that they do not know.
    async fn open_any(server: &Arc<Server>, traces: &Traces) -> Result<Self, Failure> {
        let limits = server.limits();
        let mut way = Way::Either(limits.probe_timeout);
        loop {
            let not_up = match Self::attempt(server, traces, way).await {
                Ok(connection) => return Ok(connection),
                Err(not_up) => not_up,
            };
            way = match way {
                _ if not_up.is_final => return Err(not_up.failure),
                Way::Either(_) if not_up.gave_up => Way::Either(limits.connect_timeout),
                Way::Either(_) => Way::Older,
                Way::Older => return Err(not_up.failure),
            };
        }
    }

    async fn attempt(server: &Arc<Server>, traces: &Traces, way: Way) -> Result<Self, NotUp> {
        let gave_up = Arc::new(AtomicBool::new(false));
        let limits = server.limits();
        let definition = server.definition();
        let wait = match way {
            Way::Either(wait) => wait,
            Way::Older => limits.connect_timeout,
        };
        let failed = |failure| NotUp { failure, is_final: true, gave_up: false };
        match &definition.endpoint {
            Endpoint::Stdio { command, cwd, .. } => {
                let started = Process::start(&definition.endpoint, limits);
                let (process, pipes) = started.map_err(|error| {
                    let cause = match error.kind() {
                        _ if !cwd.is_dir() => format!("there is no directory `{}`", cwd.display()),
                        std::io::ErrorKind::NotFound => format!("there is no program `{command}`"),
                        _ => format!("`{command}` cannot be run: {error}"),
                    };
                    let hint = "`command` is one program; arguments go to `args`";
                    failed(failure::not_started(server.name(), &cause).hint(hint))
                })?;
                let kept = Some(Arc::clone(&process));
                *traces.process.lock().unwrap_or_else(PoisonError::into_inner) = kept;
                let complaint = Arc::clone(&traces.complaint);
                let stdio = Stdio::new(pipes, process, limits.message_bytes_max, complaint);
                let probe = Probe::new(stdio, wait, Arc::clone(&gave_up));
                Self::serve(server, traces, probe, way, &gave_up).await
            }
            Endpoint::Http { url, headers } => {
                if http::has_credentials(headers) {
                    let transport = http::plain(url, headers, limits)
                        .map_err(|cause| failed(failure::not_started(server.name(), &cause)))?;
                    let probe = Probe::new(transport, wait, Arc::clone(&gave_up));
                    return Self::serve(server, traces, probe, way, &gave_up).await;
                }
                let transport = http::authorised(server, url, headers).await.map_err(failed)?;
                let probe = Probe::new(transport, wait, Arc::clone(&gave_up));
                Self::serve(server, traces, probe, way, &gave_up).await
            }
        }
    }

    async fn serve<T: Transport<RoleClient> + 'static>(
        server: &Arc<Server>,
        traces: &Traces,
        transport: T,
        way: Way,
        gave_up: &AtomicBool,
    ) -> Result<Self, NotUp> {
        let inbox = Arc::new(Inbox::default());
        let handler = Handler {
            server: Arc::downgrade(server),
            inbox: Arc::clone(&inbox),
            answers: server.answers().cloned(),
        };
        match handler.serve_with_lifecycle(transport, way.mode()).await {
            Ok(service) => Ok(Self {
                peer: service.peer().clone(),
                inbox,
                service: tokio::sync::Mutex::new(Some(service)),
                process: traces.process(),
                complaint: Arc::clone(&traces.complaint),
            }),
            Err(error) => {
                let failure = Self::not_up(server, traces, &error).await;
                let is_final = failure::is_refused(&error);
                Err(NotUp { failure, is_final, gave_up: gave_up.load(Ordering::Relaxed) })
            }
        }
    }

    async fn not_up(server: &Server, traces: &Traces, error: &ClientInitializeError) -> Failure {
        if let Some(challenge) = error.auth_challenge() {
            server.challenged(challenge);
        }
        if failure::is_refused(error) {
            return failure::login(server.name(), "it refused the first request without one");
        }
        let mut cause = failure::of_start(error);
        if matches!(error, ClientInitializeError::ConnectionClosed(_))
            && let Some(process) = traces.process()
        {
            cause = process.last_words().await;
        }
        let complaint = traces.complaint.lock().unwrap_or_else(PoisonError::into_inner).take();
        let complaint = complaint.map(|it| format!("; {it}")).unwrap_or_default();
        failure::not_started(server.name(), &format!("{cause}{complaint}"))
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.peer.is_transport_closed()
    }

    /// The revision agreed on.
    pub(crate) fn revision(&self) -> ProtocolVersion {
        self.peer.peer_info().map(|it| it.protocol_version.clone()).unwrap_or_default()
    }

    /// How a process ended that is gone, or what it did wrong; none for a server over HTTP.
    pub(crate) async fn last_words(&self) -> Option<String> {
        let complaint = self.complained();
        let process = match &self.process {
            Some(process) => Some(process.last_words().await),
            None => None,
        };
        match (complaint, process) {
            (Some(complaint), Some(process)) => Some(format!("{complaint}; {process}")),
            (complaint, process) => complaint.or(process),
        }
    }

    /// What the server did wrong since this was last asked.
    pub(crate) fn complained(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Follows changes of the tool list where the revision has them on a stream of their own.
    pub(crate) fn listen(&self, server: &Arc<Server>) {
        let info = self.peer.peer_info();
        let tells = info.is_some_and(|it| {
            let tools = it.capabilities.tools.as_ref();
            tools.is_some_and(|tools| tools.list_changed == Some(true))
        });
        if !tells || self.revision().has_initialize() {
            return;
        }
        let (peer, server) = (self.peer.clone(), Arc::downgrade(server));
        tokio::spawn(async move {
            let filter = SubscriptionFilter::builder().tools_list_changed().build();
            // A server that promises this and refuses it costs nothing but news.
            let Ok(mut subscription) = peer.listen(filter).await else { return };
            while let Ok(Some(_)) = subscription.next().await {
                let Some(server) = server.upgrade() else { return };
                server.list_changed();
            }
        });
    }

    /// Ends it in order, a few seconds at most.
    pub(crate) async fn close(&self) {
        if let Some(mut service) = self.service.lock().await.take() {
            // What does not end in time ends with the last handle.
            let _ = service.close_with_timeout(END).await;
        }
    }
}
