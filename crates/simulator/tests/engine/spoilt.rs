//! Replies of a model that is asked for a schema's answer and gives it more or less: what is wrong with them is drawn.

use loopwright_protocol::{Block, Finish, Json};
use loopwright_simulator::{Plan, Random};
use serde_json::{Map, Value, json};

/// What the replies of one kind are like.
type Spoil = fn(&Value, &mut Random) -> Plan;

/// Every kind of reply, with how often it is drawn.
pub const KINDS: &[(&str, u64, Spoil)] = &[
    ("right", 16, |answer, _| Plan::says(answer.to_string())),
    ("another type or member somewhere", 24, |answer, random| says(&changed(answer, random))),
    ("two changes", 8, |answer, random| {
        let once = changed(answer, random);
        says(&changed(&once, random))
    }),
    ("wrapped", 5, |answer, random| says(&wrapped(answer, random))),
    ("broken text", 14, |answer, random| Plan::says(broken(&answer.to_string(), random))),
    ("text around it", 8, |answer, random| Plan::says(around(&answer.to_string(), random))),
    ("several answers", 8, |answer, random| {
        let mut answers = [answer.clone(), changed(answer, random), changed(answer, random)];
        answers.rotate_left(random.below(3) as usize);
        let between = pick(random, &["\n", "\n\nOn second thought:\n", "", ",", "\n```\n"]);
        Plan::says(answers.map(|one| around(&one.to_string(), random)).join(between))
    }),
    ("no JSON of JavaScript's", 4, |_, random| {
        Plan::says(pick(random, &NO_VALUES).replace('#', &"[".repeat(5000)))
    }),
    ("tools", 12, |answer, random| tools(answer, random)),
    ("parts and ends", 6, |answer, random| parts(answer, random)),
    ("no reply", 2, |answer, random| {
        let forms = [json!({ "neither": "form" }), json!(null), json!({ "blocks": [] })];
        let own = answer.clone(); // not a reply, though it is an answer
        Plan::done(if random.chance(0.3) { own } else { pick(random, &forms) })
    }),
];

/// Texts of which JSON, or a program, makes nothing or something odd.
const NO_VALUES: [&str; 14] = [
    "",
    " \n\t",
    "undefined",
    "NaN",
    "1e400",
    "-Infinity",
    "'yes'",
    "\"\\ud800\"",
    "\u{feff}true",
    "#",
    "{\"n\":1e400}",
    "{\"n\":01}",
    "[1,]",
    "{\"n\": 1 /* one */}",
];

/// Draws a reply to a request for this answer: the name of its kind, and the reply.
pub fn reply(answer: &Value, random: &mut Random) -> (usize, Plan) {
    let all = KINDS.iter().map(|(_, often, _)| often).sum();
    let mut drawn = random.below(all);
    for (kind, (_, often, spoil)) in KINDS.iter().enumerate() {
        if drawn < *often {
            return (kind, spoil(answer, random));
        }
        drawn -= often;
    }
    unreachable!("one of the kinds was drawn")
}

fn says(value: &Value) -> Plan {
    Plan::says(value.to_string())
}

fn pick<T: Clone>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize].clone()
}

/// The answer with one change at a place that is drawn.
pub fn changed(answer: &Value, random: &mut Random) -> Value {
    let mut answer = answer.clone();
    let places = places(&answer);
    let place = random.below(places);
    change(&mut answer, &mut { place }, random);
    answer
}

/// Values in a value, itself included.
fn places(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(members) => members.values().map(places).sum(),
        _ => 0,
    }
}

/// Changes the value at this place, counted in the order of the text; says whether it was reached.
fn change(value: &mut Value, place: &mut u64, random: &mut Random) -> bool {
    if *place == 0 {
        *value = instead(value, random);
        return true;
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| change(item, place, random)),
        Value::Object(members) => members.values_mut().any(|it| change(it, place, random)),
        _ => false,
    }
}

fn instead(value: &Value, random: &mut Random) -> Value {
    match (value, random.below(8)) {
        (Value::Object(members), 0..=2) => without_one(members, random),
        (Value::Object(members), 3 | 4) => {
            let name = pick(random, &["extra", "__proto__", "constructor", "", "N", "n "]);
            let mut members = members.clone();
            members.insert(name.to_owned(), json!({ "polluted": true }));
            Value::Object(members)
        }
        (Value::Array(items), 0 | 1) => items.iter().skip(1).cloned().collect(),
        (Value::Array(items), 2 | 3) => {
            let again = items.iter().cycle().take(items.len() * (2 + random.below(4) as usize));
            again.cloned().collect()
        }
        (Value::Array(items), 4) => items.iter().cloned().chain([Value::Null]).collect(),
        (Value::String(text), 0) => text.repeat(20).into(),
        (Value::String(text), 1) => text.to_uppercase().into(),
        (Value::String(_), 2) => "".into(),
        (Value::Number(number), 0) => number.to_string().into(),
        (Value::Number(number), 1) => json!(number.as_f64().unwrap_or(0.0) + 0.5),
        (Value::Number(number), 2) => json!(-number.as_f64().unwrap_or(1.0) - 1.0),
        (Value::Number(_), 3) => json!(1e18),
        (Value::Bool(it), 0) => it.to_string().into(),
        _ => pick(
            random,
            &[
                Value::Null,
                json!(true),
                json!(0),
                json!(-1),
                json!(2.5),
                json!("text"),
                json!([]),
                json!({}),
                json!([[1]]),
                json!("null"),
                json!("{}"),
            ],
        ),
    }
}

