//! The reducer: one entry after the other becomes the run as people see it.

use super::call::{NOTE_CHARS_MAX, value_note};
use super::group::GroupKey;
use super::preview::preview_text;
use super::run::{LOGS_MAX, PROBLEMS_MAX};
use super::{CallStatus, CallView, FinishView, GroupName, GroupView, GuestView, Header};
use super::{LogView, RunView};
use loopwright_protocol::{
    CallEntry, EndEntry, Entry, Json, LogEntry, Outcome, ProgramText, Progress, RunFinish,
    RunStart, SettleEntry, StartEntry, TurnEntry,
};
use loopwright_types::{
    Attempt, CallId, Diagnostic, GuestId, Micros, Reason, RunStatus, SETTINGS, Usage,
};
use serde::Deserialize;
use std::sync::Arc;

/// Longest phase title kept, in characters.
const TITLE_CHARS_MAX: usize = 120;
/// Longest piece of the program's line shown in the name of a group, in characters.
const SNIPPET_CHARS_MAX: usize = 60;
/// Longest log line kept, in characters.
const LOG_CHARS_MAX: usize = 400;

/// The one field of `meta` that progress is grouped by.
#[derive(Deserialize)]
struct DeclaredPhases {
    #[serde(default)]
    phases: Vec<DeclaredPhase>,
}

#[derive(Deserialize)]
struct DeclaredPhase {
    title: String,
    #[serde(default)]
    detail: Option<String>,
}

impl RunView {
    /// Takes the next entry.
    pub fn apply(&mut self, entry: &Entry) {
        if let Some(call) = self.brief.take() {
            self.calls.remove(&call);
        }
        self.finish = None; // a run that waited goes on
        match entry {
            Entry::RunStarted(start) => self.run_started(start),
            Entry::GuestStarted { guest, call, program, .. } => {
                self.guest_started(*guest, Some(*call), program);
                self.nested_started(*call);
            }
            Entry::Turn(turn) => self.turn(turn),
            Entry::Called(call) => self.called(call),
            Entry::AttemptStarted(start) => self.attempt_started(start),
            Entry::Dispatched { now, attempts } => {
                self.tick(*now);
                attempts.iter().for_each(|(call, attempt)| self.went_out(*call, *attempt, *now));
            }
            Entry::Progressed { call, attempt, now, progress } => {
                self.progressed(*call, *attempt, *now, progress);
            }
            Entry::AttemptEnded(end) => self.attempt_ended(end),
            Entry::Settled(settle) => self.settled(settle),
            Entry::Logged(log) => self.logged(log),
            Entry::Phase { guest, title } => {
                self.phase(*guest, title);
            }
            Entry::ScopeCancelled { .. } => {}
            Entry::Stepped(_) | Entry::ProviderDown { .. } | Entry::ProviderUp { .. } => {}
            Entry::Dropped { error, .. } => self.dropped(error),
            Entry::Coverage { report, .. } => self.coverage = Some(report.clone()),
            Entry::Unhandled { error, .. } => {
                let place = error.location.as_ref().map_or_else(String::new, |at| {
                    format!("{}:{}:{}: ", at.file, at.position.line, at.position.column)
                });
                self.problem(&format!("{place}unhandled: {} [{}]", error.message, error.code));
            }
            Entry::GuestEnded { guest, error, .. } => self.guest_ended(*guest, error.as_ref()),
            Entry::CancelRequested { now } => {
                self.tick(*now);
                self.cancel_requested = true;
            }
            Entry::RunFinished(finish) => self.run_finished(finish),
        }
    }

    fn tick(&mut self, now: Micros) {
        self.now = self.now.max(now);
    }

    fn run_started(&mut self, start: &RunStart) {
        self.tick(start.now);
        let changed = start.settings.iter().filter(|(name, value)| {
            let default = SETTINGS.iter().find(|setting| setting.name == *name);
            default.is_none_or(|setting| setting.default != value.to_string())
        });
        self.header = Some(Box::new(Header {
            run: start.run.clone(),
            started: start.now,
            version: start.version.clone(),
            program: start.program.name.clone(),
            digest: start.program.digest,
            meta: start.program.meta.clone(),
            args: start.args.clone(),
            workspace: start.workspace.clone(),
            seed: start.seed,
            settings: changed.map(|(name, value)| (name.to_owned(), value.to_string())).collect(),
        }));
        self.guest_started(GuestId(0), None, &start.program);
    }

    fn guest_started(&mut self, guest: GuestId, call: Option<CallId>, program: &ProgramText) {
        let ends = program.source.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(ends).map(|at| at as u32).collect();
        let view = GuestView {
            call,
            program: preview_text(&program.name, TITLE_CHARS_MAX),
            error: None,
            ended: false,
            groups: Vec::new(),
            now: self.now,
            source: program.source.as_str().into(),
            line_starts,
        };
        self.guests.insert(guest, view);
        let declared = program.meta.as_ref().and_then(|meta| meta.read::<DeclaredPhases>().ok());
        for phase in declared.into_iter().flat_map(|meta| meta.phases) {
            let group = self.phase(guest, &phase.title);
            let detail = phase.detail.map(|detail| preview_text(&detail, TITLE_CHARS_MAX));
            self.groups[group as usize].detail = detail;
        }
    }

