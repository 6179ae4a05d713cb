//! The engine's state and its step.

use crate::budget::Ledger;
use crate::call::Call;
use crate::finish::{Ending, Tally};
use crate::gate::Gate;
use crate::guest::Guest;
use crate::identity::Identifier;
use crate::lanes::{Lanes, SubagentIndex};
use crate::options::Options;
use crate::past::{Outset, Past};
use crate::prefix::Prefixes;
use crate::reuse::Reuse;
use crate::schemas::Schemas;
use loopwright_protocol::{
    CallKind, Command, Entry, Event, GuestStart, Json, Model, Outcome, ProgramText, Progress,
    RunStart, Subagent, Tool, Work, Worktree,
};
use loopwright_types::{Attempt, Bug, CallId, GuestId, Micros, Reason, RunId, Usage};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// One run. Feed it events with [`Engine::step`] and carry out the commands it answers with, in order.
#[derive(Debug)]
pub struct Engine {
    pub(crate) run: RunId,
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) subagents: Vec<Subagent>,
    pub(crate) names: HashMap<String, SubagentIndex>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) now: Micros,
    pub(crate) guests: Vec<Guest>,
    pub(crate) calls: Vec<Call>,
    pub(crate) lanes: Lanes,
    pub(crate) tool_lane: Lanes,
    pub(crate) ledger: Ledger,
    /// Providers of models that were asked.
    pub(crate) gates: Vec<Gate>,
    pub(crate) prefixes: Prefixes,
    /// Worktrees of tasks that are settled, with the calls that still work in each.
    pub(crate) left_worktrees: HashMap<CallId, (Worktree, Vec<CallId>)>,
    /// Models by the names that ask for them.
    pub(crate) models: HashMap<String, Arc<Model>>,
    /// Tasks that wait for a model's name to be looked up, by the name.
    pub(crate) resolving: HashMap<String, Vec<CallId>>,
    /// Those whose asker is no longer wanted.
    pub(crate) unresolved: Vec<CallId>,
    /// The model of subagents that name none.
    pub(crate) model_default: Option<String>,
    pub(crate) schemas: Schemas,
    pub(crate) identifier: Identifier,
    /// A recorded run whose outcomes are taken over.
    pub(crate) reuse: Option<Box<Reuse>>,
    pub(crate) turns: u32,
    pub(crate) tally: Tally,
    pub(crate) result_schema: Option<Json>,
    /// Calls in doubt whose lookups have not gone out.
    pub(crate) to_look_up: BTreeSet<CallId>,
    /// Attempts whose end the host still owes.
    pub(crate) active: usize,
    /// Unsettled calls that wait for something outside the run.
    pub(crate) parked: usize,
    pub(crate) ending: Option<Ending>,
    /// Whether the operator asked for a pause: nothing new begins.
    pub(crate) pausing: bool,
    pub(crate) out: Vec<Command>,
    start: Option<Box<RunStart>>,
    /// The attempt whose end is being looked at and not written yet, and what it used.
    pub(crate) ending_of: Option<(CallId, Attempt, Usage)>,
    /// What a run that is restored from its journal has been through; `None` in one that is live.
    pub(crate) past: Option<Box<Past>>,
    /// What a restored run goes on with.
    pub(crate) outset: Outset,
    /// Attempts that went out on intents written ahead, not told yet.
    pub(crate) dispatched: Vec<(CallId, Attempt)>,
    pub(crate) appended: u64,
    pub(crate) durable: u64,
    /// Commands that wait until the entry of this number is durable.
    held: VecDeque<(u64, Command)>,
    /// Settled calls that wait until the entry of this number is durable.
    undelivered: VecDeque<(u64, CallId)>,
    /// Guests that may have something to do.
    ready: VecDeque<GuestId>,
    /// The guest whose turn is under way. One at a time: what a turn does may end other guests, and a
    /// turn that was begun is always taken up in the journal whole.
    pub(crate) turning: Option<GuestId>,
}

