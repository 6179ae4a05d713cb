//! Forks of runs whose subagents a model serves over HTTP on loopback: what is asked again is what the provider sees.

mod common;

use common::{Bench, Ran, cache_dir, execute};
use loopwright::journal::Store;
use loopwright::protocol::Json;
use loopwright::types::{CallId, Effects, RunId};
use loopwright::{Cost, Fork, ForkOptions, Run, RunOptions, Standing, Why, replay_run};
use loopwright_fakes::{FakeProvider, Options, Reply, Request, Wire};
use serde_json::json;

const PRICES: &str = "[models.prices.\"fake:some-model\"]\ninput = 3.0\noutput = 15.0\n\
    [models.prices.\"fake:other-model\"]\ninput = 30.0\noutput = 150.0\n";

const PROGRAM: &str = "const two = await Promise.all([task({ description: 'read notes' }), task({ description: 'think' })]);\n\
    await task({ description: `conclude from ${two.length} answers` })";

struct Scene {
    bench: Bench,
    provider: FakeProvider,
    tables: String,
}

/// Reads a file where it is told to, writes one where it is told to, else answers with what it is asked.
fn script(request: &Request) -> Reply {
    let asks = |what: &str| request.prompt.contains(what) && request.tool_turns() == 0;
    if asks("read notes") {
        return Reply::call("read_file", &json!({ "path": "notes.txt" }));
    }
    if asks("write it") {
        return Reply::call("write_file", &json!({ "path": "out.txt", "content": "written" }));
    }
    Reply::text("an answer")
}

impl Scene {
    fn new() -> Self {
        let provider = FakeProvider::start(Options::script(script));
        let bench = Bench::new().file("notes.txt", "one\n");
        let key = bench.workspace().join("../key");
        std::fs::write(&key, "sk-fake\n").unwrap();
        let url = provider.base_url(Wire::Chat);
        let tables = format!(
            "[providers.fake]\nwire = \"openai-chat\"\nbase_url = \"{url}\"\nkey = \"file:{}\"\n{PRICES}",
            key.display()
        );
        Self { bench, provider, tables }
    }

    fn run(&self, text: &str) -> Ran {
        let program = self.bench.workspace().join("program.ts");
        std::fs::write(&program, text).unwrap();
        let run = Run::prepare(RunOptions {
            tables: self.tables.parse().unwrap(),
            program,
            workspace: self.bench.workspace(),
            args: None,
            agents_dir: None,
            model: Some("fake:some-model".to_owned()),
            settings: self.bench.settings.clone(),
            data_dir: self.bench.data_dir(),
            cache_dir: Some(cache_dir()),
        });
        execute(run.unwrap_or_else(|error| panic!("{error}")))
    }

    fn fork(&self, from: &RunId, change: impl FnOnce(&mut ForkOptions)) -> Fork {
        let mut options = ForkOptions {
            from: from.clone(),
            program: None,
            at: None,
            args: None,
            workspace: None,
            agents_dir: None,
            model: None,
            set: Vec::new(),
            tables: self.tables.parse().unwrap(),
            data_dir: self.bench.data_dir(),
            cache_dir: Some(cache_dir()),
            keep_stale: false,
            reuse_effects: false,
        };
        change(&mut options);
        Run::fork(&options).unwrap_or_else(|error| panic!("{error}"))
    }

    fn asked(&self) -> u64 {
        self.provider.report().requests
    }

    /// Runs a fork; gives it and how many requests that took. Its replay needs the old run no more than the provider.
    fn forked(&self, fork: Fork) -> (Ran, u64) {
        let before = self.asked();
        let ran = execute(fork.into_run());
        let after = self.asked();
        let store = Store::open(&self.bench.data_dir()).unwrap();
        let again = replay_run(&store, &ran.report.run, Some(cache_dir())).unwrap();
        assert_eq!((again.result, self.asked()), (ran.report.result.clone(), after), "replayed");
        (ran, after - before)
    }
}

