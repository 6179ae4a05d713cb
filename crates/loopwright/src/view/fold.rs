//! The reducer: one entry after the other becomes the run as people see it.

use super::call::NOTE_CHARS_MAX;
use super::group::GroupKey;
use super::preview::preview_text;
use super::run::{LOGS_MAX, PROBLEMS_MAX};
use super::{CallStatus, FinishView, GroupName, GroupView, GuestView, Header, LogView, RunView};
use loopwright_protocol::{
    CallEntry, Entry, Json, LogEntry, ProgramText, RunFinish, RunStart, TurnEntry,
};
use loopwright_types::{CallId, Diagnostic, GuestId, Micros, RunStatus, SETTINGS, SettingValue};
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
        if let Some(step) = self.over.take() {
            self.steps.remove(&step);
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
            Entry::Stepped(step) => self.stepped(step),
            Entry::ProviderDown { now, provider, failure } => {
                self.provider_down(*now, provider, failure);
            }
            Entry::ProviderUp { now, provider } => self.provider_up(*now, provider),
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
            Entry::PauseRequested { now } => {
                self.tick(*now);
                self.pause_requested = true;
            }
            Entry::RunFinished(finish) => self.run_finished(finish),
            Entry::GuestStopped { now, .. } => self.tick(*now),
            Entry::Resumed(resumed) => self.resumed(resumed),
            Entry::Decided(decided) => self.decided(decided),
        }
    }

    pub(super) fn tick(&mut self, now: Micros) {
        self.now = self.now.max(now);
    }

    fn run_started(&mut self, start: &RunStart) {
        self.tick(start.now);
        self.models.pinned(start);
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
            from: start.from.as_deref().cloned(),
            probe_max: probe_max(start),
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
    pub(super) fn phase(&mut self, guest: GuestId, title: &str) -> u32 {
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

    pub(super) fn wave(&mut self, entry: &CallEntry) -> u32 {
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
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
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
        if !entry.status.waits() {
            let open =
                self.open_groups.iter().flat_map(|group| &self.groups[*group as usize].calls);
            let open: Vec<CallId> = open.copied().filter(|call| self.is_open(*call)).collect();
            for call in open {
                self.shift(call, CallStatus::Cancelled);
            }
            // A run that may go on finds its steps again.
            if entry.status != RunStatus::Cancelled && !entry.external {
                self.drop_steps();
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

/// Runs of earlier versions do not have the setting.
fn probe_max(start: &RunStart) -> Option<Micros> {
    let value = start.settings.iter().find(|(name, _)| *name == "provider.probe_max_ms")?.1;
    match value {
        SettingValue::Integer(ms) => Some(Micros::from_millis(*ms)),
        _ => None,
    }
}
