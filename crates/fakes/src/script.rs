//! Who decides what the model says.

use crate::{Choice, Random, Reply, Request, generate};
use std::sync::Mutex;

/// Decides the reply to a request. Closures are scripts.
pub trait Script: Send + Sync + 'static {
    /// What the model says.
    fn reply(&self, request: &Request) -> Reply;
}

impl<F: Fn(&Request) -> Reply + Send + Sync + 'static> Script for F {
    fn reply(&self, request: &Request) -> Reply {
        self(request)
    }
}

/// Says what the user said last; answers from the schema where one is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Script for Echo {
    fn reply(&self, request: &Request) -> Reply {
        match wanted(request) {
            Some(_) => Answers::seeded(0).reply(request),
            None => Reply::text(format!("echo: {}", request.last_user_text())),
        }
    }
}

/// Answers with a value generated from the schema (native, or that of the forced tool): the same for the same prompt.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    seed: u64,
}

impl Answers {
    /// With this seed.
    pub fn seeded(seed: u64) -> Self {
        Self { seed }
    }
}

impl Script for Answers {
    fn reply(&self, request: &Request) -> Reply {
        let mut random = Random::new(self.seed ^ request.fingerprint());
        match wanted(request) {
            Some((tool, schema)) => {
                let value = generate(schema, &mut random);
                match tool {
                    Some(name) => Reply::call(name, &value),
                    None => Reply::text(value.to_string()),
                }
            }
            None => Reply::text(format!("echo: {}", request.last_user_text())),
        }
    }
}

/// The schema that the answer must have, and the tool if it goes through one.
fn wanted(request: &Request) -> Option<(Option<&str>, &serde_json::Value)> {
    if let Some(schema) = &request.schema {
        return Some((None, schema));
    }
    let tool = match &request.choice {
        Choice::Tool(name) => request.tools.iter().find(|tool| tool.name == *name),
        Choice::Any => request.tools.first(),
        Choice::Auto | Choice::None => None,
    }?;
    Some((Some(&tool.name), &tool.schema))
}

/// Calls the first tool on offer for so many turns, several calls a turn, then gives the final answer of [`Echo`].
#[derive(Clone, Copy, Debug)]
pub struct ToolLoop {
    /// Turns with calls.
    pub turns: usize,
    /// Calls in each.
    pub calls: usize,
}

impl Script for ToolLoop {
    fn reply(&self, request: &Request) -> Reply {
        let done = request.tool_turns() >= self.turns;
        let (false, Some(tool)) = (done, request.tools.first()) else {
            return Echo.reply(request);
        };
        let mut random = Random::new(request.fingerprint());
        let mut reply = Reply::parts(Vec::new());
        for _ in 0..self.calls.max(1) {
            reply = reply.and_call(&tool.name, &generate(&tool.schema, &mut random));
        }
        if request.thinking { reply.thinking("What does the tool say?") } else { reply }
    }
}

/// Gives these replies in order of arrival, the last one for ever.
#[derive(Debug)]
pub struct Sequence {
    replies: Mutex<std::collections::VecDeque<Reply>>,
}

impl Sequence {
    /// These replies; an empty list gives empty texts.
    pub fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self { replies: Mutex::new(replies.into_iter().collect()) }
    }
}

impl Script for Sequence {
    fn reply(&self, _: &Request) -> Reply {
        let mut replies = self.replies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let next = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
        next.unwrap_or_else(|| Reply::text(""))
    }
}
