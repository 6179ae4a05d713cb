//! The simulator's own record of what was dispatched, executed and delivered, kept apart from the journal
//! so that the one can be held against the other. Every promise of the engine that can be seen from
//! outside is checked here, always.

mod lookups; // what lookups said, and under which keys

use loopwright_protocol::{
    Decision, Dispatch, Entry, Found, Outcome, Price, RunStart, TurnInput, Work, WorktreeWork,
};
use loopwright_types::{Attempt, CallId, Effects, GuestId, Micros, Reason, RunStatus, Slot, Usage};
use std::collections::{BTreeSet, HashMap, HashSet};

/// One attempt as the world saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// The call.
    pub call: CallId,
    /// The attempt.
    pub attempt: Attempt,
    /// The attempt under whose idempotency key it went out.
    pub key: Attempt,
    /// The subagent type, `tool`, `approve`, `workflow` or `lookup`.
    pub served_by: String,
    /// What a task was asked; the tool's, program's or question's text for others.
    pub asked: String,
    /// When it was dispatched.
    pub dispatched: Micros,
    /// When its cancellation arrived.
    pub cancelled: Option<Micros>,
    /// When and how it ended, as first reported.
    pub ended: Option<(Micros, Outcome)>,
    /// What it used, as first reported.
    pub usage: Usage,
    /// What it may do to the world.
    pub effects: Effects,
    /// Its process died before its end was on the disk.
    pub lost: bool,
}

/// How many attempts were under way at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Tasks.
    pub tasks: usize,
    /// Tool calls.
    pub tools: usize,
    /// Tasks of each subagent type.
    pub subagents: HashMap<String, usize>,
    /// Tasks at each provider.
    pub providers: HashMap<String, usize>,
    /// Requests to models.
    pub requests: usize,
    /// Requests to models at each provider.
    pub requests_at: HashMap<String, usize>,
}

/// The caps of a run, read from its settings without the engine's help.
#[derive(Debug)]
struct Caps {
    run: usize,
    provider: usize,
    subagents: HashMap<String, (String, usize)>,
    /// Tools and subagent types that may change something.
    effects: HashMap<String, Effects>,
}

/// The books of one run.
#[derive(Debug)]
pub struct Books {
    /// Every attempt in the order of dispatch.
    pub executions: Vec<Execution>,
    /// The largest load seen.
    pub peak: Load,
    /// Promises that were broken; empty in a run that is worth anything.
    pub violations: Vec<String>,
    caps: Caps,
    /// What models cost, by full name.
    prices: HashMap<String, Price>,
    load: Load,
    index: HashMap<(CallId, Attempt), usize>,
    appended: u64,
    durable: u64,
    broken: bool,
    finished: bool,
    intents: HashMap<(CallId, Attempt), u64>,
    slots: HashMap<(GuestId, Slot), CallId>,
    settled: HashMap<CallId, u64>,
    delivered: HashSet<CallId>,
    guests: BTreeSet<GuestId>,
    /// Steps, by the task that each serves.
    steps: HashMap<CallId, CallId>,
    /// Requests to models under way, each with its provider.
    requests: HashMap<(CallId, Attempt), String>,
    /// Calls whose effect may have happened without anybody knowing.
    doubtful: HashSet<CallId>,
    /// Calls that a person had repeated, or of which a lookup said that they were not done.
    decided: HashSet<CallId>,
    /// Calls of which a lookup said that they were done, with what had served them.
    found: HashMap<CallId, String>,
    /// Where each call's last attempt that was no lookup is.
    sent: HashMap<CallId, usize>,
}

impl Books {
    pub(crate) fn new(start: &RunStart) -> Self {
        let settings = &start.settings;
        let own = settings.count("run.concurrency_per_subagent");
        let subagents = start.subagents.iter().map(|subagent| {
            let cap = subagent.concurrency.map_or(own, |cap| own.min(cap as usize));
            (subagent.name.clone(), (subagent.provider.clone(), cap))
        });
        let caps = Caps {
            run: settings.count("run.concurrency"),
            provider: settings.count("run.concurrency_per_provider"),
            subagents: subagents.collect(),
            effects: start
                .tools
                .iter()
                .map(|tool| (tool.name.clone(), tool.effects))
                .chain(start.subagents.iter().map(|kind| (kind.name.clone(), kind.effects)))
                .filter(|(_, effects)| *effects != Effects::None)
                .collect(),
        };
        Self {
            executions: Vec::new(),
            peak: Load::default(),
            violations: Vec::new(),
            caps,
            prices: start
                .models
                .values()
                .filter_map(|model| Some((model.name.clone(), model.price.clone()?)))
                .collect(),
            load: Load::default(),
            index: HashMap::new(),
            appended: 0,
            durable: 0,
            broken: false,
            finished: false,
            intents: HashMap::new(),
            slots: HashMap::new(),
            settled: HashMap::new(),
            delivered: HashSet::new(),
            guests: BTreeSet::new(),
            steps: HashMap::new(),
            requests: HashMap::new(),
            doubtful: HashSet::new(),
            decided: HashSet::new(),
            found: HashMap::new(),
            sent: HashMap::new(),
        }
    }