    /// A `workflow()` call runs while its guest does.
    fn nested_started(&mut self, call: CallId) {
        let now = self.now;
        if self.is_open(call)
            && let Some(view) = self.shift(call, CallStatus::Running)
        {
            view.started.get_or_insert(now);
        }
    }

    fn turn(&mut self, turn: &TurnEntry) {
        self.tick(turn.now);
        if let Some(guest) = self.guests.get_mut(&turn.guest) {
            guest.now = turn.now;
        }
    }

    fn guest_ended(&mut self, guest: GuestId, error: Option<&Diagnostic>) {
        if let Some(guest) = self.guests.get_mut(&guest) {
            guest.ended = true;
            guest.error = error.cloned();
        }
    }

    /// The group of a phase, which exists from the first time it is named.
    fn phase(&mut self, guest: GuestId, title: &str) -> u32 {
        let title = self.name(&preview_text(title, TITLE_CHARS_MAX));
        let key = GroupKey::Phase(guest, title.clone());
        self.group(guest, key, |_| GroupName::Phase(title))
    }

    fn group(
        &mut self,
        guest: GuestId,
        key: GroupKey,
        name: impl FnOnce(&mut Self) -> GroupName,
    ) -> u32 {
        if let Some(index) = self.group_index.get(&key) {
            return *index;
        }
        let index = self.groups.len() as u32;
        let name = name(self);
        self.groups.push(GroupView::new(guest, name));
        self.group_index.insert(key, index);
        if let Some(guest) = self.guests.get_mut(&guest) {
            guest.groups.push(index);
        }
        index
    }

    fn wave(&mut self, entry: &CallEntry) -> u32 {
        let guest = entry.guest;
        let line = entry.position.map_or(0, |position| position.line);
        self.group(guest, GroupKey::Wave(guest, line, entry.turn), |view| {
            let wave = view.waves.entry((guest, line)).or_default();
            *wave += 1;
            let wave = *wave;
            let text = view.guests.get(&guest).map(|guest| guest.line(line)).unwrap_or_default();
            GroupName::Wave { line, wave, text: preview_text(text, SNIPPET_CHARS_MAX) }
        })
    }

