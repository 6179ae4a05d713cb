//! Scripts with subagents that are served step by step.

use super::script::{Script, json_of, program};
use loopwright_protocol::{
    Block, CallKind, EndEntry, Entry, Finish, Model, ModelReply, Outcome, Price, Progress,
    SettleEntry, StepEntry, WorktreeReport,
};
use loopwright_types::{
    Attempt, CallId, Code, Digest, Failure, FailureClass, Micros, Reason, Usage,
};
use serde_json::{Value, json};

pub(super) const SONNET: &str = "anthropic:sonnet";

/// Tokens in, of them read from the cache and written to it, and out; priced like the script's model.
pub(super) fn used(input: u64, read: u64, written: u64, output: u64) -> Usage {
    let usage = Usage {
        input_tokens: input,
        output_tokens: output,
        cache_read_tokens: read,
        cache_write_tokens: written,
        ..Usage::default()
    };
    Usage { usd_micros: price().of(usage), ..usage }
}

fn price() -> Price {
    Price {
        input: 3_000_000,
        output: 15_000_000,
        cache_read: 300_000,
        cache_write: 3_750_000,
        source: "a test".to_owned(),
        date: "2026-11-01".to_owned(),
    }
}

pub(super) fn sonnet() -> Model {
    // As a journal has it: fields that other models need may be added.
    let model = json!({
        "name": SONNET, "provider": "anthropic", "output_tokens_max": 8000, "price": price(),
    });
    serde_json::from_value(model).unwrap()
}

pub(super) fn overloaded(message: &str) -> Failure {
    Failure::new(Reason::Provider, Code::PROVIDER_OVERLOADED, message).class(FailureClass::Wait)
}

/// A reply: its text, and the tools that it wants called.
pub(super) fn reply(text: &str, tools: &[(&str, Value)]) -> Value {
    let mut blocks = vec![Block::Text { text: text.to_owned() }];
    blocks.extend(tools.iter().enumerate().map(|(at, (name, args))| Block::ToolUse {
        id: format!("call_{at}"),
        name: (*name).to_owned(),
        arguments: args.to_string(),
    }));
    let finish = if tools.is_empty() { Finish::End } else { Finish::Tools };
    serde_json::to_value(ModelReply { blocks, finish }).unwrap()
}

impl Script {
    /// A run whose model and its prices are pinned.
    pub(super) fn priced(name: &str) -> Self {
        let mut script = Self::new(program(name, "await task('x')", None));
        if let Entry::RunStarted(start) = &mut script.entries[0] {
            start.models.insert("sonnet".to_owned(), sonnet());
        }
        script
    }

    pub(super) fn step(
        &mut self,
        task: CallId,
        kind: CallKind,
        turn: u32,
        name: &str,
        args: Option<Value>,
    ) -> CallId {
        let (call, now) = (CallId(self.calls), self.tick());
        self.calls += 1;
        let (name, args) = (name.to_owned(), args.map(json_of));
        let digest = Digest::of(format!("{kind:?} {turn} {name}").as_bytes());
        let entry = StepEntry { call, task, now, kind, turn, name, args, digest };
        self.entries.push(Entry::Stepped(Box::new(entry)));
        call
    }

    /// A request to the model, under way.
    pub(super) fn ask(&mut self, task: CallId, turn: u32) -> CallId {
        let step = self.step(task, CallKind::Model, turn, SONNET, None);
        self.start(step, 1);
        step
    }

    /// A tool of the subagent, under way.
    pub(super) fn tool(&mut self, task: CallId, turn: u32, name: &str, args: Value) -> CallId {
        let step = self.step(task, CallKind::Tool, turn, name, Some(args));
        self.start(step, 1);
        step
    }

    pub(super) fn end(&mut self, call: CallId, attempt: u32, failure: Failure, wait_ms: u64) {
        let now = self.tick();
        self.entries.push(Entry::AttemptEnded(EndEntry {
            call,
            attempt: Attempt(attempt),
            now,
            outcome: Outcome::Failed(failure),
            usage: used(100, 0, 0, 0),
            retry_at: (wait_ms > 0).then(|| now.after(Micros::from_millis(wait_ms))),
            answer: None,
        }));
    }

    pub(super) fn over(&mut self, call: CallId, attempts: u32, outcome: Outcome, usage: Usage) {
        self.settled(call, attempts, outcome, usage, |_| {});
    }

    /// A task's or a step's outcome with whatever else belongs to it.
    pub(super) fn settled(
        &mut self,
        call: CallId,
        attempts: u32,
        outcome: Outcome,
        usage: Usage,
        change: impl FnOnce(&mut SettleEntry),
    ) {
        let now = self.tick();
        let started = self.entries.iter().find_map(|entry| match entry {
            Entry::AttemptStarted(start) if start.call == call => Some(start.now),
            _ => None,
        });
        let mut entry = Box::new(SettleEntry {
            call,
            now,
            outcome,
            attempts,
            attempt: None,
            usage,
            started,
            fallback: false,
            hidden: None,
            salvage: None,
            worktree: None,
            reused: None,
            subagent: None,
        });
        change(&mut entry);
        self.entries.push(Entry::Settled(entry));
    }