impl Engine {
    /// A run that has not begun. `gas_per_ms` is the interpreter's calibration of computing time.
    pub fn new(start: RunStart, gas_per_ms: u64) -> Self {
        let options = Options::new(&start.settings, gas_per_ms);
        let cap = |subagent: &Subagent| {
            let own = subagent.concurrency.map_or(usize::MAX, |own| own as usize);
            own.min(options.concurrency_per_subagent)
        };
        let lanes = Lanes::new(
            options.concurrency,
            options.concurrency_per_provider,
            start.subagents.iter().map(|subagent| (subagent.provider.as_str(), cap(subagent))),
        );
        let tool_lane =
            Lanes::new(options.concurrency, options.concurrency, [("tool", usize::MAX)]);
        let names = start.subagents.iter().enumerate();
        let names = names.map(|(index, subagent)| (subagent.name.clone(), index)).collect();
        let budget = crate::finish::meta_budget(&start.program);
        let ledger = Ledger::new(budget, options.ceiling_tokens, options.ceiling_usd_micros);
        Self {
            run: start.run.clone(),
            seed: start.seed,
            options,
            subagents: start.subagents.clone(),
            names,
            tools: start.tools.clone(),
            now: start.now,
            guests: Vec::new(),
            calls: Vec::new(),
            lanes,
            tool_lane,
            ledger,
            gates: Vec::new(),
            prefixes: Prefixes::default(),
            left_worktrees: HashMap::new(),
            models: start
                .models
                .iter()
                .map(|(name, model)| (name.clone(), Arc::new(model.clone())))
                .collect(),
            resolving: HashMap::new(),
            unresolved: Vec::new(),
            model_default: start.model.clone(),
            schemas: Schemas::default(),
            identifier: Identifier::new(&start),
            reuse: Reuse::of(&start),
            turns: 0,
            tally: Tally::default(),
            result_schema: crate::finish::meta_result(&start.program),
            to_look_up: BTreeSet::new(),
            active: 0,
            parked: 0,
            ending: None,
            pausing: false,
            out: Vec::new(),
            start: Some(Box::new(start)),
            ending_of: None,
            past: None,
            outset: Outset::default(),
            dispatched: Vec::new(),
            appended: 0,
            durable: 0,
            held: VecDeque::new(),
            undelivered: VecDeque::new(),
            ready: VecDeque::new(),
            turning: None,
        }
    }

    /// Takes one event and adds the commands that follow from it.
    pub fn step(&mut self, event: Event, commands: &mut Vec<Command>) {
        let over = self.ending.as_ref().is_some_and(|ending| ending.written);
        if over && !matches!(event, Event::Synced { .. } | Event::Resumed { .. }) {
            return; // the last entry is written
        }
        match event {
            Event::Started { now } => {
                self.tick(now);
                self.begin();
            }
            Event::Resumed { now } => self.set_out(now),
            Event::Decided { call, decision, now } => {
                self.tick(now);
                self.decide(call, decision);
            }
            Event::Turned { guest, report, now } => {
                self.tick(now);
                self.on_turned(guest, *report);
            }
            Event::Synced { count, now } => {
                self.tick(now);
                self.on_synced(count);
            }
            Event::Ended { call, attempt, outcome, usage, now } => {
                self.tick(now);
                self.tell_dispatched_of(call);
                self.on_ended(call, attempt, outcome, usage);
            }
            Event::Progressed { call, attempt, progress, now } => {
                self.tick(now);
                if self.is_active(call, attempt) {
                    self.on_progressed(call, attempt, progress);
                }
            }
            Event::Due { timer, now } => {
                self.tick(now);
                self.on_due(timer, now);
            }
            Event::CancelRequested { now } => {
                self.tick(now);
                self.cancel_run();
            }
            Event::PauseRequested { now } => {
                self.tick(now);
                self.pause_run();
            }
        }
        self.schedule();
        self.turn_guests();
        self.try_to_finish();
        commands.append(&mut self.out);
    }

    fn on_progressed(&mut self, call: CallId, attempt: Attempt, progress: Progress) {
        let kept = match self.calls[call.0 as usize].kind {
            CallKind::Model => self.model_progressed(call, progress),
            _ => Some(progress),
        };
        if let Some(progress) = kept {
            let now = self.now;
            self.append(Entry::Progressed { call, attempt, now, progress });
        }
    }

    /// The run's clock never goes back, whatever the host's does.
    pub(crate) fn tick(&mut self, now: Micros) {
        self.now = self.now.max(now);
    }

    pub(crate) fn begin(&mut self) {
        let Some(start) = self.start.take() else { return };
        let (program, args) = (start.program.clone(), start.args.clone());
        self.append(Entry::RunStarted(start));
        self.start_guest(None, 0, program, args.as_ref());
    }

    /// Makes a guest; its first turn follows.
    pub(crate) fn start_guest(
        &mut self,
        call: Option<CallId>,
        depth: u64,
        program: ProgramText,
        args: Option<&Json>,
    ) -> GuestId {
        let id = GuestId(u32::try_from(self.guests.len()).expect("calls are counted in 32 bits"));
        self.guests.push(Guest::new(program.name.clone(), call, depth));
        let lost = Bug::LoseSeed.is_on() && self.past.is_some();
        let seed = if lost { 0 } else { crate::jitter::guest_seed(self.seed, id.0) };
        let config = crate::deliver::config(&self.tools, &self.subagents, &self.options, args);
        let start = Box::new(GuestStart { program, config, seed });
        self.out.push(Command::StartGuest { guest: id, start });
        self.mark_ready(id);
        id
    }