    /// Everything used that anybody was told of, whatever became of it.
    pub fn usage(&self) -> Usage {
        let mut all = Usage::default();
        let told = self.executions.iter().filter(|execution| !execution.lost);
        told.for_each(|execution| all.add(execution.usage));
        all
    }

    /// The process died with these entries on the disk, or the run waits with them: the next one knows only them.
    pub(crate) fn process_ended(&mut self, entries: &[Entry]) {
        let durable = entries.len() as u64;
        (self.appended, self.durable) = (durable, durable);
        (self.broken, self.finished) = (false, false);
        self.intents.retain(|_, number| *number < durable);
        self.settled.retain(|_, number| *number < durable);
        self.steps.clear();
        let mut ends = HashSet::new();
        // The last attempt of each call, and that about which a person has decided.
        let (mut last, mut decided) = (HashMap::new(), HashMap::new());
        for entry in entries {
            if let Entry::AttemptStarted(start) = entry
                && start.looks_up.is_none()
            {
                last.insert(start.call, start.attempt);
            }
            if let Entry::AttemptEnded(end) = entry
                && self.said_not_done(end.call, end.attempt)
            {
                decided.insert(end.call, last.get(&end.call).copied().unwrap_or(Attempt(0)));
            }
            if let Entry::Decided(about) = entry {
                decided.insert(about.call, last.get(&about.call).copied().unwrap_or(Attempt(0)));
            }
            match entry {
                Entry::Stepped(step) => self.steps.insert(step.call, step.task).is_some(),
                Entry::AttemptEnded(end) => ends.insert((end.call, end.attempt)),
                Entry::Settled(end) => end.attempt.is_some_and(|it| ends.insert((end.call, it))),
                Entry::GuestStarted { call, .. } => ends.insert((*call, Attempt(0))),
                _ => false,
            };
        }
        self.doubtful.clear();
        self.found.clear();
        for one in &mut self.executions {
            let known = ends.contains(&(one.call, one.attempt))
                || one.served_by == WORKFLOW && ends.contains(&(one.call, Attempt(0)));
            one.lost |= !known;
            if one.lost {
                self.index.remove(&(one.call, one.attempt));
            }
            let cut_off = match &one.ended {
                Some((_, Outcome::Failed(failure))) => {
                    failure.reason == Reason::Cancelled && failure.sent
                }
                _ => false,
            };
            let open = !self.settled.contains_key(&one.call)
                && decided.get(&one.call).is_none_or(|known| *known < one.attempt);
            if open && (one.lost || cut_off) && one.effects != Effects::None {
                self.doubtful.insert(one.call);
            }
        }
        self.slots.clear();
        self.delivered.clear();
        self.guests.clear();
        self.requests.clear();
        self.load = Load::default();
    }

    /// The next process reads an entry.
    pub(crate) fn reads(&mut self, entry: &Entry) {
        if let Entry::Called(call) = entry {
            self.slots.insert((call.guest, call.slot), call.call);
        }
    }

    /// The attempts of one call.
    pub fn of(&self, call: CallId) -> impl Iterator<Item = &Execution> {
        self.executions.iter().filter(move |execution| execution.call == call)
    }

    /// The call's last attempt that was no lookup.
    fn sent(&self, call: CallId) -> Option<&Execution> {
        self.sent.get(&call).map(|at| &self.executions[*at])
    }

    pub(crate) fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    fn demand(&mut self, kept: bool, text: impl FnOnce() -> String) {
        if !kept {
            self.violations.push(text());
        }
    }

    pub(crate) fn append(&mut self, entry: &Entry) {
        let number = self.appended;
        self.appended += 1;
        let ended = self.finished;
        self.demand(!ended, || format!("`{}` written after the run's end", entry.kind()));
        match entry {
            Entry::AttemptStarted(start) => {
                let again = self.intents.insert((start.call, start.attempt), number).is_some();
                self.demand(!again, || format!("two intents for {} {}", start.call, start.attempt));
            }
            Entry::Called(call) => {
                self.slots.insert((call.guest, call.slot), call.call);
            }
            Entry::Settled(settled) => {
                let again = self.settled.insert(settled.call, number).is_some();
                self.demand(!again, || format!("call {} is settled twice", settled.call));
            }
            Entry::Stepped(step) => {
                self.steps.insert(step.call, step.task);
            }
            Entry::RunFinished(_) => self.finished = true,
            // Where what was looked up does not match, the fallback may stand in.
            Entry::Decided(it) if it.decision != Decision::Fail => {
                self.doubtful.remove(&it.call);
                self.decided.extend((it.decision == Decision::Repeat).then_some(it.call));
            }
            _ => {}
        }
    }