    pub(super) fn gave(&mut self, call: CallId, value: Value, usage: Usage) {
        self.over(call, 1, Outcome::Done(json_of(value)), usage);
    }

    pub(super) fn told(&mut self, call: CallId, text: &str) {
        let (attempt, now) = (Attempt(1), self.tick());
        let progress = Progress::Message(text.to_owned());
        self.entries.push(Entry::Progressed { call, attempt, now, progress });
    }

    pub(super) fn down(&mut self, provider: &str, failure: Failure) {
        let (now, provider) = (self.tick(), provider.to_owned());
        self.entries.push(Entry::ProviderDown { now, provider, failure });
    }

    pub(super) fn up(&mut self, provider: &str) {
        let (now, provider) = (self.tick(), provider.to_owned());
        self.entries.push(Entry::ProviderUp { now, provider });
    }
}

/// Two turns, three tools of which one fails, a retry, an answer that has to be given again, cached usage.
pub(super) fn review() -> Script {
    let mut script = Script::priced("review.ts");
    let task = script.task(1, None, "review a.rs");
    script.start(task, 1);
    let first = script.ask(task, 1);
    script.end(first, 1, overloaded("`anthropic` is overloaded (529)"), 4000);
    script.start(first, 2);
    let wishes = [
        ("grep", json!({"pattern": "TODO", "path": "src"})),
        ("docs__find", json!({"word": "retry"})),
        ("fly", json!({"to": "the moon"})),
        ("read_file", json!({"path": "none.rs"})),
    ];
    let value = reply("I look first.\nThen I answer.", &wishes);
    script.over(first, 2, Outcome::Done(json_of(value)), plus_failed(used(1000, 0, 800, 50)));
    let grep = script.tool(task, 1, "grep", wishes[0].1.clone());
    let find = script.tool(task, 1, "docs.find", wishes[1].1.clone());
    let read = script.tool(task, 1, "read_file", wishes[3].1.clone());
    script.gave(grep, json!("src/a.rs:1: TODO\nsrc/b.rs:9: TODO"), Usage::default());
    let missing = Failure::new(Reason::Provider, Code::TOOL_FAILED, "there is no `none.rs`");
    script.over(read, 1, Outcome::Failed(missing), Usage::default());
    script.gave(find, json!({"pages": (0..300).collect::<Vec<u32>>()}), Usage::default());
    let second = script.ask(task, 2);
    script.gave(second, reply("all is well", &[]), used(1500, 800, 100, 20));
    let again = script.ask(task, 2);
    script.gave(again, reply(r#"{"ok":true}"#, &[]), used(1600, 1500, 0, 10));
    let mut all = plus_failed(used(1000, 0, 800, 50));
    all.add(used(1500, 800, 100, 20));
    all.add(used(1600, 1500, 0, 10));
    script.gave(task, json!({"ok": true}), all);
    script
}

/// With what the failed attempt used.
fn plus_failed(usage: Usage) -> Usage {
    let mut all = used(100, 0, 0, 0);
    all.add(usage);
    all
}

/// A subagent in a worktree that fails: what it said last and what it changed is kept.
pub(super) fn salvage() -> Script {
    let mut script = Script::priced("fix.ts");
    let task = script.task(1, None, "fix the build");
    let make = script.step(task, CallKind::Worktree, 0, "create", None);
    script.start(make, 1);
    let place = json!({"path": "/tmp/w/1", "branch": "loopwright/ab12-1", "base": "0123abc"});
    script.gave(make, place, Usage::default());
    script.start(task, 1);
    let first = script.ask(task, 1);
    script.gave(first, reply("I changed\nthree files", &[]), used(400, 0, 0, 30));
    let finish = script.step(task, CallKind::Worktree, 0, "finish", None);
    script.start(finish, 1);
    let report = WorktreeReport {
        changed: true,
        branch: Some("loopwright/ab12-1".to_owned()),
        path: Some("/tmp/w/1".to_owned()),
        diffstat: " src/a.rs | 3 ++-\n 1 file changed\n".to_owned(),
    };
    let value = serde_json::to_value(&report).unwrap();
    script.gave(finish, value, Usage::default());
    let message = "the answer does not match its schema: `ok` is missing";
    let failure = Failure::new(Reason::Schema, Code::ANSWER_INVALID, message);
    script.settled(task, 1, Outcome::Failed(failure), used(400, 0, 0, 30), |entry| {
        entry.salvage = Some("I changed\nthree files".to_owned());
        entry.worktree = Some(report);
    });
    script
}
