//! Replies as each wire has them, streamed and whole.

mod anthropic;
mod chat;
mod gemini;
mod responses;

use crate::event::Event;
use crate::{Part, Reply, Request, Usage, Wire, tokens};

/// What a reply tells about its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Telling {
    #[default]
    Truth,
    Zeros,
    Nothing,
}

/// A reply on its way out.
pub(crate) struct Turn<'a> {
    pub request: &'a Request,
    pub reply: &'a Reply,
    /// The usage of the whole reply.
    pub usage: Usage,
    pub telling: Telling,
    /// Whether a finish reason is given.
    pub finish: bool,
    pub piece_bytes: usize,
    pub ascii: bool,
}

impl Turn<'_> {
    /// The usage after `sent` bytes of output, as far as it is told.
    fn told_after(&self, sent: usize) -> Option<Usage> {
        let output = tokens(sent);
        let thinking = self.usage.thinking.min(output);
        self.told(Usage { output, thinking, ..self.usage })
    }

    fn told(&self, usage: Usage) -> Option<Usage> {
        match self.telling {
            Telling::Truth => Some(usage),
            Telling::Zeros => Some(Usage::default()),
            Telling::Nothing => None,
        }
    }

    /// An id that no other request of the server has.
    fn id(&self, prefix: &str) -> String {
        format!("{prefix}{:08}", self.request.number)
    }

    /// The id of a call: its own, or one that no other call has.
    fn call_id(&self, part: &Part, index: usize, prefix: &str) -> String {
        match part {
            Part::Call { id: Some(id), .. } => id.clone(),
            _ => format!("{}x{index}", self.id(prefix)),
        }
    }
}

/// The events of a streamed reply; exactly one is terminal if the turn has a finish reason.
pub(crate) fn stream(turn: &Turn<'_>) -> Vec<Event> {
    let events = match turn.request.wire {
        Wire::Anthropic => anthropic::stream(turn),
        Wire::Chat => chat::stream(turn),
        Wire::Responses => responses::stream(turn),
        Wire::Gemini => gemini::stream(turn),
    };
    if turn.ascii { events.into_iter().map(Event::escaped).collect() } else { events }
}

/// The body of a whole reply.
pub(crate) fn whole(turn: &Turn<'_>) -> Event {
    let body = match turn.request.wire {
        Wire::Anthropic => anthropic::whole(turn),
        Wire::Chat => chat::whole(turn),
        Wire::Responses => responses::whole(turn),
        Wire::Gemini => gemini::whole(turn),
    };
    let content = turn.reply.parts.iter().map(Part::bytes).sum();
    let event =
        Event::new(body.to_string()).content(content).told(turn.told(turn.usage)).terminal();
    if turn.ascii { event.escaped() } else { event }
}
