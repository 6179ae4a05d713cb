//! Random programs, random subagents, random faults, each of one seed.

use crate::served::{by_model, failed, model};
use loopwright_protocol::{
    Block, Dispatch, Finish, Found, Json, ModelRequest, Price, Progress, ProviderLimits, Tool,
    Window, Work, WorktreeWork,
};
use loopwright_simulator::{
    Latency, OnCancel, Plan, Random, ScriptedGuests, Simulation, Step, program, subagent,
};
use loopwright_types::{Code, Effects, Failure, FailureClass, Micros, Reason, Usage};
use serde_json::json;

/// Draws programs.
struct Maker {
    random: Random,
    /// Steps it may still draw.
    left: u32,
}

impl Maker {
    fn draw<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.random.below(from.len() as u64) as usize].clone()
    }

    fn step(&mut self, depth: u32) -> Step {
        self.left = self.left.saturating_sub(1);
        if depth == 0 || self.left == 0 || self.random.chance(0.3) {
            return self.leaf();
        }
        match self.random.below(8) {
            0 => Step::Seq(self.steps(depth)),
            1 | 2 => Step::All(self.steps(depth)),
            3 => Step::Settle(self.steps(depth)),
            4 => {
                let of = self.steps(depth);
                Step::Quorum { k: self.random.below(of.len() as u64 + 1) as usize, of }
            }
            5 => Step::deadline(self.random.below(400), self.step(depth - 1)),
            6 => Step::catch(self.step(depth - 1)),
            _ => Step::spawn(self.step(depth - 1)),
        }
    }

    fn steps(&mut self, depth: u32) -> Vec<Step> {
        (0..self.random.below(5)).map(|_| self.step(depth - 1)).collect()
    }

    fn leaf(&mut self) -> Step {
        match self.random.below(24) {
            0..=9 => self.task(Step::task("a")),
            10..=14 => self.task(Step::agent("b")),
            15 | 16 => Step::tool("read_file"),
            17 | 18 => Step::sleep(self.random.below(300)),
            19 => self.approval(),
            20 | 21 => Step::workflow(self.draw(&["left", "right", "nobody"])),
            22 => Step::value(1),
            _ => match self.random.below(5) {
                0 => Step::Never,
                1 => Step::log("line"),
                2 => Step::write(|pen| pen.note(&json!({ "note": "phase", "title": "p" }))),
                _ => Step::throw("oh"),
            },
        }
    }

    fn approval(&mut self) -> Step {
        match self.random.below(2) {
            0 => Step::approve("go on?"),
            _ => Step::approve("go on?").with("deadlineMs", self.random.below(300)),
        }
    }

    fn task(&mut self, mut step: Step) -> Step {
        let name = self.draw(&[
            "general-purpose",
            "narrow",
            "external",
            "nobody",
            "served",
            "served",
            "elsewhere",
            "unpriced",
        ]);
        if name != "nobody" || self.random.chance(0.2) {
            step = step.with("subagent", name);
        }
        let options = [
            ("timeoutMs", json!(self.random.below(500))),
            ("retries", json!(self.random.below(4))),
            (
                "fallback",
                self.draw(&[
                    json!({ "value": 1 }),
                    json!({ "subagent": "narrow" }),
                    json!({ "subagent": "elsewhere" }),
                ]),
            ),
            ("budget", json!(self.random.below(40))),
            ("budget", json!({ "tokens": self.random.below(4000), "usd": 0.01 })),
            ("isolation", json!("worktree")),
            ("maxTurns", json!(1 + self.random.below(3))),
            ("tools", self.draw(&[json!(["grep"]), json!([]), json!(["write_file", "rm"])])),
            ("model", self.draw(&[json!("m"), json!("new"), json!("unknown"), json!("mock")])),
            ("schema", self.draw(&[json!({ "type": "integer" }), json!(false)])),
        ];
        for (field, value) in options {
            if self.random.chance(0.15) {
                step = step.with(field, value);
            }
        }
        step
    }
}

fn plan(dispatch: &Dispatch, random: &mut Random) -> Plan {
    let served = match &dispatch.work {
        Work::Model(request) => Some(model_plan(request, random)),
        Work::ResolveModel { name } if name == "new" && random.chance(0.7) => {
            Some(Plan::done(serde_json::to_value(model("new", "q")).unwrap()))
        }
        Work::ResolveModel { .. } => {
            let unknown = Failure::new(Reason::Policy, Code::MODEL_UNKNOWN, "unknown");
            Some(Plan::failed(unknown.not_sent()))
        }
        Work::Worktree(work) if random.chance(0.85) => Some(worktree_plan(work)),
        Work::LookUp(_) => Some(lookup_plan(random)),
        _ => None,
    };
    if let Some(plan) = served {
        return timed(plan, dispatch, random);
    }
    let mut plan = match random.below(10) {
        0 => Plan::broken(),
        1 | 2 => Plan::retryable(),
        3 => Plan::done("text"),
        _ => Plan::done(random.below(9)),
    };
    if matches!(dispatch.work, Work::Approve(_)) {
        let absent = Failure::new(Reason::Policy, Code::PARKED, "nobody is there to answer");
        plan = if random.chance(0.3) { Plan::failed(absent) } else { Plan::done(true) };
    } else {
        plan.usage = Usage {
            input_tokens: 3,
            output_tokens: random.below(9),
            usd_micros: 2,
            ..Usage::default()
        };
    }
    timed(plan, dispatch, random)
}

