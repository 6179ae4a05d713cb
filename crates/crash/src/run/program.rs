//! What is run: programs whose every piece of work asks something else, so that no two answers can be confused.

use super::work::{FAILS, served_value, value};
use loopwright_host::Guests;
use loopwright_protocol::{CallKind, Model, ProgramText, RunStart, Subagent, Tool};
use loopwright_simulator::{Random, ScriptedGuests, Simulation, Step, program, subagent};
use loopwright_types::{Effects, RunId};
use serde_json::{Value, json};

/// What a run must give.
pub enum Expected {
    /// This.
    Value(Value),
    /// Something that this finds no fault with.
    Checked(fn(&Value) -> Result<(), String>),
    /// Races decide.
    Anything,
}

/// What is run.
pub struct Program {
    /// The run's inputs.
    pub start: RunStart,
    /// What it gives.
    pub expected: Expected,
    /// The interpreter's calibration.
    pub gas_per_ms: u64,
    /// Makes what carries guests out, for one process.
    pub guests: Box<dyn Fn() -> Box<dyn Guests>>,
}

struct Maker {
    random: Random,
    ids: u32,
    left: u32,
    nested: Vec<&'static str>,
    /// Whether the program has races: quorums and deadlines.
    races: bool,
}

/// Any calibration does where guests count no gas of their own.
const GAS_PER_MS: u64 = 1;

impl Program {
    /// The program of this seed: scripted, without a sandbox.
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::new(seed).fork(2);
        let races = random.chance(0.3);
        let left = [3, 6, 6, 12, 24][random.below(5) as usize];
        let start = start(seed, &mut random);
        let mut maker = Maker { random, ids: 0, left, nested: vec!["left", "right"], races };
        let main = maker.step(3);
        let nested = ["left", "right"].map(|name| (name, maker.leaves()));
        let mut scripts = vec![("main", main)];
        scripts.extend(nested);
        let expected = match races {
            true => Expected::Anything,
            false => Expected::Value(eval(&scripts[0].1, &scripts)),
        };
        let guests = move || -> Box<dyn Guests> {
            let none = ScriptedGuests::new();
            let with = |guests: ScriptedGuests, (name, script): &(&str, Step)| {
                guests.with(name, script.clone())
            };
            Box::new(scripts.iter().fold(none, with))
        };
        Self { start, expected, gas_per_ms: GAS_PER_MS, guests: Box::new(guests) }
    }

    /// A program's text in the place of a drawn one; its tools and subagents are those of drawn ones.
    pub fn of(seed: u64, text: ProgramText, expected: Expected) -> Self {
        let drawn = Self::draw(seed);
        let start = RunStart { program: text, ..drawn.start };
        Self { start, expected, ..drawn }
    }

    pub(super) fn has_races(&self) -> bool {
        matches!(self.expected, Expected::Anything)
    }
}

/// What a program without races gives: each answer in its place.
fn eval(step: &Step, scripts: &[(&'static str, Step)]) -> Value {
    match step {
        Step::Call { kind: CallKind::Task | CallKind::Agent, request } => {
            let id = request["prompt"].as_str().unwrap_or_default();
            match request["subagent"].as_str() {
                Some("served") => json!(served_value(id)),
                _ => value(id),
            }
        }
        Step::Call { kind: CallKind::Tool, request } => {
            value(request["args"]["id"].as_str().unwrap_or_default())
        }
        Step::Call { kind: CallKind::Workflow, request } => {
            let script = scripts.iter().find(|(name, _)| request["name"] == *name);
            script.map_or(Value::Null, |(_, script)| eval(script, scripts))
        }
        Step::Call { kind: CallKind::Approve, .. } => json!(true),
        Step::Seq(steps) => steps.last().map(|step| eval(step, scripts)).unwrap_or_default(),
        Step::All(steps) | Step::Settle(steps) => {
            steps.iter().map(|step| eval(step, scripts)).collect()
        }
        Step::Catch(step) => eval(step, scripts),
        Step::Value(value) => value.clone(),
        _ => Value::Null,
    }
}

impl Maker {
    fn step(&mut self, depth: u32) -> Step {
        self.left = self.left.saturating_sub(1);
        if depth == 0 || self.left == 0 {
            return self.leaf();
        }
        match self.random.below(if self.races { 8 } else { 6 }) {
            0 | 1 => Step::Seq(self.steps(depth)),
            2 | 3 => Step::All(self.steps(depth)),
            4 => Step::Settle(self.steps(depth)),
            5 => Step::catch(self.step(depth - 1)),
            6 => {
                let of = self.steps(depth);
                Step::Quorum { k: 1 + self.random.below(of.len() as u64) as usize, of }
            }
            _ => Step::deadline(20 + self.random.below(200), self.step(depth - 1)),
        }
    }

    fn steps(&mut self, depth: u32) -> Vec<Step> {
        (0..1 + self.random.below(4)).map(|_| self.step(depth - 1)).collect()
    }

    fn leaves(&mut self) -> Step {
        self.nested.clear();
        self.left = 3;
        Step::All((0..=self.random.below(2)).map(|_| self.leaf()).collect())
    }

    fn leaf(&mut self) -> Step {
        self.ids += 1;
        let id = format!("i{}", self.ids);
        match self.random.below(20) {
            0..=5 => self.task(&id, "general-purpose"),
            6 if self.races && self.random.chance(0.3) => {
                Step::catch(self.task(&format!("{FAILS}{id}"), "external"))
            }
            6 | 7 => self.task(&id, "external"),
            8 | 9 => self.task(&id, "served"),
            10 => Step::agent(&id),
            11..=13 => Step::tool("write_file").with("args", json!({ "id": id })),
            14 | 15 => Step::tool("grep").with("args", json!({ "id": id })),
            16 => Step::sleep(self.random.below(200)),
            17 => Step::approve(&id),
            18 => match self.nested.pop() {
                Some(name) => Step::workflow(name),
                None => Step::value(id),
            },
            _ => Step::seq([Step::log("a line"), Step::value(id)]),
        }
    }

    fn task(&mut self, id: &str, subagent: &str) -> Step {
        let mut step = Step::task(id).with("subagent", subagent).with("retries", 4);
        if self.races && self.random.chance(0.2) {
            step = step.with("timeoutMs", 30 + self.random.below(300));
        }
        step
    }
}

fn start(seed: u64, random: &mut Random) -> RunStart {
    let simulation = Simulation::new(program("main"), seed);
    let mut external = Subagent { effects: Effects::External, ..subagent("external") };
    external.lookup = random.chance(0.6);
    let served = Subagent { driver: "model".to_owned(), ..subagent("served") };
    let mut start = simulation.subagent(external).subagent(served).start;
    start.run = RunId::parse(&format!("run-{seed}")).expect("a valid name");
    let mut write = Tool::reading("write_file");
    write.effects = Effects::Local;
    write.lookup = random.chance(0.6);
    start.tools = vec![Tool::reading("grep"), write];
    let model = json!({ "name": "p:m", "provider": "p", "output_tokens_max": 100 });
    let model: Model = serde_json::from_value(model).expect("a model's form");
    start.models.insert("m".to_owned(), model);
    start.model = Some("m".to_owned());
    let mut set = |name: &str, values: &[&str]| {
        let value = values[random.below(values.len() as u64) as usize];
        start.settings.set(name, value).unwrap_or_else(|error| panic!("{error}"));
    };
    set("run.concurrency", &["1", "2", "5", "16"]);
    set("task.backoff_ms", &["0", "100"]);
    start
}
