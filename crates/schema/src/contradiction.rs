//! Proves that a schema admits nothing, and says which keywords clash.
//!
//! Two provers, both sound: the library's canonical form, and our own bound on nesting. They run only when
//! no value could be made up for the schema, so a mistake in either cannot refuse a schema that has one.

use crate::analysis::{ENDLESS, Height, pattern_clash};
use crate::cost::cases;
use crate::error::{Error, excerpt};
use crate::reference::escape;
use crate::shape::{Node, NodeId, Shape, Types};
use jsonschema::canonical::{Cause, Satisfiability, UnsatisfiableReason};
use jsonschema::{PatternOptions, Regex};
use serde_json::Value;
use std::collections::BTreeMap;

/// Cases that the library's proof is asked to go through.
const CASES_MAX: u64 = 3_000;
/// Most causes named in one error.
const CAUSES_MAX: usize = 4;

type Reasons = BTreeMap<String, UnsatisfiableReason>;

/// Why a schema admits nothing, if that can be proved.
pub(crate) fn find(
    document: &Value,
    shape: &Shape,
    heights: &[Height],
    size_limit: usize,
) -> Option<Error> {
    let hint = "change one of them: no answer could ever be accepted";
    let endless = heights.first() == Some(&ENDLESS);
    // The library's proof goes through all cases and knows no clock.
    let few = cases(shape) <= CASES_MAX;
    let proved = few.then(|| by_library(document, endless, size_limit)).flatten();
    let cause = proved.or_else(|| endless.then(|| by_nesting(document, shape, heights)))?;
    Some(Error::contradicts(format!("the schema contradicts itself: {cause}")).hint(hint))
}

/// The library's verdict on an experimental path: a panic inside it is "not proved".
fn by_library(document: &Value, endless: bool, size_limit: usize) -> Option<String> {
    let prove = || {
        let patterns: PatternOptions<Regex> = PatternOptions::regex().size_limit(size_limit);
        let options = jsonschema::canonical::options()
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(patterns);
        let prepared = options.prepare(document).ok()?;
        let empty = prepared.canonicalize().ok()?.satisfiability() == Satisfiability::No;
        empty.then(|| prepared.unsatisfiable().unwrap_or_default())
    };
    let reasons = std::panic::catch_unwind(std::panic::AssertUnwindSafe(prove)).ok()??;
    Some(explain(document, &reasons, endless))
}

/// The schema in a form in which its parts are folded together; easier to make values for.
pub(crate) fn folded(document: &Value, shape: &Shape) -> Option<Value> {
    if cases(shape) > CASES_MAX {
        return None;
    }
    let fold = || {
        let options = jsonschema::canonical::options().offline().should_validate_formats(true);
        let canonical =
            options.with_pattern_options(PatternOptions::regex()).canonicalize(document).ok()?;
        Some(canonical.to_json_schema())
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(fold)).ok()?
}

fn explain(document: &Value, reasons: &Reasons, endless: bool) -> String {
    let mut pointer = String::new();
    // Each step goes into a part, so the depth of the document bounds them.
    while let Some(next) = step(document, reasons, &pointer) {
        pointer = next;
    }
    match reasons.get(&pointer) {
        None if !endless => "no value fits all of it".to_owned(),
        None => "every value of it would have to contain another one, without end".to_owned(),
        Some(UnsatisfiableReason::Literal) => {
            format!("`#{pointer}` is `false`, which admits nothing")
        }
        Some(UnsatisfiableReason::Empty(cause)) => describe(document, reasons, &pointer, &[cause]),
        Some(UnsatisfiableReason::Conflict(causes)) => {
            describe(document, reasons, &pointer, &causes.iter().collect::<Vec<_>>())
        }
    }
}

