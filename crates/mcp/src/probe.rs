//! The short wait for an answer to `server/discover`. Servers of the older revisions answer it with an error, or not at
//! all; the library waits ten seconds for the latter.

use rmcp::RoleClient;
use rmcp::model::{
    ClientJsonRpcMessage, ClientRequest, ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage,
};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A transport that answers `server/discover` itself, with an error, when the server takes too long.
pub(crate) struct Probe<T> {
    inner: T,
    wait: Duration,
    asked: Option<(RequestId, Instant)>,
    /// The question that was answered for the server: its own answer comes too late.
    late: Option<RequestId>,
    gave_up: Arc<AtomicBool>,
}

impl<T> Probe<T> {
    /// `gave_up` is set when the server took too long.
    pub(crate) fn new(inner: T, wait: Duration, gave_up: Arc<AtomicBool>) -> Self {
        Self { inner, wait, asked: None, late: None, gave_up }
    }
}

impl<T: Transport<RoleClient>> Transport<RoleClient> for Probe<T> {
    type Error = T::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), T::Error>> + Send + 'static {
        if let ClientJsonRpcMessage::Request(request) = &item
            && matches!(request.request, ClientRequest::DiscoverRequest(_))
        {
            self.asked = Some((request.id.clone(), Instant::now() + self.wait));
        }
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            let Some((id, until)) = self.asked.clone() else {
                let message = self.inner.receive().await?;
                if self.late.is_some() && answers(&message) == self.late.as_ref() {
                    self.late = None;
                    continue;
                }
                return Some(message);
            };
            let Ok(message) = timeout_at(until, self.inner.receive()).await else {
                self.asked = None;
                self.late = Some(id.clone());
                self.gave_up.store(true, Ordering::Relaxed);
                let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "no answer", None);
                return Some(ServerJsonRpcMessage::error(error, Some(id)));
            };
            let message = message?;
            if matches!(message, ServerJsonRpcMessage::Response(_) | ServerJsonRpcMessage::Error(_))
            {
                self.asked = None;
            }
            return Some(message);
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), T::Error>> + Send {
        self.inner.close()
    }
}

fn answers(message: &ServerJsonRpcMessage) -> Option<&RequestId> {
    match message {
        ServerJsonRpcMessage::Response(response) => Some(&response.id),
        ServerJsonRpcMessage::Error(error) => error.id.as_ref(),
        _ => None,
    }
}