/// When a plan ends, what it tells until then, and what a cancellation does to it.
fn timed(mut plan: Plan, dispatch: &Dispatch, random: &mut Random) -> Plan {
    plan.latency = Some(match random.below(4) {
        0 => Micros(0),
        1 => Micros::from_millis(50 * random.below(4)),
        _ => Latency::Exponential(Micros::from_millis(60)).draw(random),
    });
    if random.chance(0.3) {
        let text = Progress::Message("half".to_owned());
        plan.progress.push((Micros::from_millis(random.below(90)), text));
    }
    plan.on_cancel = match random.below(3) {
        0 => OnCancel::Ignored,
        _ => OnCancel::Ends {
            after: Micros::from_millis(20 * random.below(3)),
            usage: Usage { output_tokens: 1, ..Usage::default() },
        },
    };
    if random.chance(0.1) && !matches!(dispatch.work, Work::Approve(_)) {
        // A host ends a request to a model by its own deadlines, whatever becomes of the task.
        let is_model = matches!(dispatch.work, Work::Model(_));
        plan.latency = is_model.then(|| Micros::from_millis(1_800_000));
        plan.on_cancel = OnCancel::Ends { after: Micros(0), usage: Usage::default() };
    }
    if random.chance(0.1) && plan.latency.is_some() {
        plan.repeats = vec![Micros::from_millis(random.below(50))];
    }
    plan
}

/// A model's reply or failure, of every class.
fn model_plan(request: &ModelRequest, random: &mut Random) -> Plan {
    let text = |text: &str| Block::Text { text: text.to_owned() };
    let call = |id: &str, name: &str, arguments: &str| {
        let [id, name, arguments] = [id, name, arguments].map(str::to_owned);
        Block::ToolUse { id, name, arguments }
    };
    let plan = match random.below(20) {
        0..=4 => Plan::says("4"),
        5 => Plan::says("no integer"),
        6..=9 => Plan::calls(&[("grep", json!({ "n": 1 })), ("write_file", json!({}))]),
        10 => {
            let blocks = vec![text("well"), call("1", "rm", "{}"), call("2", "grep", "{,")];
            Plan::replies(blocks, Finish::Tools)
        }
        11 => Plan::replies(Vec::new(), Finish::End),
        12 => {
            let finish = [Finish::Length, Finish::Refusal, Finish::Pause];
            Plan::replies(vec![text("half")], finish[random.below(3) as usize])
        }
        13 => Plan::done(json!({ "neither": "form" })),
        14 => {
            let mut refused = failed(FailureClass::Wait, Code::RATE_LIMITED);
            let asked = [None, Some(100), Some(100_000_000_000)][random.below(3) as usize];
            refused.retry_after = asked.map(Micros::from_millis);
            Plan::failed(refused)
        }
        15 | 16 => Plan::failed(failed(FailureClass::Wait, Code::PROVIDER_OVERLOADED)),
        17 => Plan::failed(failed(FailureClass::Wait, Code::PROVIDER_UNREACHABLE).not_sent()),
        18 => Plan::failed(match random.below(4) {
            0 => failed(FailureClass::Park, Code::QUOTA_SPENT),
            1 => failed(FailureClass::Switch, Code::MODEL_REFUSED),
            2 => failed(FailureClass::Never, Code::PROVIDER_SETTINGS).not_sent(),
            _ => failed(FailureClass::Never, Code::KEY_REFUSED),
        }),
        _ => Plan::broken(),
    };
    let output_tokens = random.below(request.output_tokens_max + 1);
    let mut plan = plan.using(Usage { input_tokens: 5, output_tokens, ..Usage::default() });
    if random.chance(0.4) {
        plan.progress.push((Micros::from_millis(random.below(60)), Progress::Began));
    }
    if random.chance(0.2) {
        let limit = 500 + random.below(5000);
        let (remaining, reset) = (random.below(limit + 1), random.below(300));
        let window = Window { limit, remaining, reset: Micros::from_millis(reset) };
        let mut limits = ProviderLimits::default();
        match random.below(3) {
            0 => limits.requests = Some(Window { limit: 3, remaining: random.below(4), ..window }),
            1 => limits.tokens = Some(window),
            _ => limits.output_tokens = Some(window),
        }
        plan.progress.push((Micros::from_millis(random.below(60)), Progress::Limits(limits)));
    }
    plan
}

