//! The body of a reply: piece by piece, each with its deadline, all of them bounded.

use super::{Bounds, deadline, transport};
use crate::failure::WireError;
use loopwright_types::{Code, Failure, FailureClass, Reason};
use reqwest::Response;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long and how much is read after the terminal event, so that the connection can be used again.
const DRAIN: (Duration, usize) = (Duration::from_secs(1), 64 * 1024);

/// Why no more is read.
pub(super) enum StreamError {
    Wire(WireError),
    Failed(Box<Failure>),
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
        Self { response, read: 0, deadline: first, bounds, shown }
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
            let limit = bounds.reply_bytes_max;
            let message = format!("the reply of {} is larger than {limit} bytes", self.shown);
            let failure = Failure::new(Reason::Provider, Code::REPLY_TOO_LARGE, message);
            let hint = "ask for less, or raise `provider.reply_bytes_max`";
            return Err(failed(failure.class(FailureClass::Switch).hint(hint)));
        }
        Ok(chunk.map(|it| it.to_vec()))
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
