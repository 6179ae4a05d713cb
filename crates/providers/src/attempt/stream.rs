//! The body of a reply: piece by piece, each with its deadline, all of them bounded.

use super::{Bounds, deadline, transport};
use crate::failure::WireError;
use loopwright_types::{Code, Failure, FailureClass, Reason};
use reqwest::Response;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much is read of a reply that is spoilt, after it was found to be, for the tokens that it tells at its end.
const REST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long and how much is read after the terminal event, so that the connection can be used again.
const DRAIN: (Duration, usize) = (Duration::from_secs(1), 64 * 1024);

/// Why no more is read.
pub(super) enum StreamError {
    Wire(WireError),
    Failed(Box<Failure>),
}

impl StreamError {
    /// Whether it is the reply that is wrong and not its delivery: the provider may go on with it, and tell its tokens.
    pub(super) fn is_spoilt(&self) -> bool {
        match self {
            Self::Wire(error) => matches!(error, WireError::Malformed(_)),
            Self::Failed(failure) => failure.code == Code::REPLY_TOO_LARGE,
        }
    }
}

impl From<WireError> for StreamError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// The body of a reply, with its deadlines and its bound.
pub(super) struct Stream<'a> {
    response: Response,
    read: u64,
    /// The piece with which it became too large.
    surplus: Option<Vec<u8>>,
    /// For the first piece.
    deadline: Instant,
    bounds: &'a Bounds,
    shown: &'a str,
}

impl<'a> Stream<'a> {
    /// `first` is the deadline of the first piece.
    pub(super) fn new(
        response: Response,
        first: Instant,
        bounds: &'a Bounds,
        shown: &'a str,
    ) -> Self {
        Self { response, read: 0, surplus: None, deadline: first, bounds, shown }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self, is_first: bool) -> Result<Option<Vec<u8>>, StreamError> {
        let bounds = self.bounds;
        let until = if is_first { self.deadline } else { Instant::now() + bounds.idle };
        let failed = |failure: Failure| StreamError::Failed(Box::new(failure));
        let Ok(chunk) = timeout_at(until, self.response.chunk()).await else {
            let (what, limit, name) = match is_first {
                true => (
                    "did not begin its reply within",
                    bounds.first_byte,
                    "`provider.first_byte_ms`",
                ),
                false => ("sent nothing more of its reply for", bounds.idle, "`provider.idle_ms`"),
            };
            return Err(failed(deadline(self.shown, what, limit, name)));
        };
        let chunk = chunk.map_err(|error| failed(transport::of_body(&error, self.shown)))?;
        self.read += chunk.as_ref().map_or(0, |it| it.len() as u64);
        if self.read > bounds.reply_bytes_max {
            self.surplus = chunk.map(|it| it.to_vec());
            let limit = bounds.reply_bytes_max;
            let message = format!("the reply of {} is larger than {limit} bytes", self.shown);
            let failure = Failure::new(Reason::Provider, Code::REPLY_TOO_LARGE, message);
            let hint = "ask for less, or raise `provider.reply_bytes_max`";
            return Err(failed(failure.class(FailureClass::Switch).hint(hint)));
        }
        Ok(chunk.map(|it| it.to_vec()))
    }

    /// Reads on in a reply that is spoilt, until `take` has seen what it wants, the reply ends or a bound is reached. A
    /// provider goes on writing, and billing, as long as somebody reads: what takes long costs more than it tells.
    pub(super) async fn rest(&mut self, until: Instant, mut take: impl FnMut(&[u8]) -> bool) {
        let mut left = REST_BYTES_MAX;
        let until = until.min(Instant::now() + self.bounds.read_on);
        if self.surplus.take().is_some_and(|bytes| take(&bytes)) {
            return;
        }
        // What is there already would be taken after its time, too.
        while left > 0 && Instant::now() < until {
            let idle = until.min(Instant::now() + self.bounds.idle);
            let Ok(Ok(Some(bytes))) = timeout_at(idle, self.response.chunk()).await else { return };
            left = left.saturating_sub(bytes.len());
            if take(&bytes) {
                return;
            }
        }
    }

    /// Reads what is left after the terminal event, without keeping anybody waiting.
    pub(super) fn drain(mut self) {
        let (time, mut left) = DRAIN;
        tokio::spawn(tokio::time::timeout(time, async move {
            while let Ok(Some(bytes)) = self.response.chunk().await {
                left = left.saturating_sub(bytes.len());
                if left == 0 {
                    break;
                }
            }
        }));
    }
}
