//! Compiles a schema once and checks answers against it.

use crate::analysis::{Height, heights};
use crate::canonical::canonical;
use crate::contradiction;
use crate::cost::{Cost, Size};
use crate::error::{Error, excerpt_text};
use crate::generate::{SEARCH_VALUES_MAX, candidate};
use crate::read::read;
use crate::shape::Shape;
use crate::violation::{Violation, first_violation, violations};
use jsonschema::{Draft, PatternOptions};
use loopwright_types::{Code, Digest, Settings};
use serde_json::Value;
use std::sync::{Arc, OnceLock};

/// Memory that all compiled patterns of one schema may take, in bytes.
const PATTERNS_BYTES_MAX: usize = 16 << 20;
/// Memory that one compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Judgements that deciding one answer may take: about a second.
const DECIDE_BUDGET: u64 = 50_000_000;
/// Judgements that listing all errors of one answer may take.
const LIST_BUDGET: u64 = 200_000;
/// Tries at a value that fits.
const CANDIDATES: u32 = 48;

/// Bounds on one schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of its canonical JSON in bytes: setting `schema.bytes_max`.
    pub bytes_max: usize,
    /// Levels of nesting: setting `schema.depth_max`.
    pub depth_max: usize,
}

impl Limits {
    /// The limits that the settings give.
    pub fn from_settings(settings: &Settings) -> Self {
        Self {
            bytes_max: settings.count("schema.bytes_max"),
            depth_max: settings.count("schema.depth_max"),
        }
    }
}

impl Default for Limits {
    /// Those of the default settings.
    fn default() -> Self {
        Self::from_settings(&Settings::default())
    }
}

/// A compiled schema; cheap to clone.
#[derive(Clone)]
pub struct Validator {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Validator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Validator").field(&self.inner.digest).finish()
    }
}

struct Inner {
    library: jsonschema::Validator,
    document: Value,
    digest: Digest,
    shape: Shape,
    heights: Vec<Height>,
    cost: Cost,
    /// The schema with its parts folded together, made when the schema as written yields no value.
    folded: OnceLock<Option<(Shape, Vec<Height>)>>,
}

/// Compiles a schema: draft 2020-12 unless `$schema` names another, formats checked, patterns matched in
/// linear time, nothing fetched.
///
/// # Errors
/// [`Code::SCHEMA_TOO_LARGE`] over a limit, [`Code::SCHEMA_INVALID`] when it is no schema (or refers to
/// something outside itself), [`Code::SCHEMA_CONTRADICTS`] when it provably admits no value.
pub fn compile(schema: &Value, limits: &Limits) -> Result<Validator, Error> {
    // Depth first: everything after it recurses.
    let size = Size::of(schema);
    let over = |what: &str, is: u64, limit: usize, name: &str| {
        let message = format!("the schema {what} {is} (limit {limit})");
        let hint = format!("shorten the schema, or raise `{name}`");
        Err(Error::too_large(message).hint(hint))
    };
    if size.depth > limits.depth_max as u64 {
        return over("is nested to depth", size.depth, limits.depth_max, "schema.depth_max");
    }
    let text = canonical(schema);
    if text.len() > limits.bytes_max {
        return over(
            "has size in bytes of",
            text.len() as u64,
            limits.bytes_max,
            "schema.bytes_max",
        );
    }
    if !schema.is_object() && !schema.is_boolean() {
        let shown = crate::error::excerpt(schema);
        return Err(Error::invalid(format!("a schema is an object, not `{shown}`")));
    }
    let draft = draft(schema)?;
    let size_limit = (PATTERNS_BYTES_MAX / pattern_count(schema).max(1)).min(PATTERN_BYTES_MAX);
    jsonschema::meta::validate(schema).map_err(|error| not_a_schema(&error))?;
    let shape = read(schema, draft, size_limit)?;
    let cost = Cost::of(&shape)?;
    let library = jsonschema::options()
        .offline()
        .with_draft(draft)
        .should_validate_formats(true)
        .with_pattern_options(
            PatternOptions::regex().size_limit(size_limit).dfa_size_limit(size_limit),
        )
        .build(schema)
        .map_err(|error| not_a_schema(&error))?;
    let inner = Inner {
        library,
        document: schema.clone(),
        digest: Digest::of(text.as_bytes()),
        heights: heights(&shape),
        shape,
        cost,
        folded: OnceLock::new(),
    };
    inner.refuse_contradiction(size_limit)?;
    Ok(Validator { inner: Arc::new(inner) })
}

/// How many patterns a schema may hold, by its keys.
fn pattern_count(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(pattern_count).sum(),
        Value::Object(members) => members.iter().fold(0, |count, (key, member)| {
            let own = match (key.as_str(), member) {
                ("pattern", _) => 1,
                ("patternProperties", Value::Object(patterns)) => patterns.len(),
                _ => 0,
            };
            count + own + pattern_count(member)
        }),
        _ => 0,
    }
}

