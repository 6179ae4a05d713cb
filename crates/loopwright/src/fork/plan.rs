//! What a fork would do, call by call. Its guests are run twice without anything being sent: once with recorded
//! answers standing in for what misses, once with those answers changed. What hits both times hits whatever the new
//! answers are; what hits only the first time depends on them.

use super::cost::{Cost, Prices};
use super::host::ForecastHost;
use crate::execute::on_own_thread;
use crate::prepare::Run;
use crate::view::preview_text;
use loopwright_engine::{Engine, Miss, Part, Recorded, Refusal, Verdict, drive};
use loopwright_interpreter::Guests;
use loopwright_protocol::{CallEntry, CallKind, Json, RunStart};
use loopwright_types::{CallId, Diagnostic, Effects, Position, RunId, Usage};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Longest label of a call, in characters.
const LABEL_CHARS_MAX: usize = 200;

/// Whether a call is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It gets the recorded outcome.
    Hit,
    /// It is made again if the answers that it depends on are not what they were.
    Perhaps,
    /// It is made.
    Miss,
}

/// Why a call is made again, or what is to be known of one that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing like it was recorded.
    New,
    /// This part of it is not what it was.
    Changed(Part),
    /// The recorded outcome is no answer to take over.
    Refused(Refusal),
    /// It depends on an answer that is asked for again.
    Upstream,
    /// More calls of this identity are made than were recorded.
    More,
    /// A file that was read for its answer has changed, and it is taken over all the same.
    StaleKept,
    /// The answer had effects, and is taken over because the operator said so.
    EffectsKept,
}

impl Why {
    /// The word for people and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed(part) => part.as_str(),
            Self::Refused(Refusal::Failed) => "failed",
            Self::Refused(Refusal::Unfinished) => "unfinished",
            Self::Refused(Refusal::Fallback) => "fallback",
            Self::Refused(Refusal::Effects) => "effects",
            Self::Refused(Refusal::Person) => "person",
            Self::Refused(Refusal::Stale) => "stale",
            Self::Refused(Refusal::After) => "after",
            Self::Upstream => "upstream",
            Self::More => "more",
            Self::StaleKept => "stale-kept",
            Self::EffectsKept => "effects-kept",
        }
    }
}

/// One call that the fork will make.
#[derive(Clone, Debug)]
pub struct PlannedCall {
    /// Its number in the fork, as far as the forecast goes.
    pub call: CallId,
    /// Its kind.
    pub kind: CallKind,
    /// Its label, else the beginning of what it asks.
    pub label: String,
    /// The subagent type, where it has one.
    pub subagent: Option<String>,
    /// The author's line and column.
    pub position: Option<Position>,
    /// Whether it is made again.
    pub standing: Standing,
    /// Why.
    pub why: Vec<Why>,
    /// The recorded call that it gets its outcome from, or resembles most.
    pub like: Option<CallId>,
    /// What it is expected to cost, or what taking over saves.
    pub cost: Cost,
    /// What that recorded call may have done.
    pub effects: Effects,
}

/// What a fork will do, as far as that can be known before.
#[derive(Clone, Debug)]
pub struct ForkPlan {
    /// The old run.
    pub from: RunId,
    /// The fork.
    pub run: RunId,
    /// Calls of subagents, tools and people, in call order.
    pub calls: Vec<PlannedCall>,
    /// Whether more may follow that cannot be known: it waits for an answer that nothing recorded stands in for.
    pub is_open: bool,
    /// Recorded calls that are not made any more, as far as the forecast goes.
    pub gone: usize,
    /// Subagent types with hits whose reads are not seen, because another program serves them.
    pub unseen: Vec<String>,
}

impl ForkPlan {
    /// How many calls stand like this.
    pub fn count(&self, standing: Standing) -> usize {
        self.calls.iter().filter(|call| call.standing == standing).count()
    }

    /// What the calls that stand like this cost together, and how many of them nobody can price.
    pub fn cost(&self, standing: Standing) -> (Usage, usize) {
        let of = self.calls.iter().filter(|call| call.standing == standing);
        of.fold((Usage::default(), 0), |(mut sum, unknown), call| {
            sum.add(call.cost.usage());
            (sum, unknown + usize::from(call.cost == Cost::Unknown))
        })
    }

    /// Calls that may change something and that were sent before: they may do it twice. What failed or was cut off may
    /// have done it, too.
    pub fn repeats_effects(&self) -> usize {
        let again =
            |call: &&PlannedCall| call.standing != Standing::Hit && call.effects != Effects::None;
        self.calls.iter().filter(again).count()
    }

    /// Whether the fork spends anything: a subagent is asked, or something may change.
    pub fn spends(&self) -> bool {
        let spends = |call: &PlannedCall| {
            call.standing != Standing::Hit
                && (call.cost != Cost::Free || call.effects != Effects::None)
        };
        self.is_open || self.calls.iter().any(spends)
    }
}

/// One pass: what becomes of each call, and the calls themselves.
struct Pass {
    past: Recorded,
    verdicts: Vec<(CallId, Verdict)>,
    called: Vec<CallEntry>,
    is_open: bool,
}