fn without_one(members: &Map<String, Value>, random: &mut Random) -> Value {
    let left_out = random.below(members.len().max(1) as u64) as usize;
    let kept = members.iter().enumerate().filter(|(at, _)| *at != left_out);
    Value::Object(kept.map(|(_, (name, value))| (name.clone(), value.clone())).collect())
}

fn wrapped(answer: &Value, random: &mut Random) -> Value {
    match random.below(6) {
        0 => json!({ "answer": answer }),
        1 => json!({ "result": answer, "confidence": 0.9 }),
        2 => json!([answer]),
        3 => json!(answer.to_string()),
        4 => json!({ "type": "object", "properties": answer }),
        _ => json!({ "$ref": "#/answer", "answer": answer }),
    }
}

/// The text with one thing done to it that people and models do.
fn broken(text: &str, random: &mut Random) -> String {
    let letters: Vec<char> = text.chars().collect();
    let at = random.below(letters.len().max(1) as u64) as usize;
    let (before, after) = letters.split_at(at.min(letters.len()));
    let [before, after] = [before, after].map(|part| part.iter().collect::<String>());
    match random.below(9) {
        0 | 1 => before,
        2 => after,
        3 => before + &after.chars().skip(1).collect::<String>(),
        4 => before + pick(random, &["\"", "}", "]", ",", ":", "\u{0}", "\\", "\n", "é"]) + &after,
        5 => text.replace('"', "'"),
        6 => text.replace('}', ",}").replace(']', ",]"),
        7 => text.replace("\":", "\": NaN, \"x\":"),
        // The same members twice: readers take the last of them.
        _ => match text.strip_prefix('{').filter(|rest| *rest != "}") {
            Some(rest) => format!("{{{}, {rest}", rest.trim_end_matches('}')),
            None => text.repeat(2),
        },
    }
}

fn around(text: &str, random: &mut Random) -> String {
    match random.below(7) {
        0 => format!("Here is the answer: {text}"),
        1 => format!("{text}\n\nTell me if you need {{more}} [1]."),
        2 => format!("```json\n{text}\n```"),
        3 => format!("```\n{text}\n```\nor\n```json\n{{\"draft\": [{text}]}}\n```"),
        4 => format!("<answer>{text}</answer>"),
        5 => format!("I first thought {{\"n\": 0}} but then\n{text}"),
        _ => text.to_owned(),
    }
}

/// Wishes for tools: known and unknown ones, arguments of all kinds, ids twice or none.
fn tools(answer: &Value, random: &mut Random) -> Plan {
    let names = ["grep", "write_file", "rm", "", "Grep", "final_answer", "mcp__x__y"];
    let mut blocks = Vec::new();
    for number in 0..1 + random.below(3) {
        let id = if random.chance(0.4) { "call".to_owned() } else { format!("call-{number}") };
        let name = pick(random, &names).to_owned();
        let arguments = match random.below(4) {
            0 => "{}".to_owned(),
            1 => answer.to_string(),
            2 => broken(&answer.to_string(), random),
            _ => pick(random, &NO_VALUES).to_owned(),
        };
        blocks.push(Block::ToolUse { id, name, arguments });
    }
    if random.chance(0.4) {
        let text = answer.to_string();
        blocks.insert(random.below(blocks.len() as u64 + 1) as usize, Block::Text { text });
    }
    Plan::replies(blocks, pick(random, &[Finish::Tools, Finish::Tools, Finish::End]))
}

/// The answer's text in several blocks, whole or not, and every way to stop.
fn parts(answer: &Value, random: &mut Random) -> Plan {
    let text = if random.chance(0.5) { answer.clone() } else { changed(answer, random) };
    let text = text.to_string();
    let at = text.char_indices().map(|(at, _)| at).nth(random.below(text.len() as u64) as usize);
    let (one, other) = text.split_at(at.unwrap_or(0));
    let item = Json::of(&json!({ "thinking": answer }));
    let native = Block::Native { wire: "x".to_owned(), text: text.clone(), item };
    let mut blocks = vec![Block::Text { text: one.to_owned() }, native];
    if random.chance(0.7) {
        blocks.push(Block::Text { text: other.to_owned() });
    }
    if random.chance(0.1) {
        blocks.clear();
    }
    let ends = [Finish::End, Finish::End, Finish::Tools, Finish::Length, Finish::Refusal];
    Plan::replies(blocks, if random.chance(0.2) { Finish::Pause } else { pick(random, &ends) })
}