    pub(crate) fn synced(&mut self, count: u64) {
        self.durable = count;
    }

    pub(crate) fn sync_failed(&mut self) {
        self.broken = true;
    }

    fn is_durable(&self, number: Option<u64>) -> bool {
        number.is_some_and(|number| number < self.durable)
    }

    /// An attempt goes out: its intent must be durable, its result not wanted elsewhere, its caps kept.
    pub(crate) fn dispatch(&mut self, dispatch: &Dispatch, now: Micros) {
        let key = (dispatch.call, dispatch.attempt);
        let name = format!("attempt {} of call {}", key.1, key.0);
        let intended = self.is_durable(self.intents.get(&key).copied());
        self.demand(intended, || format!("{name} dispatched before its intent was durable"));
        let fresh = self.index.insert(key, self.executions.len()).is_none();
        self.demand(fresh, || format!("{name} dispatched twice"));
        let open = !self.settled.contains_key(&key.0);
        self.demand(open, || format!("{name} dispatched after the call was settled"));
        // What a settled task left in its worktree is still looked at.
        let is_left = matches!(dispatch.work, Work::Worktree(WorktreeWork::Finish(_)));
        let is_open = |task: &CallId| is_left || !self.settled.contains_key(task);
        let wanted = self.steps.get(&key.0).is_none_or(is_open);
        self.demand(wanted, || format!("{name} dispatched after its task was settled"));
        let healthy = !self.broken;
        self.demand(healthy, || format!("{name} dispatched after a failed sync"));
        let (served_by, asked) = served_by(&dispatch.work);
        self.check_key(dispatch, &served_by);
        let known = served_by == LOOKUP || !self.doubtful.contains(&key.0);
        self.demand(known, || format!("{name} repeats what may have had its effect"));
        let done = self.found.get(&key.0) == Some(&served_by);
        self.demand(!done, || format!("{name} repeats what a lookup said was done"));
        let doer = if served_by == TOOL { &asked } else { &served_by };
        let effects = self.caps.effects.get(doer).copied().unwrap_or(Effects::None);
        if served_by != LOOKUP {
            self.sent.insert(key.0, self.executions.len());
        }
        self.executions.push(Execution {
            call: key.0,
            attempt: key.1,
            key: dispatch.key,
            served_by,
            asked,
            dispatched: now,
            cancelled: None,
            ended: None,
            usage: Usage::default(),
            effects,
            lost: false,
        });
        match &dispatch.work {
            Work::Task(task) => self.begin_task(&task.subagent),
            Work::Model(request) => self.begin_request(key, &request.model),
            Work::Tool { name: tool, .. } => {
                let once = !self.caps.effects.contains_key(tool)
                    || self.decided.contains(&key.0)
                    || self.of(key.0).filter(|it| it.served_by != LOOKUP).count() == 1;
                self.demand(once, || format!("{name}: an effect of `{tool}` is repeated"));
                self.load.tools += 1;
                self.peak.tools = self.peak.tools.max(self.load.tools);
                let kept = self.load.tools <= self.caps.run;
                self.demand(kept, || format!("{name}: more tools at once than `run.concurrency`"));
            }
            Work::Approve(_)
            | Work::LoadProgram { .. }
            | Work::ResolveModel { .. }
            | Work::LookUp(_)
            | Work::Worktree(_) => {}
        }
    }

    fn begin_task(&mut self, subagent: &str) {
        let (provider, own) = self.caps.subagents.get(subagent).cloned().unwrap_or_default();
        let peak = &mut self.peak;
        self.load.tasks += 1;
        peak.tasks = peak.tasks.max(self.load.tasks);
        let of_type = raise(&mut self.load.subagents, &mut peak.subagents, subagent);
        let of_provider = raise(&mut self.load.providers, &mut peak.providers, &provider);
        let (run, each) = (self.caps.run, self.caps.provider);
        for (now, most, what) in [
            (self.load.tasks, run, "the run"),
            (of_type, own, "the subagent type"),
            (of_provider, each, "the provider"),
        ] {
            self.demand(now <= most, || format!("{now} tasks at once, {what} has a cap of {most}"));
        }
    }

    fn begin_request(&mut self, key: (CallId, Attempt), model: &str) {
        let provider = model.split(':').next().unwrap_or(model).to_owned();
        self.load.requests += 1;
        self.peak.requests = self.peak.requests.max(self.load.requests);
        let here = raise(&mut self.load.requests_at, &mut self.peak.requests_at, &provider);
        self.requests.insert(key, provider);
        let (all, run, each) = (self.load.requests, self.caps.run, self.caps.provider);
        for (now, most, what) in [(all, run, "the run"), (here, each, "the provider")] {
            self.demand(now <= most, || format!("{now} requests at once, {what} takes {most}"));
        }
    }

