//! Streams of models in whole runs: thinking goes back, a deadline and a cancel end them in the middle.

use crate::common::execute;
use crate::scene::{Scene, WIRES, value};
use loopwright::protocol::Entry;
use loopwright::types::RunStatus;
use loopwright_fakes::{Block, FakeProvider, Fault, FaultPlan, Options, Reply, Request};
use serde_json::json;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a loaded machine; reaching it is a hang.
const PATIENCE: Duration = Duration::from_secs(60);

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Thinks and calls a tool twice, then answers. The fake refuses thinking that comes back without its signature.
fn thinks(request: &Request) -> Reply {
    let told = request.messages.iter().flat_map(|message| &message.blocks);
    let told = told.filter(|block| matches!(block, Block::Thinking { .. })).count();
    match request.tool_turns() {
        turns @ 0..=1 => {
            let call = Reply::call("read_file", &json!({ "path": "notes.txt" }));
            let thought = format!("What is in it, for the time number {turns}?");
            if request.thinking { call.thinking(thought) } else { call }
        }
        _ => Reply::text(format!("{told} thoughts came back")),
    }
}

#[test]
fn thinking_goes_back_with_its_signature_in_every_turn_on_every_wire() {
    for wire in WIRES {
        let provider = FakeProvider::start(Options::script(thinks));
        let mut scene = Scene::of(&provider);
        scene.bench = scene.bench.file("notes.txt", "hay\n");
        let ran = scene.run(&format!(
            "await task({{ description: 'read', model: 'on-{wire}:gemini-3-fake', effort: 'high' }})"
        ));
        let report = provider.report();
        assert_eq!(report.refused, Vec::<String>::new(), "{wire}");
        assert_eq!(report.requests, 3, "{wire}");
        // OpenAI shows no thinking over Chat Completions; Gemini's signatures are those of the calls, and this fake
        // refuses a call without its own.
        let expected = if ["openai-chat", "gemini"].contains(&wire) { 0 } else { 2 };
        assert_eq!(value(&ran), json!(format!("{expected} thoughts came back")), "{wire}");
    }
}

#[test]
fn a_task_s_deadline_ends_its_request_in_the_middle_and_a_sibling_completes() {
    for wire in WIRES {
        let long = |request: &Request| match request.prompt.contains("sloth") {
            true => Reply::text("word ".repeat(200)),
            false => Reply::text("quick"),
        };
        let plan = FaultPlan::none().prompt("sloth", 100, Fault::StallBetweenChunks);
        let options = Options::script(long).faults(plan);
        let provider = FakeProvider::start(Options { stall: PATIENCE * 10, ..options });
        let ran = Scene::of(&provider).run(&format!(
            "const model = 'on-{wire}:m'; \
             const [slow, quick] = await settle([ \
             () => task({{ description: 'sloth', model, timeoutMs: 1500 }}), \
             () => task({{ description: 'quick', model }})]); \
             [slow.status, slow.reason, quick.value]"
        ));
        assert_eq!(value(&ran), json!(["failed", "timeout", "quick"]), "{wire}");
        // What it used came after its end, and is in the run's books; Gemini tells its tokens as it goes.
        let estimated = ran.report.usage.estimated_tokens;
        assert!(wire == "gemini" || estimated > 0, "{wire}: {:?}", ran.report.usage);
        until("its connection is closed", || {
            provider.report().entries.iter().all(|entry| entry.ended.is_some())
        });
    }
}

#[test]
fn a_cancel_in_the_middle_of_streams_closes_them_and_the_record_is_whole() {
    for wire in WIRES {
        let long = |_: &Request| Reply::text("word ".repeat(400));
        let options = Options::script(long).faults(FaultPlan::always(Fault::StallBetweenChunks));
        let provider = FakeProvider::start(Options { stall: PATIENCE * 10, ..options });
        let run = Scene::of(&provider);
        let run = run.prepare(&format!(
            "await Promise.all([1, 2, 3].map((n) => task({{ description: `long ${{n}}`, model: 'on-{wire}:m' }})))"
        ));
        let canceller = run.canceller();
        let ran = std::thread::scope(|threads| {
            threads.spawn(|| {
                until("three streams are under way", || {
                    let report = provider.report();
                    let begun = report.entries.iter().filter(|entry| entry.body_bytes > 1_000);
                    begun.count() == 3
                });
                canceller.cancel();
            });
            execute(run)
        });
        assert_eq!(ran.report.status, RunStatus::Cancelled, "{wire}");
        until("their connections are closed", || {
            provider.report().entries.iter().all(|entry| entry.ended.is_some())
        });
        let report = provider.report();
        assert_eq!((report.requests, report.complete), (3, 0), "{wire}: nothing was asked again");
        let usage = ran.report.usage;
        // The first reply had begun when its siblings were sent; what was still on its way nobody has counted.
        assert!(usage.input_tokens >= report.billed.prompt() / 3, "{wire}: {usage:?}");
        // What was used is in the record, attempt by attempt, and the run has its end.
        let ended = ran.entries.iter().filter_map(|entry| match entry {
            Entry::AttemptEnded(end) if !end.usage.is_zero() => Some(end.usage.tokens()),
            _ => None,
        });
        assert_eq!(ended.sum::<u64>(), usage.tokens(), "{wire}");
        assert_eq!(ran.entries.last().map(Entry::kind), Some("run_finished"), "{wire}");
    }
}