/// A part of the schema at `pointer` that a value cannot do without and that admits nothing.
fn step(document: &Value, reasons: &Reasons, pointer: &str) -> Option<String> {
    let schema = document.pointer(pointer)?;
    let named = |keyword: &str| schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
    let required = named("required").filter_map(Value::as_str);
    let members = required.map(|name| format!("{pointer}/properties/{}", escape(name)));
    let tuple =
        schema.get("prefixItems").is_some() || schema.get("items").is_some_and(Value::is_array);
    let counted =
        !tuple && schema.get("minItems").and_then(Value::as_u64).is_some_and(|min| min > 0);
    let items = counted.then(|| format!("{pointer}/items"));
    let parts = (0..named("allOf").count()).map(|i| format!("{pointer}/allOf/{i}"));
    let reference =
        schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    let reference = reference.filter(|target| !pointer.starts_with(target)).map(str::to_owned);
    let mut places = members.chain(items).chain(parts).chain(reference);
    // A plain `false` is best told together with the keyword that asks for it.
    places.find(|place| {
        reasons.get(place).is_some_and(|reason| *reason != UnsatisfiableReason::Literal)
    })
}

fn describe(document: &Value, reasons: &Reasons, pointer: &str, causes: &[&Cause]) -> String {
    // A type is a cause of nearly every clash; it is worth a word only when little else is.
    let only_type = |cause: &&&Cause| cause.keywords == ["type"];
    let mut telling: Vec<&Cause> = causes.iter().filter(|c| !only_type(c)).copied().collect();
    if telling.is_empty() || (telling.len() == 1 && telling[0].keywords.len() < 2) {
        telling = causes.to_vec();
    }
    let mut parts: Vec<String> = Vec::new();
    for cause in telling.iter().take(CAUSES_MAX) {
        parts.extend(keywords(document, pointer, cause));
    }
    let place = if pointer.is_empty() { String::new() } else { format!("at `#{pointer}`, ") };
    let branches = branch_reasons(document, reasons, pointer, &telling);
    match parts.as_slice() {
        [] => format!("{place}nothing fits"),
        [one] => format!("{place}{one} admits nothing{branches}"),
        [most @ .., last] => {
            format!("{place}{} and {last} cannot hold together{branches}", most.join(", "))
        }
    }
}

/// Each keyword of a cause with its value.
fn keywords(document: &Value, pointer: &str, cause: &Cause) -> Vec<String> {
    let inside = cause.pointer.strip_prefix(pointer).unwrap_or(&cause.pointer);
    let place = if inside.is_empty() { String::new() } else { format!(" at `#{}`", cause.pointer) };
    let Some(schema) = document.pointer(&cause.pointer) else { return Vec::new() };
    if cause.keywords.is_empty() {
        return vec![format!("`{}`{place}", excerpt(schema))];
    }
    let value = |keyword: &String| {
        let shown = schema.get(keyword).map(excerpt).unwrap_or_default();
        format!("`{keyword}` `{shown}`{place}")
    };
    cause.keywords.iter().map(value).collect()
}

/// Why each branch of a choice admits nothing, where the choice is the only cause.
fn branch_reasons(document: &Value, reasons: &Reasons, pointer: &str, causes: &[&Cause]) -> String {
    let [cause] = causes else { return String::new() };
    let [keyword] = cause.keywords.as_slice() else { return String::new() };
    if keyword != "anyOf" && keyword != "oneOf" {
        return String::new();
    }
    let branch = format!("{pointer}/{keyword}/0");
    if !reasons.contains_key(&branch) {
        return String::new();
    }
    let first = match &reasons[&branch] {
        UnsatisfiableReason::Literal => "it is `false`".to_owned(),
        UnsatisfiableReason::Empty(cause) => describe(document, reasons, &branch, &[cause]),
        UnsatisfiableReason::Conflict(causes) => {
            describe(document, reasons, &branch, &causes.iter().collect::<Vec<_>>())
        }
    };
    format!(" (the first branch: {first})")
}

