//! What a fork would do, found out before anything is spent: its guests run for real, but whatever the past does not
//! answer gets a stand-in, the recorded answer of the call it most resembles, so that what follows can be seen as well.

use crate::call::State;
use crate::engine::Engine;
use crate::identity::{Identity, Part};
use crate::recorded::{Recorded, RecordedCall, Refusal};
use crate::reuse::Reuse;
use loopwright_protocol::{CallKind, Json, Outcome, Request, SettleEntry, Work};
use loopwright_types::{CallId, Usage};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// Prompts that share less of their length are two prompts, not one edited.
const SIMILAR: f64 = 0.3;
/// Calls beyond those of the past that a forecast goes through: a stand-in may keep a loop going for ever.
const CALLS_MORE_MAX: usize = 1000;

/// What becomes of a call in a fork.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It gets the outcome of this call of the past, by its index.
    Hit(usize),
    /// It is made.
    Miss(Miss),
}

/// A call that a fork makes again, or for the first time.
#[derive(Clone, Debug, PartialEq)]
pub struct Miss {
    /// Index of the recorded call that it most resembles.
    pub past: Option<usize>,
    /// Why that one's outcome is not taken over; `None` where there is no such call or it differs.
    pub refused: Option<Refusal>,
    /// What differs from it.
    pub changed: Vec<Part>,
    /// Whether a recorded answer stood in, so that what follows was forecast.
    pub stood_in: bool,
}

/// The state of a forecast.
#[derive(Debug)]
pub(crate) struct Forecast {
    /// Stand-ins are changed: what still hits then does not depend on them.
    changed: bool,
    /// Tools that are called for real: they only read, and cost nothing.
    free: Vec<String>,
    made: BTreeMap<CallId, Made>,
    used: HashSet<usize>,
    open: bool,
}

#[derive(Debug)]
struct Made {
    identity: Identity,
    exact: Option<usize>,
    verdict: Option<Verdict>,
}

impl Forecast {
    fn new(free: &[&str], changed: bool) -> Self {
        let free = free.iter().map(|name| (*name).to_owned()).collect();
        Self { changed, free, made: BTreeMap::new(), used: HashSet::new(), open: false }
    }

    /// A call was made, and the past has this one for it.
    pub fn made(&mut self, id: CallId, identity: Identity, exact: Option<usize>) {
        self.made.insert(id, Made { identity, exact, verdict: None });
    }

    /// It gets that one's outcome.
    pub fn hit(&mut self, id: CallId) {
        let Some(made) = self.made.get_mut(&id) else { return };
        let Some(at) = made.exact else { return };
        self.used.insert(at);
        made.verdict = Some(Verdict::Hit(at));
    }
}

impl Engine {
    /// Only forecasts: nothing but the `free` tools and the saved programs is dispatched. With `changed` stand-ins
    /// differ from the recorded answers in every part.
    #[must_use]
    pub fn forecasting(mut self, past: Recorded, free: &[&str], changed: bool) -> Self {
        self.reuse = Some(Box::new(Reuse::new(past, Some(Forecast::new(free, changed)))));
        self
    }

    /// The past, and what was forecast of each call that was decided, in call order.
    pub fn forecasted(&mut self) -> Option<(Recorded, Vec<(CallId, Verdict)>)> {
        let Reuse { past, forecast, .. } = *self.reuse.take()?;
        let made = forecast?.made.into_iter();
        Some((past, made.filter_map(|(id, made)| Some((id, made.verdict?))).collect()))
    }

    pub(crate) fn is_forecast(&self) -> bool {
        self.reuse.as_ref().is_some_and(|reuse| reuse.forecast.is_some())
    }

    /// Whether a call was left without an answer: then time does not pass, for nobody knows how much of it.
    pub fn is_open_forecast(&self) -> bool {
        let forecast = self.reuse.as_ref().and_then(|reuse| reuse.forecast.as_ref());
        forecast.is_some_and(|forecast| forecast.open)
    }

    /// Decides what waits for a slot.
    pub(crate) fn forecast(&mut self) {
        let mut waiting = Vec::new();
        while let Some((lane, id)) =
            self.lanes.pop(|id| self.calls[id.0 as usize].state == State::Queued)
        {
            self.lanes.release(lane);
            waiting.push(id);
        }
        while let Some((_, id)) =
            self.tool_lane.pop(|id| self.calls[id.0 as usize].state == State::Queued)
        {
            if !self.call_free_tool(id) {
                self.tool_lane.release(0);
                waiting.push(id);
            }
        }
        waiting.sort_unstable();
        for id in waiting {
            self.forecast_call(id);
        }
    }

    fn call_free_tool(&mut self, id: CallId) -> bool {
        let Some(Request::Tool(tool)) = self.calls[id.0 as usize].request.as_deref() else {
            return false;
        };
        let known = self.tools.iter().find(|known| known.answers_to(&tool.name));
        let forecast = self.reuse.as_ref().and_then(|reuse| reuse.forecast.as_ref());
        let is_free =
            known.zip(forecast).is_some_and(|(tool, forecast)| forecast.free.contains(&tool.name));
        if !is_free {
            return false;
        }
        let (name, args) = (tool.name.clone(), tool.args.clone());
        self.miss(id);
        self.start_attempt(id, Some(0), Work::Tool { name, args, root: None, grant: None }, false);
        true
    }