/// Finds out what the fork will do; gives the past back.
pub(super) fn plan(
    run: &Run,
    past: Recorded,
    stale: &[CallId],
) -> Result<(Recorded, ForkPlan), Diagnostic> {
    let first = pass(run, past, false)?;
    let stood_in = |(_, verdict): &(CallId, Verdict)| match verdict {
        Verdict::Miss(miss) => miss.stood_in,
        Verdict::Hit(_) => false,
    };
    let Pass { past, verdicts, called, is_open } = first;
    let (past, sure) = if verdicts.iter().any(stood_in) {
        let second = pass(run, past, true)?;
        (second.past, Some(hits(&second.verdicts)))
    } else {
        (past, None)
    };
    let calls = Rows { start: &run.start, past: &past, sure, stale }.rows(&verdicts, called);
    let taken: BTreeSet<CallId> = calls.iter().filter_map(|call| call.like).collect();
    let gone = past.calls().iter().filter(|call| !taken.contains(&call.entry.call)).count();
    let unseen = unseen(&run.start, &calls);
    let (from, run) = (past.run().clone(), run.start.run.clone());
    let plan = ForkPlan { from, run, calls, is_open, gone, unseen };
    Ok((past, plan))
}

fn hits(verdicts: &[(CallId, Verdict)]) -> BTreeSet<usize> {
    let hit = |(_, verdict): &(CallId, Verdict)| match verdict {
        Verdict::Hit(at) => Some(*at),
        Verdict::Miss(_) => None,
    };
    verdicts.iter().filter_map(hit).collect()
}

fn pass(run: &Run, past: Recorded, changed: bool) -> Result<Pass, Diagnostic> {
    let now = run.start.now;
    let mut host = ForecastHost::new(now, Arc::clone(&run.tools), run.workspace.clone());
    let mut engine = Engine::new(run.start.clone(), loopwright_interpreter::GAS_PER_MS)
        .forecasting(past, &super::again::FREE, changed);
    let mut guests = Guests::new(run.interpreter.clone(), &run.start.settings);
    on_own_thread(move || {
        let ended = drive(&mut engine, &mut host, &mut guests, now, &mut |_| {});
        let is_open = engine.is_open_forecast() || ended.is_err();
        let (past, verdicts) = engine.forecasted().expect("it was only forecast");
        Pass { past, verdicts, called: host.called, is_open }
    })
}

/// What rows are made from.
struct Rows<'a> {
    start: &'a RunStart,
    past: &'a Recorded,
    /// Recorded calls that hit whatever the new answers are; absent is all.
    sure: Option<BTreeSet<usize>>,
    stale: &'a [CallId],
}

impl Rows<'_> {
    fn rows(&self, verdicts: &[(CallId, Verdict)], called: Vec<CallEntry>) -> Vec<PlannedCall> {
        let prices = Prices::new(self.start, self.past);
        let called: HashMap<CallId, CallEntry> =
            called.into_iter().map(|call| (call.call, call)).collect();
        let row = |(id, verdict): &(CallId, Verdict)| {
            let call = called.get(id)?;
            Some(self.row(call, verdict, &prices))
        };
        verdicts.iter().filter_map(row).collect()
    }

    fn row(&self, call: &CallEntry, verdict: &Verdict, prices: &Prices<'_>) -> PlannedCall {
        let (standing, why, at, cost) = match verdict {
            Verdict::Hit(at) => {
                let is_sure = self.sure.as_ref().is_none_or(|sure| sure.contains(at));
                let standing = if is_sure { Standing::Hit } else { Standing::Perhaps };
                (standing, self.kept(*at, is_sure), Some(*at), prices.of(call, Some(*at), &[]))
            }
            Verdict::Miss(miss) => {
                let cost = prices.of(call, miss.past, &miss.changed);
                (Standing::Miss, why(miss), miss.past, cost)
            }
        };
        let recorded = at.map(|at| &self.past.calls()[at]);
        PlannedCall {
            call: call.call,
            kind: call.kind,
            label: label(call),
            subagent: call.subagent.clone(),
            position: call.position,
            standing,
            why,
            like: recorded.map(|call| call.entry.call),
            cost,
            effects: recorded.map_or(Effects::None, |call| call.effects),
        }
    }

    fn kept(&self, at: usize, is_sure: bool) -> Vec<Why> {
        let call = &self.past.calls()[at];
        let mut why = Vec::new();
        if !is_sure {
            why.push(Why::Upstream);
        }
        if self.stale.contains(&call.entry.call) {
            why.push(Why::StaleKept);
        }
        if call.effects != Effects::None || call.entry.kind == CallKind::Approve {
            why.push(Why::EffectsKept);
        }
        why
    }
}

fn why(miss: &Miss) -> Vec<Why> {
    if let Some(refusal) = miss.refused {
        return vec![Why::Refused(refusal)];
    }
    match (miss.past, miss.changed.is_empty()) {
        (None, _) => vec![Why::New],
        (Some(_), true) => vec![Why::More],
        (Some(_), false) => miss.changed.iter().map(|part| Why::Changed(*part)).collect(),
    }
}

/// Subagents with hits that other programs serve: what those read is not recorded.
fn unseen(start: &RunStart, calls: &[PlannedCall]) -> Vec<String> {
    let served = |name: &str| {
        let found = start.subagents.iter().find(|subagent| subagent.name == name);
        found.is_some_and(|it| ["acp", "command"].contains(&it.driver.as_str()))
    };
    let hits = calls.iter().filter(|call| call.standing != Standing::Miss);
    let names: BTreeSet<&String> =
        hits.filter_map(|call| call.subagent.as_ref()).filter(|name| served(name)).collect();
    names.into_iter().cloned().collect()
}

/// What names a call for people.
fn label(call: &CallEntry) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Named {
        label: Option<String>,
        prompt: String,
        question: String,
        name: String,
        args: Option<Json>,
    }
    let named: Named = call.request.read().unwrap_or_default();
    let text = match call.kind {
        CallKind::Tool => {
            format!("{} {}", named.name, named.args.as_ref().map_or("", Json::text))
        }
        CallKind::Approve => named.question,
        _ => named.label.filter(|it| !it.trim().is_empty()).unwrap_or(named.prompt),
    };
    preview_text(&text, LABEL_CHARS_MAX).into()
}