/// Our own proof, for what the library leaves open: patterns against lengths, and endless nesting.
fn by_nesting(document: &Value, shape: &Shape, heights: &[Height]) -> String {
    // Go down to a part that clashes by itself, or until a part comes up again.
    let (mut id, mut seen) = (0, vec![0]);
    loop {
        let node = &shape.nodes[id];
        let place = if node.pointer.is_empty() {
            String::new()
        } else {
            format!("at `#{}`, ", node.pointer)
        };
        if let Some(clash) = local_clash(document, shape, node) {
            return format!("{place}{clash}");
        }
        let Some(next) = needed_parts(node).into_iter().find(|part| heights[*part] == ENDLESS)
        else {
            let shown = document.pointer(&node.pointer).map(excerpt).unwrap_or_default();
            return format!("{place}nothing fits `{shown}`");
        };
        if shape.nodes[next].never && node.additional == Some(next) {
            let names = Value::from(node.required.clone());
            let shown = excerpt(&names);
            return format!(
                "{place}`required` `{shown}` and `additionalProperties` `false` cannot hold together"
            );
        }
        if seen.contains(&next) {
            let place = &shape.nodes[next].pointer;
            return format!("`#{place}` requires itself, so every value would have to be endless");
        }
        seen.push(next);
        id = next;
    }
}

/// The parts that a value of this node cannot do without.
fn needed_parts(node: &Node) -> Vec<NodeId> {
    let member = |name: &String| node.property(name).or(node.additional);
    let items = node.items.filter(|_| node.item_count.min > node.prefix.len() as u64);
    let places = usize::try_from(node.item_count.min).unwrap_or(usize::MAX);
    let listed = node.prefix.iter().take(places).copied();
    let in_place = node.all.iter().chain(node.choices.iter().flatten()).copied();
    in_place.chain(node.required.iter().filter_map(member)).chain(listed).chain(items).collect()
}

/// Bounds that clash when the lower is above the upper, or (last column) also when they are equal.
const BOUNDS: [(&str, &str, bool); 7] = [
    ("minimum", "maximum", false),
    ("exclusiveMinimum", "maximum", true),
    ("minimum", "exclusiveMaximum", true),
    ("exclusiveMinimum", "exclusiveMaximum", true),
    ("minLength", "maxLength", false),
    ("minItems", "maxItems", false),
    ("minProperties", "maxProperties", false),
];

/// Two keywords of one schema object that cannot hold together.
fn local_clash(document: &Value, shape: &Shape, node: &Node) -> Option<String> {
    let schema = document.pointer(&node.pointer)?;
    let shown = |keyword: &str| {
        let value = schema.get(keyword).map(excerpt).unwrap_or_default();
        format!("`{keyword}` `{value}`")
    };
    if let (Some(lengths), Some(_)) = (pattern_clash(shape, node), node.pattern) {
        let needs = match lengths.max {
            Some(max) if max == lengths.min => format!("{max}"),
            Some(max) => format!("{} to {max}", lengths.min),
            None => format!("at least {}", lengths.min),
        };
        let bound = if node.length.min > lengths.min { "minLength" } else { "maxLength" };
        let (pattern, bound) = (shown("pattern"), shown(bound));
        return Some(format!(
            "{pattern} needs {needs} characters, and {bound} does not allow that"
        ));
    }
    let number = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    for (low, high, open) in BOUNDS {
        if let (Some(least), Some(most)) = (number(low), number(high))
            && (least > most || (open && least >= most))
        {
            return Some(format!("{} and {} cannot hold together", shown(low), shown(high)));
        }
    }
    let typed = |list: &Vec<Value>| list.iter().any(|value| node.types.has(Types::of(value)));
    let listed = node.values.iter().any(|list| !typed(list));
    let keyword = if schema.get("const").is_some() { "const" } else { "enum" };
    listed.then(|| format!("{} and {} cannot hold together", shown("type"), shown(keyword)))
}
