//! Whole runs whose subagents are served by a model over HTTP on loopback: answers, tools, faults, money, replay.

mod common;

use common::{Bench, Ran, cache_dir, execute};
use loopwright::journal::Store;
use loopwright::protocol::Json;
use loopwright::types::{Code, RunStatus};
use loopwright::{PrepareError, Run, RunOptions, replay_run};
use loopwright_fakes::{Block, FakeProvider, Fault, FaultPlan, Options, Reply, Request, Wire};
use serde_json::{Value, json};

const PRICES: &str = "[models.prices.\"fake:some-model\"]\ninput = 3.0\noutput = 15.0\n";

fn table(name: &str, base_url: &str, wire: Wire, key: &std::path::Path) -> String {
    let wire = match wire {
        Wire::Anthropic => "anthropic",
        Wire::Chat => "openai-chat",
        Wire::Responses => "openai-responses",
        Wire::Gemini => "gemini",
    };
    let key = key.display();
    format!(
        "[providers.{name}]\nwire = \"{wire}\"\nbase_url = \"{base_url}\"\nkey = \"file:{key}\"\n"
    )
}

/// A workspace whose model is played by a fake provider.
struct Scene {
    bench: Bench,
    provider: FakeProvider,
    tables: String,
}

impl Scene {
    fn new(wire: Wire, options: Options) -> Self {
        let provider = FakeProvider::start(options);
        let bench = Bench::new();
        let key = bench.workspace().join("../key");
        std::fs::write(&key, "sk-fake\n").unwrap();
        let tables = table("fake", &provider.base_url(wire), wire, &key) + PRICES;
        Self { bench, provider, tables }
    }

    fn prepare(&self, model: Option<&str>, text: &str) -> Result<Run, PrepareError> {
        let program = self.bench.workspace().join("program.ts");
        std::fs::write(&program, text).unwrap();
        Run::prepare(RunOptions {
            tables: self.tables.parse().unwrap(),
            program,
            workspace: self.bench.workspace(),
            args: None,
            agents_dir: None,
            model: model.map(str::to_owned),
            settings: self.bench.settings.clone(),
            data_dir: self.bench.data_dir(),
            cache_dir: Some(cache_dir()),
        })
    }

    /// Runs a program to its end, and again from its record, which must ask the provider nothing.
    fn run(&self, text: &str) -> Ran {
        let run = self.prepare(Some("fake:some-model"), text).unwrap_or_else(|e| panic!("{e}"));
        let ran = execute(run);
        let asked = self.provider.report().requests;
        let store = Store::open(&self.bench.data_dir()).unwrap();
        let again = replay_run(&store, &ran.report.run, Some(cache_dir())).unwrap();
        assert_eq!(again.result, ran.report.result, "replayed");
        assert_eq!(self.provider.report().requests, asked, "a replay asks nobody");
        ran
    }

    /// What the run accounted is what the provider told, failed attempts included; what was not told is marked.
    fn assert_accounted(&self, ran: &Ran) {
        let books = self.provider.report();
        assert_eq!(books.refused, Vec::<String>::new());
        let told = books.entries.iter().filter_map(|entry| entry.told);
        let told = told.fold((0, 0), |sum, usage| (sum.0 + usage.prompt(), sum.1 + usage.output));
        let usage = ran.report.usage;
        if usage.estimated_tokens == 0 {
            assert_eq!((usage.input_tokens, usage.output_tokens), told);
        }
        assert_eq!(usage.tokens() - usage.estimated_tokens, told.0 + told.1);
        assert!(usage.tokens() >= books.billed.total(), "{usage:?} {:?}", books.billed);
        // Chat Completions alone cannot count what was not told.
        if books.entries.iter().all(|entry| entry.wire != Wire::Chat) {
            assert_eq!(usage.input_tokens, books.billed.prompt(), "{usage:?}");
            let more = usage.output_tokens - books.billed.output;
            assert!(more <= books.requests, "{usage:?} {:?}", books.billed);
        }
    }
}