/// How each call stands, with its reasons.
fn standings(fork: &Fork) -> Vec<String> {
    let of = |call: &loopwright::PlannedCall| {
        let why: Vec<&str> = call.why.iter().map(|why| why.as_str()).collect();
        format!("{:?} {}", call.standing, why.join("+")).trim_end().to_lowercase()
    };
    fork.plan().calls.iter().map(of).collect()
}

#[test]
fn a_subagent_whose_file_changed_is_asked_again_and_its_recorded_reads_know_it() {
    let scene = Scene::new();
    let old = scene.run(PROGRAM);
    assert_eq!(scene.asked(), 4);
    let fork = scene.fork(&old.report.run, |_| {});
    assert_eq!(standings(&fork), ["hit", "hit", "hit"]);
    let (same, asked) = scene.forked(fork);
    assert_eq!((asked, &same.report.result), (0, &old.report.result));

    scene.bench.file_again("notes.txt", "two\n");
    for from in [&old.report.run, &same.report.run] {
        let fork = scene.fork(from, |_| {});
        // The number of answers does not depend on what they are.
        assert_eq!(standings(&fork), ["miss stale", "hit", "hit"], "{from}");
        assert!(matches!(fork.plan().calls[0].cost, Cost::Expected(usage) if usage.usd_micros > 0));
    }
    let kept = scene.fork(&old.report.run, |options| options.keep_stale = true);
    assert_eq!(standings(&kept), ["hit stale-kept", "hit", "hit"]);
    let (_, asked) = scene.forked(scene.fork(&same.report.run, |_| {}));
    assert_eq!(asked, 2, "one request that reads, one that answers");
}

#[test]
fn another_model_is_another_call_at_its_own_price() {
    let scene = Scene::new();
    let old = scene.run(PROGRAM);
    let fork = scene.fork(&old.report.run, |options| {
        options.model = Some("fake:other-model".to_owned());
    });
    assert_eq!(standings(&fork), ["miss model"; 3]);
    let spent = old.report.usage.usd_micros;
    let expected = fork.plan().cost(Standing::Miss).0.usd_micros;
    assert!(expected.abs_diff(10 * spent) <= 30, "{expected} for ten times {spent}");
}

#[test]
fn a_subagent_that_wrote_a_file_had_effects_and_one_that_only_could_had_none() {
    let scene = Scene::new();
    let old =
        scene.run("await task({ description: 'write it' }); await task({ description: 'think' })");
    let fork = scene.fork(&old.report.run, |_| {});
    assert_eq!(standings(&fork), ["miss effects", "hit"]);
    assert_eq!((fork.plan().repeats_effects(), fork.plan().calls[0].effects), (1, Effects::Local));
    let accepted = scene.fork(&old.report.run, |options| options.reuse_effects = true);
    assert_eq!(standings(&accepted), ["hit effects-kept", "hit"]);
    assert_eq!(accepted.plan().calls[0].why, [Why::EffectsKept]);
    let (_, asked) = scene.forked(accepted);
    assert_eq!(asked, 0);
}

#[test]
fn a_plan_goes_as_far_as_recorded_answers_go_and_says_where_it_ends() {
    let scene = Scene::new();
    let old = scene.run(PROGRAM);
    let edited = PROGRAM.replace("'think'", "'something that nobody ever asked before at all'");
    let file = scene.bench.workspace().join("edited.ts");
    std::fs::write(&file, edited.replace("const two", "\n\nconst two")).unwrap();
    let fork = scene.fork(&old.report.run, |options| options.program = Some(file.clone()));
    assert_eq!(standings(&fork), ["hit", "miss new"]);
    assert!(fork.plan().is_open);
    assert!(matches!(fork.plan().calls[1].cost, Cost::Expected(_)), "as its subagent type usually");
    let (ran, asked) = scene.forked(fork);
    assert_eq!(asked, 1, "what follows was the same after all");
    assert_eq!(ran.report.result, Some(Json::of("an answer")));
    let at = scene.fork(&old.report.run, |options| options.at = Some(CallId(1)));
    assert_eq!(standings(&at)[0], "hit");
}
