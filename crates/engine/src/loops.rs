//! The loop of a task that a model serves: resolve the model, ask it, call the tools it wants, until it has an
//! answer. The conversation itself is `agent`'s; what is asked when, and what a failure means, is decided here.

use crate::call::State;
use crate::engine::Engine;
use crate::steps::Step;
use loopwright_agent::{Conversation, Next, Setup, ToolCall};
use loopwright_protocol::{
    CallKind, Entry, Json, Model, ModelReply, Outcome, StartEntry, Tool, ToolResult, Work,
    Worktree, WorktreeReport,
};
use loopwright_types::{Attempt, CallId, Code, Failure, Micros, Reason};
use std::sync::Arc;

/// Driver name of definitions that a model serves.
pub(crate) const DRIVER_MODEL: &str = "model";
/// A program may ask for the mock by itself: the host's own driver makes the whole answer up.
pub(crate) const MODEL_MOCK: &str = "mock";

/// What a task needs while its subagent works.
#[derive(Debug, Default)]
pub(crate) struct Loop {
    /// Its model, once it is known.
    pub model: Option<Arc<Model>>,
    /// Its conversation, once it has begun.
    pub talk: Option<Box<Conversation>>,
    /// Steps under way.
    pub open: Vec<CallId>,
    /// The request that goes on when the subagent has its slot again.
    pub waiting: Option<CallId>,
    /// Since when it has none because its provider was down.
    pub rests_since: Option<Micros>,
    /// Results of the tools of this turn, in the model's order, and the steps that owe the missing ones.
    results: Vec<(ToolResult, Option<CallId>)>,
    /// Its worktree.
    pub worktree: Option<Worktree>,
    /// Until when the time that does not count has been given back.
    pub excused_until: Micros,
    /// What the model last said, where that was no answer.
    pub salvage: Option<String>,
    /// What became of the worktree.
    pub report: Option<WorktreeReport>,
    /// Its worktree where nobody has looked at it, and the steps that may still work in it.
    pub left: Option<(Worktree, Vec<CallId>)>,
    /// The outcome that waits for the worktree to be finished.
    pub closing: Option<Box<(Outcome, Option<Failure>)>>,
}

impl Engine {
    /// Whether the task's subagent is served step by step rather than by a driver of the host.
    pub(crate) fn has_loop(&self, id: CallId) -> bool {
        let call = &self.calls[id.0 as usize];
        let served = call.target.is_some_and(|at| self.subagents[at].driver == DRIVER_MODEL);
        served && self.model_name(id).as_deref() != Some(MODEL_MOCK)
    }

    /// The model that the call, the definition or the run asks for.
    pub(crate) fn model_name(&self, id: CallId) -> Option<String> {
        let call = &self.calls[id.0 as usize];
        let own = call.task.as_ref().and_then(|task| task.request.model.as_ref());
        let defined = call.target.and_then(|at| self.subagents[at].model.as_ref());
        own.or(defined).or(self.model_default.as_ref()).cloned()
    }

    /// The subagent has its slot: its loop begins.
    pub(crate) fn begin_loop(&mut self, id: CallId) {
        self.mark_started(id);
        let Some(name) = self.model_name(id) else {
            return self.loop_failed(id, no_model(self.target_name(id)));
        };
        match self.models.get(&name) {
            Some(model) => {
                let model = Arc::clone(model);
                self.begin_conversation(id, model);
            }
            None => self.resolve(id, name),
        }
    }

    /// Finds out what a model's name stands for: one task asks, others that want the same wait for it.
    fn resolve(&mut self, id: CallId, name: String) {
        if let Some(waiting) = self.resolving.get_mut(&name) {
            return waiting.push(id);
        }
        self.resolving.insert(name.clone(), Vec::new());
        let (args, work) = (None, Work::ResolveModel { name: name.clone() });
        let step = Step { kind: CallKind::Resolve, turn: 0, name, args, work };
        let step = self.enter_step(id, step);
        self.send_step(step);
    }

