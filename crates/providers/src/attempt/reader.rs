//! A reply from its bytes to what its decoder makes of them.

use super::Account;
use super::stream::StreamError;
use crate::failure::WireError;
use crate::sse::{SseEvent, SseReader};
use std::collections::VecDeque;

/// Bytes and events of a reply that its decoder has not taken yet.
#[derive(Default)]
pub(super) struct Reader {
    bytes: SseReader,
    events: VecDeque<SseEvent>,
}

impl Reader {
    /// Takes a piece of the reply; `true` after the terminal event.
    pub(super) fn take(&mut self, bytes: &[u8], account: &Account) -> Result<bool, StreamError> {
        let mut events = Vec::new();
        let fed = self.bytes.feed(bytes, &mut events);
        self.events.extend(events);
        while let Some(event) = self.events.pop_front() {
            let read = account.read(|decoder| decoder.event(&event));
            if read.unwrap_or(Err(WireError::Cut)).map_err(StreamError::Wire)? {
                return Ok(true);
            }
        }
        let what = "it holds a line that is no part of an event stream";
        fed.map_err(|_| WireError::Malformed(what.to_owned()))?;
        Ok(false)
    }

    /// The body ended as HTTP says it should: what no event has taken in was cut.
    pub(super) fn end(&self, account: &Account) -> Result<(), WireError> {
        let is_inside = self.bytes.is_inside();
        let end =
            account.read(|decoder| if is_inside { Err(WireError::Cut) } else { decoder.end() });
        end.unwrap_or(Err(WireError::Cut))
    }

    /// The reply is spoilt; what else comes of it is read for its tokens alone. `true` when they have come already.
    pub(super) fn recover(&mut self, account: &Account) -> bool {
        account.read(crate::wire::Decoder::recover);
        let mut events = Vec::new();
        self.bytes.recover(&mut events);
        self.events.extend(events);
        self.take_rest(&[], account)
    }

    /// Takes a piece of a spoilt reply; `true` when no more is to come that tells tokens.
    pub(super) fn take_rest(&mut self, bytes: &[u8], account: &Account) -> bool {
        let mut events = Vec::new();
        self.bytes.feed(bytes, &mut events).ok();
        self.events.extend(events);
        let mut is_over = false;
        while let Some(event) = self.events.pop_front() {
            let read = account.read(|decoder| decoder.event(&event));
            is_over |= !matches!(read, Some(Ok(false) | Err(WireError::Malformed(_))));
        }
        is_over
    }
}