    /// A call that the past does not answer: a recorded answer stands in, or it stays open.
    pub(crate) fn forecast_call(&mut self, id: CallId) {
        let stand_in = self.miss(id);
        let Some(forecast) = self.reuse.as_mut().and_then(|reuse| reuse.forecast.as_mut()) else {
            return;
        };
        let Some(outcome) = stand_in else {
            forecast.open = true;
            self.calls[id.0 as usize].state = State::Parked;
            self.parked += 1;
            return;
        };
        if let Some(Verdict::Miss(miss)) =
            forecast.made.get_mut(&id).and_then(|made| made.verdict.as_mut())
        {
            miss.stood_in = true;
        }
        let entry = SettleEntry {
            call: id,
            now: self.now,
            outcome,
            attempts: 1,
            attempt: None,
            subagent: None,
            usage: Usage::default(),
            started: None,
            fallback: false,
            hidden: None,
            salvage: None,
            worktree: None,
            reused: None,
        };
        self.settle_from(id, entry);
    }

    /// Notes why the call misses; gives the recorded answer that may stand in.
    fn miss(&mut self, id: CallId) -> Option<Outcome> {
        let call = &self.calls[id.0 as usize];
        let asked = call.task.as_ref().map(|task| Asked {
            kind: CallKind::Task,
            key: task.request.key.as_deref(),
            text: &task.request.prompt,
        });
        let asked = asked.unwrap_or_else(|| Asked {
            kind: call.kind,
            key: None,
            text: match call.request.as_deref() {
                Some(Request::Tool(tool)) => tool.args.text(),
                _ => "",
            },
        });
        let line = call.position.map(|at| at.line);
        let reuse = self.reuse.as_mut()?;
        let past_of = &reuse.past;
        let past = past_of.calls();
        let forecast = reuse.forecast.as_mut()?;
        let too_many = forecast.made.len() > past.len() + CALLS_MORE_MAX;
        let made = forecast.made.get_mut(&id)?;
        let equal = || past_of.last_equal(&made.identity.digest);
        let like = made.exact.or_else(equal).or_else(|| {
            let free = |at: &usize| !forecast.used.contains(at);
            let score = |at: usize| {
                let score = likeness(&asked, &made.identity, line, &past[at])?;
                Some((score, std::cmp::Reverse(at)))
            };
            let best = (0..past.len()).filter(free).filter_map(score);
            best.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, at)| at.0)
        });
        let found = like.map(|at| &past[at]);
        forecast.used.extend(like);
        made.verdict = Some(Verdict::Miss(Miss {
            past: like,
            refused: made.exact.and_then(|at| past[at].refused),
            changed: found.map(|it| made.identity.differences(&it.identity)).unwrap_or_default(),
            stood_in: false,
        }));
        match &found.filter(|_| !too_many)?.settled.as_ref()?.outcome {
            // What the call gives this time cannot be known: what depends on it is not to be seen.
            Outcome::Failed(_) if forecast.changed => None,
            Outcome::Done(value) if forecast.changed => Some(Outcome::Done(changed(value))),
            outcome => Some(outcome.clone()),
        }
    }
}

/// What a call asks, as far as resemblance goes.
struct Asked<'a> {
    kind: CallKind,
    key: Option<&'a str>,
    text: &'a str,
}

/// How much a recorded call resembles one that is made; `None` is too little.
fn likeness(
    asked: &Asked<'_>,
    identity: &Identity,
    line: Option<u32>,
    past: &RecordedCall,
) -> Option<f64> {
    let kind = past.entry.kind;
    let kind = if kind.is_task() { CallKind::Task } else { kind };
    if kind != asked.kind {
        return None;
    }
    let same = |part| f64::from(u8::from(identity.shares(&past.identity, part)));
    let (key, text) = past.asked();
    let place = line.is_some() && past.entry.position.map(|at| at.line) == line;
    let place = f64::from(u8::from(place && identity.shares(&past.identity, Part::Definition)));
    let others = same(Part::Definition) + 0.5 * same(Part::Schema) + 0.5 * place;
    if asked.key.is_some() || key.is_some() {
        return (asked.key == key).then_some(100.0 + others);
    }
    if identity.shares(&past.identity, Part::Prompt) {
        return Some(10.0 + others);
    }
    let alike = similarity(asked.text, text);
    let is_same = kind == CallKind::Task || identity.shares(&past.identity, Part::Definition);
    (is_same && (alike >= SIMILAR || place > 0.0)).then_some(alike + others)
}

/// The share of the longer text that both begin and end with.
fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let longer = a.len().max(b.len()).max(1);
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[start..], &b[start..]);
    let end = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    (start + end) as f64 / longer as f64
}

/// The value with every part changed: what was made with the help of any of it becomes something else.
fn changed(value: &Json) -> Json {
    fn change(value: &mut Value) {
        match value {
            Value::Null => {}
            Value::Bool(yes) => *yes = !*yes,
            Value::Number(number) => {
                *value = number.as_f64().map_or(Value::Null, |number| (number + 1.0).into());
            }
            Value::String(text) => text.push_str(" (changed)"),
            Value::Array(items) => items.iter_mut().for_each(change),
            Value::Object(members) => members.values_mut().for_each(change),
        }
    }
    let mut read = value.read::<Value>().unwrap_or_default();
    change(&mut read);
    Json::of(&read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_prompt_resembles_its_old_self_more_than_another() {
        let old = "Find the bugs in src/a.rs and list them.";
        assert!(similarity(old, "Find all bugs in src/a.rs and list them.") > 0.8);
        assert!(similarity(old, "Translate this text to German.") < SIMILAR);
        assert!((similarity("", "") - 0.0).abs() < 1e-9 && similarity("aa", "a") <= 1.0);
    }

    #[test]
    fn every_part_of_a_value_is_changed() {
        let value = Json::parse(r#"{"a":["x",1,true,null]}"#.to_owned()).unwrap();
        assert_eq!(changed(&value).text(), r#"{"a":["x (changed)",2.0,false,null]}"#);
    }
}
