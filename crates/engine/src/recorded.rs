//! What a recorded run leaves to a fork of it: the outcome of each of its programs' calls, by identity and occurrence.

use crate::identity::{Identifier, Identity};
use loopwright_protocol::{
    CallEntry, CallKind, Entry, Json, Model, Outcome, Read, Request, Reused, RunStart, SettleEntry,
    StepEntry,
};
use loopwright_types::{CallId, Digest, Effects, RunId, Usage};
use std::collections::{BTreeMap, HashMap};

/// Why a recorded call's outcome is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It failed, or was cancelled.
    Failed,
    /// The old run ended before it did.
    Unfinished,
    /// Its subagent failed, and the program's fallback stood in.
    Fallback,
    /// It may have changed something, and nobody said that this counts as done.
    Effects,
    /// A person gave the answer, and is asked again.
    Person,
    /// A file that it read has changed since.
    Stale,
    /// The fork begins at this call or before it.
    After,
}

/// One recorded call of a program.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    /// As the program made it.
    pub entry: CallEntry,
    /// What it asked, where that can be read.
    pub request: Option<Request>,
    /// Its identity.
    pub identity: Identity,
    /// How many calls of this identity went before it.
    pub occurrence: u32,
    /// Its outcome, if it has one.
    pub settled: Option<SettleEntry>,
    /// What its attempts and its subagent's steps may have done.
    pub effects: Effects,
    /// Calls of tools on the way to its answer, its own included.
    pub reads: Vec<Read>,
    /// Why its outcome is not taken over, if so.
    pub refused: Option<Refusal>,
}

impl RecordedCall {
    /// What it used, or what the call used whose outcome it took over.
    pub fn usage(&self) -> Usage {
        let settled = self.settled.as_ref();
        settled.map_or_else(Usage::default, |settled| match &settled.reused {
            Some(reused) => reused.saved,
            None => settled.usage,
        })
    }

    /// The key and the text by which people know it.
    pub(crate) fn asked(&self) -> (Option<&str>, &str) {
        match &self.request {
            Some(Request::Task(task)) => (task.key.as_deref(), &task.prompt),
            Some(Request::Tool(tool)) => (None, tool.args.text()),
            _ => (None, ""),
        }
    }

    /// Where its work was done: here, or where its outcome came from.
    pub(crate) fn origin(&self, run: &RunId) -> Reused {
        let reused = self.settled.as_ref().and_then(|settled| settled.reused.as_deref());
        let here = || Reused {
            run: run.clone(),
            call: self.entry.call,
            saved: self.usage(),
            effects: (self.effects != Effects::None).then_some(self.effects),
            reads: if self.effects == Effects::None { self.reads.clone() } else { Vec::new() },
        };
        reused.cloned().unwrap_or_else(here)
    }
}

/// The recorded calls of a run's programs, in call order.
#[derive(Clone, Debug)]
pub struct Recorded {
    run: RunId,
    calls: Vec<RecordedCall>,
    /// Models that were looked up on the way, by the names that asked for them.
    models: Vec<(String, Model)>,
    index: HashMap<Digest, Vec<usize>>,
}

impl Recorded {
    /// Reads the entries of one run in their order; `None` when the first is not its start.
    pub fn read(entries: impl IntoIterator<Item = Entry>) -> Option<Self> {
        let mut entries = entries.into_iter();
        let Some(Entry::RunStarted(start)) = entries.next() else { return None };
        let mut reader = Reader::default();
        entries.for_each(|entry| reader.take(entry));
        Some(reader.close(&start))
    }

    /// A past without calls.
    pub(crate) fn nothing(run: RunId) -> Self {
        Self { run, calls: Vec::new(), models: Vec::new(), index: HashMap::new() }
    }

    /// The run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Its programs' calls of subagents, tools and people, in call order.
    pub fn calls(&self) -> &[RecordedCall] {
        &self.calls
    }

    /// Models that were looked up during the run, by the names that asked for them.
    pub fn models(&self) -> &[(String, Model)] {
        &self.models
    }

    /// Keeps a call's outcome from being taken over, unless there is a reason already.
    pub fn refuse(&mut self, call: CallId, why: Refusal) {
        if let Some(call) = self.calls.iter_mut().find(|known| known.entry.call == call) {
            call.refused.get_or_insert(why);
        }
    }

    /// Calls from this one on are made again.
    pub fn refuse_from(&mut self, at: CallId) {
        let later = self.calls.iter_mut().filter(|call| call.entry.call >= at);
        later.for_each(|call| call.refused = Some(Refusal::After));
    }

    /// The operator takes over what had effects and what people answered.
    pub fn accept_effects(&mut self) {
        let held = |call: &&mut RecordedCall| {
            matches!(call.refused, Some(Refusal::Effects | Refusal::Person))
        };
        self.calls.iter_mut().filter(held).for_each(|call| call.refused = None);
    }