    /// Journals that the subagent begins, and starts the task's time.
    fn mark_started(&mut self, id: CallId) {
        let now = self.now;
        let subagent = Some(self.target_name(id).to_owned());
        let timeout = self.timeout(id);
        let reask = self.task(id).feedback.is_some();
        let call = &mut self.calls[id.0 as usize];
        call.attempts += 1;
        call.state = State::Running;
        let attempt = Attempt(call.attempts);
        if call.started.is_none() {
            call.started = Some(now);
            self.set_deadline(id, timeout);
        }
        self.append(Entry::AttemptStarted(StartEntry {
            call: id,
            attempt,
            now,
            subagent,
            effects: None,
            ahead: false,
            reask,
            key: None,
            looks_up: None,
        }));
    }

    fn target_name(&self, id: CallId) -> &str {
        let target = self.calls[id.0 as usize].target.expect("a task has a target");
        &self.subagents[target].name
    }

    /// Dispatches a step that waits for no queue.
    pub(crate) fn send_step(&mut self, step: CallId) {
        let work = self.step_work(step);
        self.start_attempt(step, None, work, false);
    }

    /// What a step asks for; kept, because it may be sent again.
    pub(crate) fn step_work(&self, step: CallId) -> Work {
        let work = self.step_state(step).work.as_ref();
        work.expect("a step keeps its work until it is settled").clone()
    }

    /// A name was looked up, or the task that asked for it is no longer wanted: then another one asks.
    pub(crate) fn model_resolved(&mut self, asker: CallId, name: String, outcome: Outcome) {
        let mut tasks = self.resolving.remove(&name).unwrap_or_default();
        tasks.retain(|id| !self.calls[id.0 as usize].is_settled());
        if self.calls[asker.0 as usize].is_settled() {
            return self.unresolved.append(&mut tasks);
        }
        let model = match outcome {
            Outcome::Done(json) => json.read::<Model>().map(Arc::new).map_err(|error| {
                let message = format!("the model cannot be read: {error}");
                Failure::new(Reason::Provider, Code::MODEL_UNKNOWN, message)
            }),
            Outcome::Failed(failure) => Err(failure),
        };
        if let Ok(model) = &model {
            self.models.insert(name, Arc::clone(model));
        }
        for id in std::iter::once(asker).chain(tasks) {
            match &model {
                Ok(model) => self.begin_conversation(id, Arc::clone(model)),
                Err(failure) => self.loop_failed(id, failure.clone()),
            }
        }
    }

    /// Looks names up again for tasks whose asker was cancelled.
    pub(crate) fn resolve_again(&mut self) {
        for id in std::mem::take(&mut self.unresolved) {
            if let (false, Some(name)) =
                (self.calls[id.0 as usize].is_settled(), self.model_name(id))
            {
                self.resolve(id, name);
            }
        }
    }

    fn begin_conversation(&mut self, id: CallId, model: Arc<Model>) {
        let target = self.calls[id.0 as usize].target.expect("a task has a target");
        let subagent = &self.subagents[target];
        let task = self.task(id);
        let turns_max =
            task.request.max_turns.or(subagent.max_turns).unwrap_or(self.options.turns_max);
        let setup = Setup {
            system: subagent.system_prompt.clone(),
            prompt: task.request.prompt.clone(),
            tools: self.tools_of(id).map(Tool::spec).collect(),
            schema: task.request.schema.clone(),
            turns_max,
            feedback: task.feedback.clone(),
        };
        let own = self.task_loop(id);
        own.model = Some(model);
        own.talk = Some(Box::new(Conversation::new(setup)));
        self.ask(id);
    }

    /// Takes the model's reply.
    pub(crate) fn model_answered(&mut self, id: CallId, outcome: Outcome) {
        let reply = match outcome {
            Outcome::Done(json) => json.read::<ModelReply>().map_err(|error| {
                let message = format!("the model's reply cannot be read: {error}");
                Failure::new(Reason::Provider, Code::REPLY_MALFORMED, message)
            }),
            Outcome::Failed(failure) => Err(failure),
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(failure) => return self.loop_failed(id, failure),
        };
        let talk = self.task_loop(id).talk.as_mut().expect("a reply belongs to a conversation");
        match talk.take_reply(reply) {
            Next::Call(calls) => self.call_tools(id, calls),
            Next::Answer(value) => self.loop_answered(id, value),
            Next::Unreadable(errors) => self.reask(id, &errors),
            Next::Again => self.ask(id),
            Next::Failed(failure) => self.loop_failed(id, failure),
        }
    }

