//! What the mock answers. Pure: the same seed, tasks and order among equal tasks give the same answers, whatever the
//! clock did.

use super::draw::{Draw, hash};
use super::{hostile, prose};
use crate::definition::{Definition, MockStep};
use loopwright_protocol::{Json, Outcome, TaskWork};
use loopwright_schema::{Limits, Validator, compile};
use loopwright_types::{Attempt, CallId, Code, Failure, Micros, Reason, Settings, Usage};
use serde_json::Value;
use std::collections::HashMap;

/// Schemas kept compiled.
const SCHEMAS_MAX: usize = 1000;
/// Changes made to a fitting value until it no longer fits.
const SPOILED_MAX: usize = 8;

/// What the mock answers to one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct MockAnswer {
    /// The answer or the failure.
    pub outcome: Outcome,
    /// What it says it used.
    pub usage: Usage,
    /// How long it takes.
    pub latency: Micros,
}

/// Makes up answers.
///
/// A draw depends on the seed, on the task's own content (subagent, prompt, schema, model) and on how many equal
/// tasks came before, never on the number of its call: work that was ordered by chance answers alike in every run.
#[derive(Debug)]
pub struct MockAnswers {
    plan: Plan,
    seed: u64,
    answer_bytes_max: usize,
    schema_limits: Limits,
    /// By their text; a schema that cannot be used with the reason.
    schemas: HashMap<String, Result<Validator, String>>,
    /// How many equal tasks came before, by the hash of their content.
    seen: HashMap<u64, u32>,
    /// The same for each call, so that its later attempts stay what they are.
    calls: HashMap<CallId, u32>,
}

/// The figures in force for one definition.
#[derive(Clone, Copy, Debug)]
struct Plan {
    latency_ms: u64,
    latency_spread_ms: u64,
    failure: f64,
    null: f64,
    hostile: f64,
    invalid: f64,
    output_tokens: u64,
}

/// What kind of answer was drawn.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Failure,
    Null,
    Hostile,
    Invalid,
    Good,
}