/// What a lookup says, whatever was done.
fn lookup_plan(random: &mut Random) -> Plan {
    match random.below(6) {
        0 => Plan::broken(),
        1 => Plan::found(&Found::Unknown("nobody knows".to_owned())),
        2 | 3 => Plan::found(&Found::NotDone),
        4 => Plan::found(&Found::Done(Json::of("text"))),
        _ => Plan::found(&Found::Done(Json::of(&random.below(9)))),
    }
}

fn worktree_plan(work: &WorktreeWork) -> Plan {
    match work {
        WorktreeWork::Create => Plan::done(json!({ "path": "/w", "branch": "b", "base": "c" })),
        WorktreeWork::Finish(_) => Plan::done(json!({ "changed": false })),
    }
}

/// Subagents that models serve, tools with effects, small windows.
fn serving(mut simulation: Simulation, random: &mut Random) -> Simulation {
    for (name, own) in [("served", None), ("elsewhere", Some("o")), ("unpriced", Some("u"))] {
        let mut kind = by_model(name);
        kind.model = own.map(str::to_owned);
        kind.tools_denied = if random.chance(0.2) { vec!["grep".to_owned()] } else { Vec::new() };
        simulation = simulation.subagent(kind);
    }
    let price = |input, output| Some(Price { input, output, ..Price::default() });
    let mut known =
        [("m", "p"), ("o", "q"), ("u", "p")].map(|(name, provider)| model(name, provider));
    (known[0].price, known[1].price) = (price(1_000_000, 5_000_000), price(3_000_000, 0));
    for (name, mut model) in ["m", "o", "u"].into_iter().zip(known) {
        model.output_tokens_max = 1 + random.below(100);
        simulation.start.models.insert(name.to_owned(), model);
    }
    simulation.start.model = random.chance(0.9).then(|| "m".to_owned());
    let mut write = Tool::reading("write_file");
    write.effects = Effects::Local;
    write.lookup = random.chance(0.5);
    simulation.start.tools = vec![Tool::reading("grep"), Tool::reading("read_file"), write];
    simulation
}

fn settings(mut simulation: Simulation, random: &mut Random) -> Simulation {
    let mut set = |name: &str, values: &[&str]| {
        let value = values[random.below(values.len() as u64) as usize];
        simulation.start.settings.set(name, value).unwrap();
    };
    set("run.concurrency", &["1", "2", "5", "16"]);
    set("run.concurrency_per_provider", &["1", "3", "1000"]);
    set("run.concurrency_per_subagent", &["2", "1000"]);
    set("run.tasks_max", &["3", "20", "1000", "1000"]);
    set("run.calls_max", &["10", "1000", "1000"]);
    set("task.backoff_ms", &["0", "100"]);
    set("task.timeout_ms", &["200", "1000", "1800000"]);
    set("budget.tokens", &["0", "0", "0", "50", "5000"]);
    set("provider.cache_prefix_tokens", &["1", "1024"]);
    set("provider.breaker_failures", &["1", "2", "8"]);
    set("provider.retries", &["0", "2", "8"]);
    set("provider.probe_max_ms", &["1", "2000"]);
    simulation
}

/// The run of one seed, and what makes its guests.
pub fn simulation_of(seed: u64) -> (Simulation, impl Fn() -> ScriptedGuests) {
    let mut random = Random::new(seed).fork(1);
    let mut external = subagent("external");
    (external.effects, external.provider) = (Effects::External, "other".to_owned());
    external.lookup = random.chance(0.5);
    let mut narrow = subagent("narrow");
    narrow.concurrency = Some(1);
    let simulation = Simulation::new(program("main"), seed)
        .subagent(external)
        .subagent(narrow)
        .saved(program("left"))
        .saved(program("right"))
        .plans(plan);
    let mut simulation = settings(simulation, &mut random);
    simulation = serving(simulation, &mut random);
    if random.chance(0.2) {
        let budget = json!({ "budget": random.below(60) });
        simulation.start.program.meta = Some(Json::of(&budget));
    }
    let setup = &mut simulation.setup;
    setup.shuffled = random.chance(0.8);
    setup.sync_delay = Micros([0, 1, 5_000, 40_000][random.below(4) as usize]);
    setup.cancel_after = random.chance(0.1).then(|| Micros::from_millis(random.below(300)));
    setup.faults.sync_failing = random.chance(0.1).then(|| 1 + random.below(30));
    setup.faults.append_failing = random.chance(0.03).then(|| random.below(60));
    setup.faults.clock_goes_back = random.chance(0.1);
    setup.faults.timers_stay = random.chance(0.2);
    setup.faults.progress_late = random.chance(0.2);
    setup.events_max = 100_000;
    let mut maker = Maker { random, left: 40 };
    let scripts =
        [("main", 4), ("left", 2), ("right", 2)].map(|(name, depth)| (name, maker.step(depth)));
    let mut random = maker.random;
    simulation.setup.pause_after =
        random.chance(0.1).then(|| Micros::from_millis(random.below(300)));
    let guests = move || {
        scripts
            .iter()
            .fold(ScriptedGuests::new(), |guests, (name, script)| guests.with(name, script.clone()))
    };
    (simulation, guests)
}