    pub(crate) fn last_text(&self, id: CallId) -> &str {
        let task = self.calls[id.0 as usize].task.as_ref();
        let talk = task.and_then(|task| task.own.as_ref()?.talk.as_ref());
        talk.map_or("", |talk| talk.last_text())
    }

    fn call_tools(&mut self, id: CallId, calls: Vec<ToolCall>) {
        let turn = self.turn(id) - 1; // that of the reply which wants them
        let root = self.task_loop(id).worktree.as_ref().map(|worktree| worktree.path.clone());
        let mut results = Vec::new();
        let mut steps = Vec::new();
        for call in calls {
            let ToolCall { id: own, name, arguments } = call;
            let mut result =
                ToolResult { id: own, name: name.clone(), text: String::new(), is_error: true };
            let known = self.tools_of(id).find(|tool| tool.model_name() == name).cloned();
            let step = match (known, arguments) {
                (Some(tool), Ok(arguments)) => {
                    let args = Json::of(&arguments);
                    let grant = self.grant(id, &tool);
                    let name = tool.name.clone();
                    let work = Work::Tool { name, args: args.clone(), root: root.clone(), grant };
                    let (kind, args) = (CallKind::Tool, Some(args));
                    let step = Step { kind, turn, name: tool.name.clone(), args, work };
                    Some(self.enter_step(id, step))
                }
                (Some(_), Err(error)) => {
                    result.text = error;
                    None
                }
                (None, _) => {
                    let known: Vec<String> = self.tools_of(id).map(Tool::model_name).collect();
                    result.text =
                        format!("there is no tool `{name}`; there are {}", known.join(", "));
                    None
                }
            };
            steps.extend(step);
            results.push((result, step));
        }
        self.task_loop(id).results = results;
        steps.into_iter().for_each(|step| self.enqueue(step));
        self.results_in(id);
    }

    pub(crate) fn tool_answered(&mut self, id: CallId, step: CallId, outcome: Outcome) {
        let owed = self.task_loop(id).results.iter_mut().find(|(_, owed)| *owed == Some(step));
        let Some((result, owed)) = owed else { return };
        *owed = None;
        match outcome {
            Outcome::Done(json) => {
                // A tool's text goes to the model as it is, other values as JSON.
                result.text = json.read::<String>().unwrap_or_else(|_| json.text().to_owned());
                result.is_error = false;
            }
            Outcome::Failed(failure) => {
                result.text = match &failure.hint {
                    Some(hint) => format!("{}\nhint: {hint}", failure.message),
                    None => failure.message,
                };
            }
        }
        self.results_in(id);
    }

    /// When every tool of the turn has answered, the model is asked again.
    fn results_in(&mut self, id: CallId) {
        let own = self.task_loop(id);
        if own.results.is_empty() || own.results.iter().any(|(_, owed)| owed.is_some()) {
            return;
        }
        let results = std::mem::take(&mut own.results).into_iter().map(|(result, _)| result);
        let talk = own.talk.as_mut().expect("results belong to a conversation");
        talk.take_results(results.collect());
        self.ask(id);
    }

    /// The model's turn that is next or under way, from 1.
    pub(crate) fn turn(&mut self, id: CallId) -> u32 {
        self.task_loop(id).talk.as_ref().map_or(0, |talk| talk.turns() + 1)
    }
}

fn no_model(subagent: &str) -> Failure {
    let message = format!("subagent `{subagent}` needs a model and none is named");
    Failure::new(Reason::Provider, Code::MODEL_UNAVAILABLE, message).not_sent().hint(
        "name one: `--model provider:model`, `model:` in its definition, or the setting `model.default`; \
         `--model mock` makes answers up",
    )
}