fn value(ran: &Ran) -> Value {
    let result = ran.report.result.as_ref().map(Json::read::<Value>);
    result.unwrap_or_else(|| panic!("{:?}", ran.report.error)).unwrap()
}

#[test]
fn a_plain_task_is_answered_and_priced_on_every_wire() {
    for wire in Wire::ALL {
        let scene = Scene::new(wire, Options::default());
        let ran = scene.run("await task({ description: 'say it' })");
        assert_eq!(value(&ran), json!("echo: say it"), "{wire:?}");
        assert_eq!(ran.report.status, RunStatus::Complete, "{wire:?}");
        scene.assert_accounted(&ran);
        let usage = ran.report.usage;
        let price = usage.input_tokens * 3 + usage.output_tokens * 15;
        assert_eq!(usage.usd_micros, price, "{wire:?}");
    }
}

#[test]
fn a_structured_answer_that_misses_its_schema_is_asked_for_again_on_every_wire() {
    for wire in Wire::ALL {
        let script = |request: &Request| {
            let value = if request.number == 0 { json!({ "n": "one" }) } else { json!({ "n": 1 }) };
            Reply::answer(request, &value)
        };
        let scene = Scene::new(wire, Options::script(script));
        let ran = scene.run(
            "await task({ description: 'count', responseSchema: { type: 'object', \
             properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false } })",
        );
        assert_eq!(value(&ran), json!({ "n": 1 }), "{wire:?}");
        assert_eq!(scene.provider.report().requests, 2, "{wire:?}");
        scene.assert_accounted(&ran);
    }
}

#[test]
fn several_tools_a_turn_read_search_and_write_the_workspace_on_every_wire() {
    for wire in Wire::ALL {
        let script = |request: &Request| match request.tool_turns() {
            0 => Reply::parts(Vec::new())
                .and_call("read_file", &json!({ "path": "notes.txt" }))
                .and_call("grep", &json!({ "pattern": "needle" })),
            1 => Reply::call("write_file", &json!({ "path": "out.txt", "content": "written" })),
            _ => {
                let seen = request.messages.iter().flat_map(|message| &message.blocks);
                let results = seen.filter(|block| matches!(block, Block::Result { .. })).count();
                let read = request.prompt.matches("needle in hay").count();
                Reply::text(format!("{results} results, read {}", read >= 2))
            }
        };
        let mut scene = Scene::new(wire, Options::script(script));
        scene.bench = scene.bench.file("notes.txt", "needle in hay\n");
        let ran = scene.run("await task({ description: 'work' })");
        assert_eq!(value(&ran), json!("3 results, read true"), "{wire:?}");
        let written = std::fs::read_to_string(scene.bench.workspace().join("out.txt")).unwrap();
        assert_eq!(written, "written", "{wire:?}");
        scene.assert_accounted(&ran);
    }
}

#[test]
fn retryable_faults_are_retried_and_what_they_cost_is_in_the_books_on_every_wire() {
    for wire in Wire::ALL {
        let faults = [
            Fault::RateLimitBare,
            Fault::ServerError,
            Fault::CutAt(200),
            Fault::InvalidChunkFraming,
            Fault::CorruptEvent,
        ];
        for fault in faults {
            let scene = Scene::new(wire, Options::default().faults(FaultPlan::once(fault)));
            let ran =
                scene.run("await task({ description: 'a rather long thing to be said back' })");
            assert_eq!(ran.report.status, RunStatus::Complete, "{wire:?} {fault:?}");
            assert_eq!(scene.provider.report().requests, 2, "{wire:?} {fault:?}");
            scene.assert_accounted(&ran);
            if fault == Fault::CorruptEvent {
                assert_eq!(ran.report.usage.estimated_tokens, 0, "{wire:?}: told at its end");
            }
        }
    }
}