    pub(crate) fn cancel(&mut self, call: CallId, attempt: Attempt, now: Micros) {
        match self.index.get(&(call, attempt)) {
            Some(index) => self.executions[*index].cancelled = Some(now),
            None => self.violation(format!("attempt {attempt} of {call} cancelled, never sent")),
        }
    }

    /// An attempt's end is reported; says whether it is the first report.
    pub(crate) fn end(
        &mut self,
        (call, attempt): (CallId, Attempt),
        outcome: &Outcome,
        usage: Usage,
        now: Micros,
    ) -> bool {
        let Some(execution) = self.index.get(&(call, attempt)).map(|at| &mut self.executions[*at])
        else {
            return false;
        };
        if execution.ended.is_some() {
            return false;
        }
        execution.ended = Some((now, outcome.clone()));
        let is_lookup = execution.served_by == LOOKUP;
        execution.usage = usage;
        if let Some(price) = self.prices.get(&execution.served_by) {
            execution.usage.usd_micros = price.of(usage);
        }
        let served_by = execution.served_by.as_str();
        if is_lookup {
            self.found_out(call, &Found::of(outcome));
        } else if let Some(provider) = self.requests.remove(&(call, attempt)) {
            self.load.requests -= 1;
            lower(&mut self.load.requests_at, &provider);
        } else if let Some((provider, _)) = self.caps.subagents.get(served_by) {
            self.load.tasks -= 1;
            lower(&mut self.load.subagents, served_by);
            lower(&mut self.load.providers, provider);
        } else if served_by == TOOL {
            self.load.tools -= 1;
        }
        true
    }

    /// A guest is handed completions: each result must be durable, and each is handed out once.
    pub(crate) fn deliver(&mut self, guest: GuestId, input: &TurnInput) {
        let healthy = !self.broken || input.completions.is_empty();
        self.demand(healthy, || format!("guest {guest} given results after a failed sync"));
        for completion in &input.completions {
            let slot = completion.slot;
            let Some(call) = self.slots.get(&(guest, slot)).copied() else {
                self.violation(format!("guest {guest} given an answer to slot {slot} too early"));
                continue;
            };
            let kept = self.is_durable(self.settled.get(&call).copied());
            self.demand(kept, || format!("call {call} delivered before its result was durable"));
            let fresh = self.delivered.insert(call);
            self.demand(fresh, || format!("call {call} delivered twice"));
        }
    }

    pub(crate) fn guest_started(&mut self, guest: GuestId) {
        let fresh = self.guests.insert(guest);
        self.demand(fresh, || format!("guest {guest} started twice"));
    }

    pub(crate) fn guest_ended(&mut self, guest: GuestId) {
        let known = self.guests.remove(&guest);
        self.demand(known, || format!("guest {guest} dropped, not running"));
    }

    /// Guests that nobody dropped.
    pub(crate) fn guests_left(&self) -> Vec<GuestId> {
        self.guests.iter().copied().collect()
    }

    pub(crate) fn finish(&mut self, status: RunStatus) {
        let kept = self.finished && self.durable == self.appended && !self.broken;
        self.demand(kept, || format!("finished as {} with entries not durable", status.as_str()));
    }
}

const TOOL: &str = "tool";
const WORKFLOW: &str = "workflow";
const LOOKUP: &str = "lookup";

fn served_by(work: &Work) -> (String, String) {
    match work {
        Work::Task(task) => (task.subagent.clone(), task.prompt.clone()),
        Work::Tool { name, .. } => (TOOL.to_owned(), name.clone()),
        Work::Approve(approve) => ("approve".to_owned(), approve.question.clone()),
        Work::LoadProgram { name } => (WORKFLOW.to_owned(), name.clone()),
        Work::Model(request) => (request.model.clone(), "model".to_owned()),
        Work::ResolveModel { name } => ("resolve".to_owned(), name.clone()),
        Work::Worktree(_) => ("worktree".to_owned(), String::new()),
        Work::LookUp(sent) => (LOOKUP.to_owned(), served_by(sent).1),
    }
}

fn raise(load: &mut HashMap<String, usize>, peak: &mut HashMap<String, usize>, key: &str) -> usize {
    let now = load.entry(key.to_owned()).or_default();
    *now += 1;
    let most = peak.entry(key.to_owned()).or_default();
    *most = (*most).max(*now);
    *now
}

fn lower(load: &mut HashMap<String, usize>, key: &str) {
    if let Some(now) = load.get_mut(key) {
        *now -= 1;
    }
}

#[cfg(test)]
mod tests;