impl MockAnswers {
    /// For the `mock.*` settings of a run.
    pub fn new(settings: &Settings) -> Self {
        Self {
            plan: Plan {
                latency_ms: settings.integer("mock.latency_ms"),
                latency_spread_ms: settings.integer("mock.latency_spread_ms"),
                failure: settings.fraction("mock.failure_rate"),
                null: settings.fraction("mock.null_rate"),
                hostile: settings.fraction("mock.hostile_rate"),
                invalid: settings.fraction("mock.invalid_rate"),
                output_tokens: settings.integer("mock.output_tokens"),
            },
            seed: settings.integer("mock.seed"),
            answer_bytes_max: settings.count("task.answer_bytes_max"),
            schema_limits: Limits::from_settings(settings),
            schemas: HashMap::new(),
            seen: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    /// Answers one attempt. `definition` gives the figures that differ from the settings.
    pub fn answer(
        &mut self,
        definition: &Definition,
        work: &TaskWork,
        call: CallId,
        attempt: Attempt,
    ) -> MockAnswer {
        let plan = self.plan.narrowed(definition);
        let mut draw = self.draw(work, call, attempt);
        let spread = plan.latency_spread_ms.saturating_mul(1000);
        let extra = if spread == 0 { 0 } else { draw.below(spread.saturating_add(1)) };
        let latency = Micros::from_millis(plan.latency_ms).after(Micros(extra));
        let fate = plan.fate(&mut draw);
        let outcome = match scripted(definition, attempt) {
            Some(outcome) => outcome,
            None => self.outcome(fate, definition, work, &mut draw),
        };
        let usage = usage(&outcome, work, definition, plan.output_tokens);
        MockAnswer { outcome, usage, latency }
    }

    /// The stream of draws of one attempt.
    fn draw(&mut self, work: &TaskWork, call: CallId, attempt: Attempt) -> Draw {
        let parts = [
            work.subagent.as_bytes(),
            work.prompt.as_bytes(),
            work.schema.as_ref().map_or("", Json::text).as_bytes(),
            work.model.as_deref().unwrap_or_default().as_bytes(),
        ];
        let content = hash(self.seed, &parts);
        let occurrence = *self.calls.entry(call).or_insert_with(|| {
            let next = self.seen.entry(content).or_insert(0);
            *next += 1;
            *next - 1
        });
        let at = (u64::from(occurrence) << 32) | u64::from(attempt.0);
        Draw::new(hash(content, &[&at.to_le_bytes()]))
    }

    fn outcome(
        &mut self,
        fate: Fate,
        definition: &Definition,
        work: &TaskWork,
        draw: &mut Draw,
    ) -> Outcome {
        match fate {
            Fate::Failure => {
                let message = "the mock subagent failed, as `mock.failure_rate` asks";
                let failure = Failure::new(Reason::Provider, Code::MOCK_FAILURE, message);
                return Outcome::Failed(failure.retryable());
            }
            Fate::Null => return Outcome::Done(Json::null()),
            Fate::Hostile | Fate::Invalid | Fate::Good => {}
        }
        let fixed = definition.mock.answer.as_ref();
        let value = match (fixed, &work.schema) {
            (Some(answer), _) if fate == Fate::Good => return Outcome::Done(answer.clone()),
            (None, Some(schema)) => match self.fitting(schema, fate, draw) {
                Ok(value) => value,
                Err(failure) => return Outcome::Failed(failure),
            },
            (Some(answer), _) => answer.read().unwrap_or_default(),
            (None, None) => Value::String(prose::prose(draw)),
        };
        Outcome::Done(Json::of(&match fate {
            Fate::Hostile => hostile::hostile(value, self.answer_bytes_max, draw),
            _ => value,
        }))
    }

    /// A value that fits the schema, or for [`Fate::Invalid`] one that does not.
    fn fitting(&mut self, schema: &Json, fate: Fate, draw: &mut Draw) -> Result<Value, Failure> {
        let refused = |cause: &str| {
            let message = format!("the mock subagent cannot make up an answer: {cause}");
            Failure::new(Reason::Provider, Code::MOCK_FAILURE, message)
                .hint("give the mock a fixed answer: `mock: {answer: …}` in its definition")
                .not_sent()
        };
        if !self.schemas.contains_key(schema.text()) {
            if self.schemas.len() >= SCHEMAS_MAX {
                self.schemas.clear();
            }
            let compiled = schema.read().map_err(|error| error.to_string());
            let compiled = compiled.and_then(|value: Value| {
                compile(&value, &self.schema_limits).map_err(|error| error.to_string())
            });
            self.schemas.insert(schema.text().to_owned(), compiled);
        }
        let validator = match self.schemas.get(schema.text()) {
            Some(Ok(validator)) => validator,
            Some(Err(cause)) => return Err(refused(cause)),
            None => unreachable!("it was just put in"),
        };
        let mut value =
            validator.generate(&mut || draw.draw()).map_err(|error| refused(&error.to_string()))?;
        // Some schemas admit nearly everything, and a true one everything.
        for _ in 0..if fate == Fate::Invalid { SPOILED_MAX } else { 0 } {
            value = hostile::invalid(value, draw);
            if validator.check(&value).is_err() {
                break;
            }
        }
        Ok(value)
    }
}

impl Plan {
    /// With the definition's own figures.
    fn narrowed(&self, definition: &Definition) -> Self {
        let own = &definition.mock;
        Self {
            latency_ms: own.latency_ms.unwrap_or(self.latency_ms),
            latency_spread_ms: own.latency_spread_ms.unwrap_or(self.latency_spread_ms),
            failure: own.failure_rate.unwrap_or(self.failure),
            null: own.null_rate.unwrap_or(self.null),
            hostile: own.hostile_rate.unwrap_or(self.hostile),
            invalid: own.invalid_rate.unwrap_or(self.invalid),
            output_tokens: own.output_tokens.unwrap_or(self.output_tokens),
        }
    }

    /// One draw decides, so that each rate is exactly its share as long as they add up to at most 1.
    fn fate(&self, draw: &mut Draw) -> Fate {
        let mut left = draw.fraction();
        let rates = [
            (self.failure, Fate::Failure),
            (self.null, Fate::Null),
            (self.hostile, Fate::Hostile),
            (self.invalid, Fate::Invalid),
        ];
        for (rate, fate) in rates {
            if left < rate {
                return fate;
            }
            left -= rate;
        }
        Fate::Good
    }
}

/// What the definition's script says for this attempt.
fn scripted(definition: &Definition, attempt: Attempt) -> Option<Outcome> {
    let script = &definition.mock.script;
    let at = (attempt.0.max(1) - 1) as usize;
    Some(match script.get(at).or(script.last())? {
        MockStep::Answer(json) => Outcome::Done(json.clone()),
        MockStep::Error(message, retryable) => {
            let message = loopwright_processes::shown(message, 1000);
            let mut failure = Failure::new(Reason::Provider, Code::MOCK_FAILURE, message);
            failure.retryable = *retryable;
            Outcome::Failed(failure)
        }
    })
}

/// A quarter of the bytes, rounded up, counts as tokens where nothing else was asked for.
fn usage(outcome: &Outcome, work: &TaskWork, definition: &Definition, output_tokens: u64) -> Usage {
    let tokens = |bytes: usize| (bytes as u64).div_ceil(4);
    let input_tokens = tokens(work.prompt.len() + definition.system_prompt.len());
    let output_tokens = match outcome {
        Outcome::Failed(_) => 0,
        Outcome::Done(json) if output_tokens == 0 => tokens(json.text().len()),
        Outcome::Done(_) => output_tokens,
    };
    Usage { input_tokens, output_tokens, ..Usage::default() }
}

#[cfg(test)]
mod tests;