#[test]
fn a_wrong_key_fails_its_tasks_at_once_and_the_rest_of_the_run_goes_on() {
    for wire in Wire::ALL {
        let scene = Scene::new(wire, Options { key: "sk-other".to_owned(), ..Options::default() });
        let ran = scene.run(
            "const [one] = await settle([() => task({ description: 'x' })]); \
             [one.status, one.error.code, await tools.glob({ pattern: '*.ts' })]",
        );
        let code = Code::KEY_REFUSED.to_string();
        assert_eq!(value(&ran), json!(["failed", code, "program.ts"]), "{wire:?}");
        assert_eq!(scene.provider.report().requests, 1, "{wire:?}: never tried again");
    }
}

#[test]
fn what_is_known_to_be_wrong_is_refused_before_anything_runs() {
    let scene = Scene::new(Wire::Chat, Options::default());
    let code = |tables: &str, model: &str| {
        let changed =
            Scene { tables: tables.to_owned(), ..Scene::new(Wire::Chat, Options::default()) };
        match changed.prepare(Some(model), "1") {
            Err(PrepareError::Setup(error)) => error.code,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("{model} is taken"),
        }
    };
    let literal = "[providers.fake]\nwire = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1\"\nkey = \"sk-1\"";
    let absent = literal.replace("sk-1", "file:/nowhere/at/all");
    assert_eq!(code(literal, "fake:m"), Code::PROVIDER_SETTINGS);
    assert_eq!(code(&absent, "fake:m"), Code::KEY_MISSING);
    assert_eq!(code(&scene.tables, "fakes:m"), Code::PROVIDER_UNKNOWN);
    assert_eq!(code(&scene.tables, "no-such-model"), Code::MODEL_UNKNOWN);
}

#[test]
fn siblings_that_share_a_long_prompt_write_it_to_the_cache_once() {
    let mut scene = Scene::new(Wire::Anthropic, Options::default());
    let long = "You know this house by heart. ".repeat(400);
    let definition = format!("---\nname: keeper\ndescription: keeps\n---\n{long}\n");
    scene.bench = scene.bench.file(".loopwright/agents/keeper.md", &definition);
    let ran = scene.run(
        "(await Promise.all([1, 2, 3, 4, 5, 6].map((n) => \
         task({ description: `room ${n}`, subagentType: 'keeper' })))).length",
    );
    assert_eq!(value(&ran), json!(6));
    let books = scene.provider.report();
    let reads = books.entries.iter().filter(|entry| entry.billed.cache_read > 1024).count();
    let wrote = books.entries.iter().filter(|entry| entry.billed.cache_write > 1024).count();
    assert_eq!((books.requests, wrote, reads), (6, 1, 5));
    let usage = ran.report.usage;
    let billed = (books.billed.cache_read, books.billed.cache_write);
    assert_eq!((usage.cache_read_tokens, usage.cache_write_tokens), billed);
}

#[test]
fn a_run_waits_out_an_outage_and_goes_on() {
    let mut scene = Scene::new(Wire::Chat, Options::default());
    for (name, most) in [("provider.probe_max_ms", "20"), ("provider.breaker_failures", "3")] {
        scene.bench.settings.set(name, most).unwrap();
    }
    scene.provider.set_outage(true);
    let ran = std::thread::scope(|threads| {
        // The end of the outage is decided by what was asked, not by the clock.
        threads.spawn(|| {
            while scene.provider.report().requests < 6 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            scene.provider.set_outage(false);
        });
        scene
            .run("(await Promise.all([1, 2, 3].map((n) => task({ description: `t${n}` })))).length")
    });
    assert_eq!((value(&ran), ran.report.status), (json!(3), RunStatus::Complete));
    let kinds: Vec<&str> = ran.entries.iter().map(|entry| entry.kind()).collect();
    assert!(kinds.contains(&"provider_down") && kinds.contains(&"provider_up"), "{kinds:?}");
}