    /// One copy of each name, however many calls carry it.
    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }

    fn called(&mut self, entry: &CallEntry) {
        let group = match &entry.phase {
            Some(title) => self.phase(entry.guest, title),
            None => self.wave(entry),
        };
        let subagent = entry.subagent.as_deref().map(|name| self.name(name));
        let called = self.guests.get(&entry.guest).map_or(self.now, |guest| guest.now);
        let view = CallView::new(entry, group, subagent, called);
        let index = group as usize;
        let (all, of_group) = if view.kind.is_task() {
            (&mut self.tasks, &mut self.groups[index].tasks)
        } else {
            (&mut self.others, &mut self.groups[index].others)
        };
        all.add(view.status);
        of_group.add(view.status);
        self.groups[index].calls.push(entry.call);
        self.open_groups.insert(group);
        self.calls.insert(entry.call, view);
    }

    /// Moves a call to another status and keeps every count right. Nothing for an unknown call.
    fn shift(&mut self, call: CallId, to: CallStatus) -> Option<&mut CallView> {
        let view = self.calls.get_mut(&call)?;
        let from = std::mem::replace(&mut view.status, to);
        let group = &mut self.groups[view.group as usize];
        let (all, of_group) = if view.kind.is_task() {
            (&mut self.tasks, &mut group.tasks)
        } else {
            (&mut self.others, &mut group.others)
        };
        all.shift(from, to);
        of_group.shift(from, to);
        if group.tasks.unfinished() + group.others.unfinished() == 0 {
            self.open_groups.remove(&view.group);
        }
        if matches!(to, CallStatus::Running | CallStatus::Retrying) {
            self.under_way.insert(call);
        } else {
            self.under_way.remove(&call);
        }
        Some(view)
    }

    /// Whether the call is there and has no outcome yet.
    fn is_open(&self, call: CallId) -> bool {
        self.calls.get(&call).is_some_and(|view| !view.status.is_final())
    }

    fn attempt_started(&mut self, entry: &StartEntry) {
        self.tick(entry.now);
        if !self.is_open(entry.call) {
            return;
        }
        let asked = entry.subagent.as_deref().map(|name| self.name(name));
        if let Some(view) = self.calls.get_mut(&entry.call) {
            view.subagent = asked.or(view.subagent.take());
        }
        if !entry.ahead {
            self.went_out(entry.call, entry.attempt, entry.now);
        }
    }

    fn went_out(&mut self, call: CallId, attempt: Attempt, now: Micros) {
        if !self.is_open(call) {
            return;
        }
        if let Some(view) = self.shift(call, CallStatus::Running) {
            view.attempts = view.attempts.max(attempt.0);
            view.started.get_or_insert(now);
            view.note = None;
        }
    }

    fn progressed(&mut self, call: CallId, attempt: Attempt, now: Micros, progress: &Progress) {
        self.tick(now);
        let Some(view) = self.calls.get_mut(&call) else { return };
        if let Progress::Message(text) = progress
            && view.status == CallStatus::Running
            && view.attempts == attempt.0
        {
            view.note = Some(preview_text(text, NOTE_CHARS_MAX));
        }
    }

    fn attempt_ended(&mut self, entry: &EndEntry) {
        self.tick(entry.now);
        self.usage.add(entry.usage);
        if !self.is_open(entry.call) {
            if let Some(view) = self.calls.get_mut(&entry.call) {
                view.usage.add(entry.usage); // an attempt that outlived its call is still paid for
            }
            return;
        }
        if let Some(view) = self.shift(entry.call, CallStatus::Retrying) {
            view.usage.add(entry.usage);
            view.note = match &entry.outcome {
                Outcome::Failed(failure) => Some(preview_text(&failure.message, NOTE_CHARS_MAX)),
                Outcome::Done(_) => None,
            };
        }
    }

    fn settled(&mut self, entry: &SettleEntry) {
        self.tick(entry.now);
        if !self.is_open(entry.call) {
            return;
        }
        let status = match &entry.outcome {
            Outcome::Done(_) => CallStatus::Done,
            Outcome::Failed(failure) if failure.reason == Reason::Cancelled => {
                CallStatus::Cancelled
            }
            Outcome::Failed(_) => CallStatus::Failed,
        };
        let Some(view) = self.shift(entry.call, status) else { return };
        view.attempts = view.attempts.max(entry.attempts);
        view.started = view.started.or(entry.started);
        view.ended = Some(entry.now);
        view.fallback = entry.fallback;
        let (note, failure) = match (&entry.outcome, &entry.hidden) {
            (Outcome::Done(value), hidden) => (value_note(value), hidden.as_ref()),
            (Outcome::Failed(failure), _) => {
                (preview_text(&failure.message, NOTE_CHARS_MAX), Some(failure))
            }
        };
        view.note = Some(note);
        view.failure = failure.map(|failure| (failure.reason, failure.code));
        let (counted, brief) = (view.usage, view.is_brief());
        view.usage = entry.usage;
        self.usage.add(less(entry.usage, counted));
        if brief {
            self.brief = Some(entry.call);
        }
    }

    fn logged(&mut self, entry: &LogEntry) {
        self.tick(entry.now);
        if self.logs.len() == LOGS_MAX {
            self.logs.pop_front();
        }
        self.log_count += 1;
        self.logs.push_back(LogView {
            at: entry.now,
            level: preview_text(&entry.level, 8),
            text: preview_text(&entry.text, LOG_CHARS_MAX),
            position: entry.position,
        });
    }

    fn dropped(&mut self, error: &Json) {
        #[derive(Deserialize)]
        struct Thrown {
            #[serde(default)]
            message: String,
        }
        let thrown = error.read::<Thrown>().map(|thrown| thrown.message).unwrap_or_default();
        self.problem(&format!("became null: {thrown}"));
    }

    fn problem(&mut self, text: &str) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(preview_text(text, NOTE_CHARS_MAX));
        }
    }

    fn run_finished(&mut self, entry: &RunFinish) {
        self.tick(entry.now);
        if entry.status != RunStatus::Parked {
            let open =
                self.open_groups.iter().flat_map(|group| &self.groups[*group as usize].calls);
            let open: Vec<CallId> = open.copied().filter(|call| self.is_open(*call)).collect();
            for call in open {
                self.shift(call, CallStatus::Cancelled);
            }
        }
        self.usage = entry.usage;
        self.finish = Some(Box::new(FinishView {
            at: entry.now,
            status: entry.status,
            result: entry.result.clone(),
            error: entry.error.clone(),
            failures: entry.failures.clone(),
        }));
    }
}

impl GuestView {
    /// The author's line of this number, without the white space around it.
    fn line(&self, line: u32) -> &str {
        let index = line.wrapping_sub(1) as usize;
        let Some(start) = self.line_starts.get(index) else { return "" };
        let end = self.line_starts.get(index + 1).map_or(self.source.len(), |end| *end as usize);
        self.source.get(*start as usize..end).unwrap_or_default().trim()
    }
}

/// What is in `all` and not yet in `counted`.
fn less(all: Usage, counted: Usage) -> Usage {
    Usage {
        input_tokens: all.input_tokens.saturating_sub(counted.input_tokens),
        output_tokens: all.output_tokens.saturating_sub(counted.output_tokens),
        cache_read_tokens: all.cache_read_tokens.saturating_sub(counted.cache_read_tokens),
        cache_write_tokens: all.cache_write_tokens.saturating_sub(counted.cache_write_tokens),
        usd_micros: all.usd_micros.saturating_sub(counted.usd_micros),
    }
}