/// The draft that `$schema` names.
fn draft(schema: &Value) -> Result<Draft, Error> {
    let Some(named) = schema.get("$schema").and_then(Value::as_str) else {
        return Ok(Draft::Draft202012);
    };
    match Draft::default().detect(schema) {
        Draft::Unknown => {
            let shown = excerpt_text(named);
            let hint = "leave `$schema` out for draft 2020-12";
            Err(Error::invalid(format!("`$schema` `{shown}` is not a draft that is known"))
                .hint(hint))
        }
        draft => Ok(draft),
    }
}

fn not_a_schema(error: &jsonschema::ValidationError<'_>) -> Error {
    let place = error.instance_path().to_string();
    let shown = crate::error::excerpt(error.instance());
    let cause = excerpt_message(&error.masked_with(format!("`{shown}`")).to_string());
    let place =
        if place.is_empty() { String::new() } else { format!(" at `#{}`", excerpt_text(&place)) };
    Error::invalid(format!("the schema is not valid{place}: {cause}"))
}

fn excerpt_message(text: &str) -> String {
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Inner {
    fn refuse_contradiction(&self, size_limit: usize) -> Result<(), Error> {
        // Finding a value is the cheapest proof that there is one. Any fixed seed will do.
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        if self.fitting(&self.shape, &self.heights, &mut random).is_some() {
            return Ok(());
        }
        let found = contradiction::find(&self.document, &self.shape, &self.heights, size_limit);
        found.map_or(Ok(()), Err)
    }

    fn fitting(
        &self,
        shape: &Shape,
        heights: &[Height],
        random: &mut dyn FnMut() -> u64,
    ) -> Option<Value> {
        let mut budget = SEARCH_VALUES_MAX;
        let mut tries = (0..CANDIDATES)
            .filter_map(|attempt| candidate(shape, heights, random, attempt, &mut budget));
        tries.find(|value| self.is_valid(value))
    }

    fn is_valid(&self, value: &Value) -> bool {
        self.unbounded(value).is_none() && self.library.is_valid(value)
    }

    /// Says so when an answer cannot be checked within bounds.
    fn unbounded(&self, value: &Value) -> Option<Violation> {
        let size = Size::of(value);
        if self.cost.too_deep(size) {
            let depth = size.depth;
            return Some(Violation::of_answer(format!(
                "is nested {depth} levels deep, too deep to be checked"
            )));
        }
        let exceeds = self.cost.deciding_exceeds(DECIDE_BUDGET, size);
        exceeds.then(|| {
            let nodes = size.nodes;
            Violation::of_answer(format!(
                "has {nodes} values, too many to be checked against so large a schema"
            ))
        })
    }
}

impl Validator {
    /// Checks an answer.
    ///
    /// # Errors
    /// What is wrong with it, at most 21 violations with bounded texts.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Violation>> {
        let inner = &*self.inner;
        if let Some(violation) = inner.unbounded(value) {
            return Err(vec![violation]);
        }
        if inner.library.is_valid(value) {
            return Ok(());
        }
        if inner.cost.listing_exceeds(LIST_BUDGET, Size::of(value), &inner.shape, value) {
            // The first error of a nested choice can itself be a list of exponential size.
            let choices =
                inner.cost.recursive && inner.shape.nodes.iter().any(|n| !n.choices.is_empty());
            if choices {
                let message = "does not match the schema, and is nested too deeply to say where";
                return Err(vec![Violation::of_answer(message)]);
            }
            return Err(first_violation(&inner.library, value));
        }
        Err(violations(&inner.library, value))
    }

    /// Whether an answer fits; quicker than [`Validator::check`] where the errors do not matter.
    pub fn is_valid(&self, value: &Value) -> bool {
        self.inner.is_valid(value)
    }

    /// Digest of the schema's canonical text.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// The schema as it was given.
    pub fn schema(&self) -> &Value {
        &self.inner.document
    }

    /// Makes a value that fits; the same random numbers make the same value.
    ///
    /// # Errors
    /// [`Code::ANSWER_INVALID`] when none was found.
    pub fn generate(&self, rng: &mut dyn FnMut() -> u64) -> Result<Value, Error> {
        let inner = &*self.inner;
        if let Some(value) = inner.fitting(&inner.shape, &inner.heights, rng) {
            return Ok(value);
        }
        let folded = inner.folded.get_or_init(|| {
            let document = contradiction::folded(&inner.document, &inner.shape)?;
            let shape = read(&document, inner.library.draft(), PATTERN_BYTES_MAX).ok()?;
            let heights = heights(&shape);
            Some((shape, heights))
        });
        let value = folded.as_ref().and_then(|(shape, heights)| inner.fitting(shape, heights, rng));
        value.ok_or_else(|| Error {
            code: Code::ANSWER_INVALID,
            message: format!("no value that fits the schema was found in {} tries", CANDIDATES * 2),
            hint: Some("give the schema an `examples` list: its members are tried too".to_owned()),
        })
    }
}
