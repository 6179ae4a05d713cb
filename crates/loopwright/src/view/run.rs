//! The whole run as people see it.

use super::cost::Models;
use super::group::GroupKey;
use super::reused::TakenOver;
use super::step::Step;
use super::{Cache, CallView, Context, Counts, GroupView, Outage};
use loopwright_protocol::{CallKind, ForkedFrom, Json};
use loopwright_types::{
    Attempt, CallId, Diagnostic, Digest, GuestId, Micros, Position, RunId, RunStatus, Usage,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Log lines kept; older ones are counted.
pub(super) const LOGS_MAX: usize = 1000;
/// Dropped errors and unhandled rejections kept; later ones are counted.
pub(super) const PROBLEMS_MAX: usize = 100;

/// A run folded from its entries; [`RunView::apply`] takes the next one.
///
/// One entry costs time that does not grow with the run. Memory grows with tasks, a few hundred bytes each,
/// never with the size of prompts, results or logs.
#[derive(Clone, Debug, Default)]
pub struct RunView {
    pub(super) header: Option<Box<Header>>,
    pub(super) guests: BTreeMap<GuestId, GuestView>,
    pub(super) groups: Vec<GroupView>,
    pub(super) group_index: HashMap<GroupKey, u32>,
    pub(super) waves: HashMap<(GuestId, u32), u32>,
    pub(super) calls: BTreeMap<CallId, CallView>,
    pub(super) under_way: BTreeSet<CallId>,
    pub(super) open_groups: BTreeSet<u32>,
    pub(super) tasks: Counts,
    pub(super) others: Counts,
    pub(super) usage: Usage,
    pub(super) reused: TakenOver,
    pub(super) logs: VecDeque<LogView>,
    pub(super) log_count: u64,
    pub(super) problems: Vec<Box<str>>,
    pub(super) problem_count: u64,
    pub(super) coverage: Option<Json>,
    pub(super) cancel_requested: bool,
    pub(super) pause_requested: bool,
    pub(super) resumes: u32,
    pub(super) repeated: u32,
    pub(super) lost: BTreeSet<CallId>,
    /// Attempts that look up what became of others.
    pub(super) lookups: BTreeSet<(CallId, Attempt)>,
    /// Lookups that ended: done, not done, unknown.
    pub(super) looked_up: [u32; 3],
    pub(super) finish: Option<Box<FinishView>>,
    pub(super) now: Micros,
    pub(super) brief: Option<CallId>,
    pub(super) steps: HashMap<CallId, Step>,
    pub(super) open_steps: BTreeSet<(CallId, CallId)>,
    pub(super) over: Option<CallId>,
    pub(super) models: Models,
    pub(super) cache: Cache,
    pub(super) down: Vec<Outage>,
    pub(super) outages: VecDeque<Outage>,
    pub(super) names: HashSet<Arc<str>>,
}

/// What a run was started with.
#[derive(Clone, Debug)]
pub struct Header {
    /// The run.
    pub run: RunId,
    /// When it began.
    pub started: Micros,
    /// The version of Loopwright that ran it.
    pub version: String,
    /// The program's file name as the author wrote it.
    pub program: String,
    /// Digest of the program's text.
    pub digest: Digest,
    /// `meta`, where the program has one.
    pub meta: Option<Json>,
    /// The arguments.
    pub args: Option<Json>,
    /// The workspace directory.
    pub workspace: String,
    /// The seed in force.
    pub seed: u64,
    /// Settings that are not at their defaults.
    pub settings: Vec<(String, String)>,
    /// The run that it was forked from.
    pub from: Option<ForkedFrom>,
    /// Longest time between two requests to a provider that is down.
    pub probe_max: Option<Micros>,
}

/// One guest: the program, or a nested one.
#[derive(Clone, Debug)]
pub struct GuestView {
    /// The `workflow()` call it serves; nothing for the program itself.
    pub call: Option<CallId>,
    /// Its program's file name.
    pub program: Box<str>,
    /// Why its main program gave no value.
    pub error: Option<Diagnostic>,
    /// Whether its main program has ended.
    pub ended: bool,
    /// Indexes of its groups in [`RunView::groups`].
    pub groups: Vec<u32>,
    pub(super) now: Micros,
    pub(super) source: Arc<str>,
    pub(super) line_starts: Vec<u32>,
}

/// One line the program wrote.
#[derive(Clone, Debug)]
pub struct LogView {
    /// When.
    pub at: Micros,
    /// `log`, `info`, `warn`, `error` or `debug`.
    pub level: Box<str>,
    /// The line, shortened.
    pub text: Box<str>,
    /// Where it was written.
    pub position: Option<Position>,
}

/// How a run ended or why it waits.
#[derive(Clone, Debug)]
pub struct FinishView {
    /// When.
    pub at: Micros,
    /// How.
    pub status: RunStatus,
    /// The program's value.
    pub result: Option<Json>,
    /// Why there is none, or why the run waits.
    pub error: Option<Diagnostic>,
    /// Work that gave the program nothing, one line each.
    pub failures: Vec<String>,
}

impl RunView {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the run was started with; nothing before its first entry.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_deref()
    }

    /// How the run stands as far as the entries say.
    pub fn status(&self) -> RunStatus {
        self.finish.as_ref().map_or(RunStatus::Running, |finish| finish.status)
    }

    /// How the run ended; nothing while it runs.
    pub fn finish(&self) -> Option<&FinishView> {
        self.finish.as_deref()
    }

    /// A guest; 0 is the program.
    pub fn guest(&self, guest: GuestId) -> Option<&GuestView> {
        self.guests.get(&guest)
    }

    /// The guest that serves a `workflow()` call.
    pub fn guest_of(&self, call: CallId) -> Option<(GuestId, &GuestView)> {
        self.call(call).filter(|call| call.kind == CallKind::Workflow)?; // most calls: no search
        let found = self.guests.iter().find(|(_, guest)| guest.call == Some(call));
        found.map(|(id, guest)| (*id, guest))
    }

    /// Groups in the order in which they were first seen.
    pub fn groups(&self) -> &[GroupView] {
        &self.groups
    }

    /// Groups that have calls without an outcome, as indexes of [`Self::groups`] in ascending order.
    pub fn open_groups(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.open_groups.iter().copied()
    }

    /// A call.
    pub fn call(&self, call: CallId) -> Option<&CallView> {
        self.calls.get(&call)
    }

    /// All calls that are kept, in the order in which they were made.
    pub fn calls(&self) -> impl Iterator<Item = &CallView> {
        self.calls.values()
    }

    /// Calls with an attempt under way or between two attempts, in the order in which they were made.
    pub fn under_way(&self) -> impl Iterator<Item = &CallView> {
        self.under_way.iter().filter_map(|call| self.calls.get(call))
    }

    /// Subagent tasks by status.
    pub fn tasks(&self) -> Counts {
        self.tasks
    }

    /// Tool calls, sleeps, questions and nested programs by status.
    pub fn others(&self) -> Counts {
        self.others
    }

    /// What all calls used so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Prompt caches of all calls so far.
    pub fn cache(&self) -> Cache {
        self.cache
    }

    /// Tokens of all tasks that have their outcome, and what of them the program saw.
    pub fn context(&self) -> Context {
        let mut all = Context::default();
        self.calls.values().filter_map(CallView::context).for_each(|context| all.add(context));
        all
    }

    /// The last log lines, oldest first.
    pub fn logs(&self) -> impl DoubleEndedIterator<Item = &LogView> + ExactSizeIterator {
        self.logs.iter()
    }

    /// All log lines, also those that are not kept.
    pub fn log_count(&self) -> u64 {
        self.log_count
    }

    /// Errors that became `null` in `parallel` or `pipeline`, and rejections that nothing handled.
    pub fn problems(&self) -> &[Box<str>] {
        &self.problems
    }

    /// All such errors, also those that are not kept.
    pub fn problem_count(&self) -> u64 {
        self.problem_count
    }

    /// The program's coverage report, as the guest tells it.
    pub fn coverage(&self) -> Option<&Json> {
        self.coverage.as_ref()
    }

    /// Whether the operator asked for the end.
    pub fn cancel_requested(&self) -> bool {
        self.cancel_requested
    }

    /// Whether the operator asked the run to wait.
    pub fn pause_requested(&self) -> bool {
        self.pause_requested
    }

    /// The latest time any entry told.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// How long the run took, or has taken at `now`.
    pub fn took(&self, now: Micros) -> Micros {
        let started = self.header.as_ref().map_or(now, |header| header.started);
        self.finish.as_ref().map_or(now, |finish| finish.at).since(started)
    }
}
