//! What an agent said so far in its one session: message, tool calls, plan, usage. All bounded.

use agent_client_protocol::v1::schema;
use loopwright_processes::shown;
use loopwright_types::Usage;
use schema::{ContentBlock, ContentChunk, SessionUpdate, ToolCallStatus, ToolKind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Lines of progress that one attempt may report.
const PROGRESS_MAX: usize = 200;
/// Characters of one line of progress.
const PROGRESS_CHARACTERS_MAX: usize = 500;
/// Tool calls whose title and kind are remembered.
const TOOLS_MAX: usize = 2000;

/// The session of one attempt, shared by those who hear the agent and those who judge it.
pub(crate) struct Session {
    state: Mutex<State>,
    tell: Box<dyn Fn(String) + Send + Sync>,
    answer_bytes_max: usize,
    /// Told when the final message is over its limit.
    pub(crate) overflow: Notify,
}

#[derive(Default)]
struct State {
    /// Whether the task was sent.
    is_prompted: bool,
    /// Whether the turn is being cancelled.
    is_cancelled: bool,
    /// The message under way; a tool call or another message id begins the next one.
    message: String,
    message_id: Option<schema::MessageId>,
    /// The one before that was not blank.
    before: String,
    /// Bytes of a message that was too large.
    too_large: Option<usize>,
    tools: HashMap<Arc<str>, Tool>,
    told: usize,
    last_told: String,
    /// Tokens that stood in the agent's context, and money, as of its last word on it.
    context_tokens: u64,
    usd_micros: u64,
    /// What the agent says that the turn used.
    exact: Option<Usage>,
    authentications: Vec<String>,
    /// The first line of its output that was no message.
    stray: String,
}

#[derive(Clone, Default)]
pub(crate) struct Tool {
    pub(crate) title: String,
    pub(crate) kind: ToolKind,
}

impl Session {
    /// Lines of progress go to `tell`.
    pub(crate) fn new(answer_bytes_max: usize, tell: Box<dyn Fn(String) + Send + Sync>) -> Self {
        Self { state: Mutex::default(), tell, answer_bytes_max, overflow: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock: a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task is about to be sent: from now on what the agent says counts.
    pub(crate) fn prompted(&self) {
        self.lock().is_prompted = true;
    }

    pub(crate) fn is_prompted(&self) -> bool {
        self.lock().is_prompted
    }

    /// The turn is being cancelled: nothing is allowed any more.
    pub(crate) fn cancelled(&self) {
        self.lock().is_cancelled = true;
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.lock().is_cancelled
    }

    /// How the agent can be logged in, in words.
    pub(crate) fn set_authentications(&self, methods: Vec<String>) {
        self.lock().authentications = methods;
    }

    pub(crate) fn authentications(&self) -> Vec<String> {
        self.lock().authentications.clone()
    }

    /// A line of its output was no message.
    pub(crate) fn stray(&self, line: &str) {
        let mut state = self.lock();
        if state.stray.is_empty() {
            state.stray = shown(line, 200);
        }
    }

    pub(crate) fn first_stray(&self) -> String {
        self.lock().stray.clone()
    }

    /// Bytes of the final message when it is over its limit.
    pub(crate) fn too_large(&self) -> Option<usize> {
        self.lock().too_large
    }

    /// The final message: what came after the last tool call, else the last that was not blank.
    pub(crate) fn message(&self) -> String {
        let state = self.lock();
        let last = if state.message.trim().is_empty() { &state.before } else { &state.message };
        last.trim().to_owned()
    }

    /// What the turn used: the agent's own figures, else the tokens that stood in its context at the end, which is
    /// the least it can have read.
    pub(crate) fn usage(&self) -> Usage {
        let state = self.lock();
        let least = Usage { input_tokens: state.context_tokens, ..Usage::default() };
        Usage { usd_micros: state.usd_micros, ..state.exact.unwrap_or(least) }
    }

    /// The figures that came with the end of the turn.
    pub(crate) fn set_usage(&self, usage: &schema::Usage) {
        self.lock().exact = Some(exact(usage));
    }

    /// The tool call that a request for permission is about; what the request says itself comes first.
    pub(crate) fn tool(&self, update: &schema::ToolCallUpdate) -> Tool {
        let known = self.lock().tools.get(&update.tool_call_id.0).cloned().unwrap_or_default();
        let title = update.fields.title.clone().unwrap_or(known.title);
        Tool { title, kind: update.fields.kind.unwrap_or(known.kind) }
    }

    /// Reports a line of progress, unless it repeats the last one or there were too many.
    pub(crate) fn tell(&self, line: &str) {
        let line = shown(line, PROGRESS_CHARACTERS_MAX);
        let mut state = self.lock();
        if line.is_empty() || line == state.last_told || state.told > PROGRESS_MAX {
            return;
        }
        state.told += 1;
        let line = match state.told {
            told if told > PROGRESS_MAX => {
                format!("(more than {PROGRESS_MAX} lines of progress: the others are not kept)")
            }
            _ => line,
        };
        state.last_told.clone_from(&line);
        drop(state);
        (self.tell)(line);
    }

    /// Takes one update.
    pub(crate) fn update(&self, update: SessionUpdate) {
        if !self.is_prompted() {
            return;
        }
        match update {
            SessionUpdate::AgentMessageChunk(chunk) => self.take_chunk(chunk),
            SessionUpdate::ToolCall(call) => {
                let tool =
                    Tool { title: shown(&call.title, PROGRESS_CHARACTERS_MAX), kind: call.kind };
                self.begin_tool(&call.tool_call_id.0, tool, call.status);
            }
            SessionUpdate::ToolCallUpdate(update) => self.update_tool(&update),
            SessionUpdate::Plan(plan) => self.tell(&plan_line(&plan)),
            SessionUpdate::UsageUpdate(update) => {
                let mut state = self.lock();
                state.context_tokens = state.context_tokens.max(update.used);
                if let Some(cost) = update.cost.filter(|cost| cost.currency == "USD") {
                    // The cost is the session's so far; saturates at what is no sensible price.
                    let micros = (cost.amount * 1e6).round().clamp(0.0, 1e15);
                    state.usd_micros = state.usd_micros.max(micros as u64);
                }
            }
            // Thoughts, commands, modes and titles are for a person in an editor.
            _ => {}
        }
    }

    fn take_chunk(&self, chunk: ContentChunk) {
        let mut state = self.lock();
        if chunk.message_id.is_some() && chunk.message_id != state.message_id {
            state.end_message();
            state.message_id = chunk.message_id;
        }
        let ContentBlock::Text(text) = chunk.content else {
            drop(state);
            return self.tell("(the agent sent something other than text, which is not kept)");
        };
        let bytes = state.message.len().saturating_add(text.text.len());
        if bytes > self.answer_bytes_max {
            state.too_large = Some(bytes);
            self.overflow.notify_one();
        } else {
            state.message.push_str(&text.text);
        }
    }

    fn begin_tool(&self, id: &Arc<str>, tool: Tool, status: ToolCallStatus) {
        let line = format!("{}: {}", kind_word(tool.kind), tool.title);
        let mut state = self.lock();
        state.end_message();
        let is_known = state.tools.contains_key(id);
        if is_known || state.tools.len() < TOOLS_MAX {
            state.tools.insert(Arc::clone(id), tool);
        }
        drop(state);
        if !is_known {
            self.tell(&line);
        }
        if status == ToolCallStatus::Failed {
            self.tell(&format!("failed: {line}"));
        }
    }

    fn update_tool(&self, update: &schema::ToolCallUpdate) {
        let id = &update.tool_call_id.0;
        let known = self.lock().tools.get(id).cloned();
        let mut tool = known.clone().unwrap_or_default();
        if let Some(title) = &update.fields.title {
            tool.title = shown(title, PROGRESS_CHARACTERS_MAX);
        }
        tool.kind = update.fields.kind.unwrap_or(tool.kind);
        let status = update.fields.status.unwrap_or_default();
        // Agents announce calls with an update too.
        if known.is_none() && tool.title.is_empty() {
            tool.title = shown(id, 100);
        }
        self.begin_tool(id, tool, status);
    }
}

impl State {
    fn end_message(&mut self) {
        let message = std::mem::take(&mut self.message);
        if !message.trim().is_empty() {
            self.before = message;
        }
    }
}

/// The protocol counts kinds of tokens side by side, with cached ones and thinking apart; agents that count them in
/// are told by their sum.
fn exact(usage: &schema::Usage) -> Usage {
    let [read, write, thought] =
        [usage.cached_read_tokens, usage.cached_write_tokens, usage.thought_tokens]
            .map(Option::unwrap_or_default);
    let apart = [usage.input_tokens, usage.output_tokens, read, write, thought];
    let sum = apart.into_iter().fold(0, u64::saturating_add);
    let is_apart = usage.total_tokens >= sum;
    let [cached, thinking] = if is_apart { [read.saturating_add(write), thought] } else { [0, 0] };
    Usage {
        input_tokens: usage.input_tokens.saturating_add(cached),
        output_tokens: usage.output_tokens.saturating_add(thinking),
        cache_read_tokens: read,
        cache_write_tokens: write,
        ..Usage::default()
    }
}

fn plan_line(plan: &schema::Plan) -> String {
    let with = |status| plan.entries.iter().filter(move |entry| entry.status == status);
    let done = with(schema::PlanEntryStatus::Completed).count();
    let current = with(schema::PlanEntryStatus::InProgress).next();
    let current = current.map(|entry| format!(": {}", entry.content)).unwrap_or_default();
    format!("plan, {done} of {} done{current}", plan.entries.len())
}

/// The protocol's word for a kind of tool.
pub(crate) fn kind_word(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Read => "read",
        ToolKind::Edit => "edit",
        ToolKind::Delete => "delete",
        ToolKind::Move => "move",
        ToolKind::Search => "search",
        ToolKind::Execute => "execute",
        ToolKind::Think => "think",
        ToolKind::Fetch => "fetch",
        ToolKind::SwitchMode => "switch_mode",
        _ => "tool",
    }
}

#[cfg(test)]
#[path = "session/tests.rs"]
mod tests;