    /// Appends an entry and gives its number.
    pub(crate) fn append(&mut self, entry: Entry) -> u64 {
        match &mut self.past {
            Some(past) => past.made(entry),
            None => self.out.push(Command::Append(Box::new(entry))),
        }
        self.appended += 1;
        self.appended - 1
    }

    /// Holds a command back until the last appended entry is durable.
    pub(crate) fn hold(&mut self, command: Command) {
        assert!(self.appended > 0, "nothing is dispatched before its intent is written");
        if Bug::FinishEarly.is_on() {
            return self.release(command);
        }
        self.held.push_back((self.appended - 1, command));
    }

    /// Holds a dispatch back until the entry of this number is durable; it may be already.
    pub(crate) fn hold_until(&mut self, number: u64, command: Command) {
        if number < self.durable || Bug::DispatchEarly.is_on() {
            return self.release(command);
        }
        let at = self.held.partition_point(|(other, _)| *other <= number);
        self.held.insert(at, (number, command));
    }

    /// Delivers a settled call once the last appended entry is durable.
    pub(crate) fn deliver_when_durable(&mut self, call: CallId) {
        if Bug::DeliverEarly.is_on() && self.past.is_none() {
            let guest = self.calls[call.0 as usize].guest;
            self.guests[guest.0 as usize].deliverable.push(call);
            return self.mark_ready(guest);
        }
        self.undelivered.push_back((self.appended - 1, call));
    }

    fn on_synced(&mut self, count: u64) {
        assert!(count <= self.appended, "only what was appended can be durable");
        self.tell_dispatched();
        self.set_durable(count);
    }

    /// Entries up to this count are durable: what waited for that goes on.
    pub(crate) fn set_durable(&mut self, count: u64) {
        self.durable = self.durable.max(count);
        while let Some((number, _)) = self.held.front()
            && *number < self.durable
            && let Some((_, command)) = self.held.pop_front()
        {
            self.release(command);
        }
        while let Some((number, call)) = self.undelivered.front().copied()
            && number < self.durable
        {
            self.undelivered.pop_front();
            let guest_id = self.calls[call.0 as usize].guest;
            let guest = &mut self.guests[guest_id.0 as usize];
            if !guest.ended {
                guest.deliverable.push(call);
                self.mark_ready(guest_id);
            }
        }
    }

    /// Lets a held command go, unless what it was for is settled by now.
    fn release(&mut self, command: Command) {
        let restored = self.past.is_some(); // the process before has let it go
        if let Command::Dispatch(dispatch) = &command {
            let (id, attempt) = (dispatch.call, dispatch.attempt);
            let call = &mut self.calls[id.0 as usize];
            call.held = false;
            if !restored && call.is_settled() && !Bug::RunSettledAgain.is_on() {
                self.forget_attempt(id);
                self.gate_dropped(id);
                let dropped = Outcome::Failed(crate::cancel::failure(Reason::Cancelled));
                return self.left_by(id, &dropped);
            }
            if !restored && self.is_interrupted() {
                let unsent = Outcome::Failed(crate::cancel::failure(Reason::Cancelled).not_sent());
                return self.on_ended(id, attempt, unsent, Usage::default());
            }
            if !restored && self.pausing && matches!(dispatch.work, Work::Approve(_)) {
                return self.put_off(id);
            }
        }
        if !restored {
            self.out.push(command);
        }
    }

    /// Whether the host still owes this attempt's end.
    pub(crate) fn is_active(&self, id: CallId, attempt: Attempt) -> bool {
        self.calls.get(id.0 as usize).is_some_and(|call| call.active == Some(attempt))
    }

    /// Whether settled calls still wait for the disk.
    pub(crate) fn has_undelivered(&self) -> bool {
        !self.undelivered.is_empty()
    }

    /// Remembers that a guest may have something to do.
    pub(crate) fn mark_ready(&mut self, guest: GuestId) {
        if self.past.is_none() {
            self.ready.push_back(guest);
        }
    }

    /// Runs the guests that have something to take, and ends those that are done.
    fn turn_guests(&mut self) {
        while self.turning.is_none()
            && self.ending.is_none()
            && !self.pausing
            && let Some(id) = self.ready.pop_front()
        {
            let guest = &self.guests[id.0 as usize];
            if guest.ended {
                continue;
            }
            if guest.fresh || !guest.deliverable.is_empty() {
                self.begin_turn(id);
            } else if self.guest_is_done(id) {
                self.guest_done(id);
            }
        }
    }
}