#[test]
fn cancelling_a_run_ends_its_requests() {
    let stall = FaultPlan::always(Fault::StallBeforeFirstByte);
    let scene = Scene::new(Wire::Anthropic, Options::default().faults(stall));
    let text = "await task({ description: 'never answered' })";
    let run = scene.prepare(Some("fake:some-model"), text).unwrap_or_else(|e| panic!("{e}"));
    let canceller = run.canceller();
    let ran = std::thread::scope(|threads| {
        threads.spawn(|| {
            while scene.provider.report().requests == 0 {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            canceller.cancel();
        });
        execute(run)
    });
    assert_eq!(ran.report.status, RunStatus::Cancelled);
}

#[test]
fn a_broken_mcp_server_and_an_unknown_tool_are_told_and_a_sound_server_serves_program_and_subagent()
{
    let script = |request: &Request| match request.tool_turns() {
        0 => {
            let tool = request.tools.iter().find(|tool| tool.name.ends_with("_ok"));
            Reply::call(tool.map_or("no_tool", |tool| &tool.name), &json!({}))
        }
        _ => Reply::text(request.results().iter().map(|(_, text)| *text).collect::<String>()),
    };
    let server = common::root().join("crates/mcp/tests/data/server.py");
    let server = |fault: &str| json!({ "command": "python3", "args": [server, fault] });
    let servers =
        json!({ "mcpServers": { "good": server("none"), "bad": server("crash-at-start") } });
    let definition =
        "---\nname: odd\ndescription: odd\ntools: read_file, no_such_tool\n---\nWork.\n";
    let mut scene = Scene::new(Wire::Chat, Options::script(script));
    scene.bench = scene.bench.file(".mcp.json", &servers.to_string());
    scene.bench = scene.bench.file(".loopwright/agents/odd.md", definition);
    let text = "[await tools.good.ok({}), await task({ description: 'use it' })]";
    let run = scene.prepare(Some("fake:some-model"), text).unwrap_or_else(|e| panic!("{e}"));
    let told: Vec<Code> = run.warnings().iter().map(|warning| warning.code).collect();
    assert!(
        told.contains(&Code::MCP_NOT_STARTED) && told.contains(&Code::TOOL_UNKNOWN),
        "{told:?}"
    );
    let ran = execute(run);
    assert_eq!(value(&ran), json!(["fine", "fine"]));
}

#[test]
fn a_subagent_in_a_worktree_leaves_a_branch_that_the_program_applies() {
    let script = |request: &Request| match request.tool_turns() {
        0 => Reply::call("write_file", &json!({ "path": "made.txt", "content": "by a model\n" })),
        _ => Reply::text("made it"),
    };
    let mut scene = Scene::new(Wire::Anthropic, Options::script(script));
    scene.bench.settings.set("tools.allow", "glob,apply_worktree").unwrap();
    scene.bench = scene.bench.file(".gitignore", "program.ts\n");
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
        let mut command = std::process::Command::new("git");
        command.args(who).args(arguments).current_dir(scene.bench.workspace());
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", ".gitignore"]);
    git(&["commit", "--quiet", "--message", "begin"]);
    let ran = scene.run(
        "const [made] = await settle([() => task({ description: 'make', isolation: 'worktree' })]); \
         const { changed, branch } = made.receipt.worktree; \
         const before = await tools.glob({ pattern: '*.txt' }); \
         await tools.apply_worktree({ branch, dryRun: true }); \
         const dry = await tools.glob({ pattern: '*.txt' }); \
         await tools.apply_worktree({ branch }); \
         [changed, before, dry, await tools.glob({ pattern: '*.txt' })]",
    );
    assert_eq!(value(&ran), json!([true, "", "", "made.txt"]));
    let text = std::fs::read_to_string(scene.bench.workspace().join("made.txt")).unwrap();
    assert_eq!(text, "by a model\n");
}
