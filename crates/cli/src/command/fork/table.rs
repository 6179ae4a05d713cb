//! The plan as a table: what runs again and why, what does not, and what it is expected to cost.

use crate::command::table::{Colour, table};
use loopwright::types::{Effects, Usage};
use loopwright::view::{Paint, escape, figure, fit, money};
use loopwright::{Cost, ForkPlan, PlannedCall, Standing, Why};

/// Rows shown one by one; beyond these hits are counted.
const ROWS_MAX: usize = 40;
/// Terminals with fewer columns see no numbers and costs of single calls.
const COLUMNS_NARROW: usize = 60;
/// Longest name of a call where no terminal cuts it.
const LABEL_COLUMNS_MAX: usize = 100;
/// Columns where there is no terminal.
const COLUMNS_USUAL: usize = 120;

/// Everything that is to be known before a fork; every line ends with a line feed.
pub fn plan(plan: &ForkPlan, paint: Paint, columns: Option<usize>) -> String {
    let mut out = String::new();
    let all = plan.calls.len() <= ROWS_MAX;
    let shown = |call: &&PlannedCall| all || call.standing != Standing::Hit || !call.why.is_empty();
    let room = columns.unwrap_or(COLUMNS_USUAL);
    let narrow = room < COLUMNS_NARROW;
    let rows: Vec<Vec<(String, Colour)>> =
        plan.calls.iter().filter(shown).map(|call| row(call, narrow)).collect();
    let hidden = plan.calls.len() - rows.len();
    if !rows.is_empty() {
        let head: &[&str] = if narrow {
            &["VERDICT", "WHY", "CALL"]
        } else {
            &["TASK", "VERDICT", "COST", "WHY", "CALL"]
        };
        out.push_str(&table(paint, columns, head, &rows));
    }
    if hidden > 0 {
        out.push_str(&paint.dim(&format!("… and {} hits", figure(hidden as u64))));
        out.push('\n');
    }
    for line in sentences(plan) {
        out.push_str(&wrapped(&line, room));
    }
    out
}

fn row(call: &PlannedCall, narrow: bool) -> Vec<(String, Colour)> {
    let (verdict, colour): (_, Colour) = match call.standing {
        Standing::Hit => ("hit", Paint::green),
        Standing::Perhaps => ("perhaps", Paint::yellow),
        Standing::Miss => ("miss", Paint::cyan),
    };
    let cost = match call.cost {
        Cost::Free => String::new(),
        Cost::Unknown => "?".to_owned(),
        Cost::Expected(usage) => short(usage),
    };
    let subagent = call.subagent.as_ref().filter(|name| *name != "general-purpose");
    let subagent = subagent.map(|name| format!(" ({name})")).unwrap_or_default();
    let kind = if call.kind.is_task() { String::new() } else { format!("{} ", call.kind.as_str()) };
    let text = format!("{kind}{}{subagent}", call.label);
    let label: (String, Colour) = (fit(&text, LABEL_COLUMNS_MAX).into_owned(), Paint::plain);
    let (verdict, why) = ((verdict.to_owned(), colour), (because(call), Paint::plain as Colour));
    if narrow {
        return vec![verdict, why, label];
    }
    let cost_colour = if call.standing == Standing::Hit { Paint::dim } else { Paint::plain };
    vec![(call.call.to_string(), Paint::dim), verdict, (cost, cost_colour), why, label]
}

fn because(call: &PlannedCall) -> String {
    let words: Vec<String> = call.why.iter().map(|why| words(*why, call)).collect();
    words.join(", ")
}

fn words(why: Why, call: &PlannedCall) -> String {
    let effects = || if call.effects == Effects::Local { "local" } else { "external" };
    match why {
        Why::Upstream => "upstream value".to_owned(),
        Why::Refused(_) if why.as_str() == "effects" => format!("{} effects", effects()),
        Why::Refused(_) if why.as_str() == "person" => "asks again".to_owned(),
        Why::Refused(_) if why.as_str() == "after" => "--at".to_owned(),
        Why::StaleKept => "stale, kept".to_owned(),
        Why::EffectsKept if call.effects == Effects::None => "answered".to_owned(),
        Why::EffectsKept => format!("{} effects, done", effects()),
        Why::More => "one more".to_owned(),
        other => other.as_str().to_owned(),
    }
}

/// What is said of the whole, a sentence each.
fn sentences(plan: &ForkPlan) -> Vec<String> {
    let (hits, saved) = (plan.count(Standing::Hit), plan.cost(Standing::Hit).0);
    let saved = if saved.is_zero() { String::new() } else { format!(" ({} saved)", short(saved)) };
    let mut out = vec![format!("{} taken over from {}{saved}", count(hits, "call"), plan.from)];
    out.push(spent(plan));
    if plan.is_open {
        out.push(
            "what follows calls that nothing recorded stands in for is not forecast".to_owned(),
        );
    }
    if plan.gone > 0 {
        out.push(format!("{} not made any more", count(plan.gone, "recorded call")));
    }
    let repeated = plan.repeats_effects();
    if repeated > 0 {
        out.push(format!("{} with effects would be made again", count(repeated, "call")));
    }
    if !plan.unseen.is_empty() {
        let names = plan.unseen.join("`, `");
        out.push(format!(
            "what `{names}` read is not recorded: changed files are not noticed there"
        ));
    }
    out
}

/// What runs again and what that is expected to cost.
fn spent(plan: &ForkPlan) -> String {
    let (misses, (usage, unknown)) = (plan.count(Standing::Miss), plan.cost(Standing::Miss));
    let mut text = format!("{} to make", count(misses, "call"));
    if !usage.is_zero() {
        text.push_str(&format!(", about {}", short(usage)));
    }
    if unknown > 0 {
        text.push_str(&format!(", {unknown} not priced"));
    }
    let perhaps = plan.count(Standing::Perhaps);
    if perhaps > 0 {
        let more = plan.cost(Standing::Perhaps).0;
        let more = if more.is_zero() { String::new() } else { format!(" (up to {})", short(more)) };
        text.push_str(&format!("; {perhaps} more if new answers differ{more}"));
    }
    text
}

/// Money where there is a price, else tokens.
fn short(usage: Usage) -> String {
    match (usage.usd_micros, usage.tokens()) {
        (0, 0) => "0".to_owned(),
        (0, tokens) => format!("{} tok", figure(tokens)),
        (usd, _) => money(usd),
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{} {what}{}", figure(n as u64), if n == 1 { "" } else { "s" })
}

/// A sentence on as many rows as it takes.
fn wrapped(line: &str, columns: usize) -> String {
    let (mut out, mut width) = (String::new(), 0);
    for word in line.split(' ') {
        let long = loopwright::view::width(word);
        if width > 0 && width + 1 + long > columns {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(&escape(word));
        width += long;
    }
    out + "\n"
}