    /// Index of the last recorded call of this identity.
    pub(crate) fn last_equal(&self, identity: &Digest) -> Option<usize> {
        self.index.get(identity)?.last().copied()
    }

    /// Index of the recorded call of this identity and occurrence.
    pub(crate) fn find(&self, identity: &Digest, occurrence: u32) -> Option<usize> {
        self.index.get(identity)?.get(occurrence as usize).copied()
    }
}

/// Gathers a past.
#[derive(Default)]
struct Reader {
    calls: BTreeMap<CallId, RecordedCall>,
    steps: HashMap<CallId, StepEntry>,
    models: Vec<(String, Model)>,
}

impl Reader {
    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Called(entry) => self.called(*entry),
            Entry::Stepped(step) => {
                if step.kind == CallKind::Worktree {
                    self.had_effects(step.call, Effects::Local);
                }
                self.steps.insert(step.call, *step);
            }
            Entry::AttemptStarted(start) => {
                if let Some(effects) = start.effects {
                    self.had_effects(start.call, effects);
                }
            }
            Entry::Settled(settled) => self.settled(*settled),
            _ => {}
        }
    }

    fn called(&mut self, entry: CallEntry) {
        let wanted = [CallKind::Task, CallKind::Agent, CallKind::Tool, CallKind::Approve];
        if !wanted.contains(&entry.kind) {
            return; // waits and nested programs are gone through again
        }
        let request = Request::read(entry.kind, &entry.request).ok();
        let identity = Identifier::default().identify(entry.kind, None, &entry.request);
        let call = RecordedCall {
            request,
            identity,
            occurrence: 0,
            settled: None,
            effects: Effects::None,
            reads: Vec::new(),
            refused: Some(Refusal::Unfinished),
            entry,
        };
        self.calls.insert(call.entry.call, call);
    }

    /// Notes what the call, or the call that a step serves, may have done.
    fn had_effects(&mut self, call: CallId, effects: Effects) {
        let of = self.steps.get(&call).map_or(call, |step| step.task);
        if let Some(call) = self.calls.get_mut(&of) {
            call.effects = call.effects.max(effects);
        }
    }

    fn settled(&mut self, settled: SettleEntry) {
        if let Some(step) = self.steps.remove(&settled.call) {
            match (step.kind, settled.outcome) {
                (CallKind::Resolve, Outcome::Done(model)) => {
                    if let Ok(model) = model.read() {
                        self.models.push((step.name, model));
                    }
                }
                (CallKind::Tool, outcome) => {
                    let args = step.args.unwrap_or_else(Json::null);
                    let read = Read { tool: step.name, args, gave: Read::digest(&outcome) };
                    if let Some(task) = self.calls.get_mut(&step.task) {
                        task.reads.push(read);
                    }
                }
                _ => {}
            }
            return;
        }
        let Some(call) = self.calls.get_mut(&settled.call) else { return };
        if let Some(reused) = &settled.reused {
            call.effects = reused.effects.unwrap_or(Effects::None);
            call.reads = reused.reads.clone();
        } else if let Some(Request::Tool(tool)) = &call.request {
            let (tool, args) = (tool.name.clone(), tool.args.clone());
            call.reads.push(Read { tool, args, gave: Read::digest(&settled.outcome) });
        }
        if let Outcome::Failed(failure) = &settled.outcome
            && !failure.sent
            && settled.attempts <= 1
        {
            call.effects = Effects::None; // nothing was sent that could have done anything
        }
        let other = settled.subagent.is_some() && settled.subagent != call.entry.subagent;
        call.refused = match &settled.outcome {
            Outcome::Failed(_) => Some(Refusal::Failed),
            _ if settled.fallback || settled.hidden.is_some() || other => Some(Refusal::Fallback),
            _ if call.entry.kind == CallKind::Approve => Some(Refusal::Person),
            _ if call.effects != Effects::None => Some(Refusal::Effects),
            Outcome::Done(_) => None,
        };
        call.settled = Some(settled);
    }

    /// Identities need the names of models that were found on the way, so they come last.
    fn close(self, start: &RunStart) -> Recorded {
        let mut identifier = Identifier::new(start);
        self.models.iter().for_each(|(name, model)| identifier.resolved(name, model));
        let mut index: HashMap<Digest, Vec<usize>> = HashMap::new();
        let mut calls = Vec::with_capacity(self.calls.len());
        for (at, mut call) in self.calls.into_values().enumerate() {
            let (kind, text) = (call.entry.kind, &call.entry.request);
            call.identity = identifier.identify(kind, call.request.as_ref(), text);
            let equal = index.entry(call.identity.digest).or_default();
            call.occurrence = equal.len() as u32;
            equal.push(at);
            calls.push(call);
        }
        Recorded { run: start.run.clone(), calls, models: self.models, index }
    }
}
