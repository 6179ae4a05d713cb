//! A workspace whose providers, one for each wire, are one server: `on-anthropic` and so on.

use crate::common::{Bench, Ran, cache_dir, execute};
use loopwright::{Run, RunOptions};
use loopwright_fakes::{FakeProvider, Wire};
use serde_json::Value;

/// The wires, each also the name of a provider.
pub const WIRES: [&str; 4] = ["anthropic", "openai-responses", "openai-chat", "gemini"];

pub struct Scene {
    pub bench: Bench,
    pub tables: String,
}

impl Scene {
    /// One fake provider, which serves every wire.
    pub fn of(provider: &FakeProvider) -> Self {
        Self::new(|wire| {
            let all = [Wire::Anthropic, Wire::Responses, Wire::Chat, Wire::Gemini];
            let at = WIRES.iter().position(|it| *it == wire).expect("one of the four");
            provider.base_url(all[at])
        })
    }

    /// `base_url` gives the place of each wire.
    pub fn new(base_url: impl Fn(&str) -> String) -> Self {
        let bench = Bench::new();
        let key = bench.workspace().join("../key");
        std::fs::write(&key, "sk-fake\n").unwrap();
        let key = key.display();
        let tables = WIRES.map(|wire| {
            let url = base_url(wire);
            format!(
                "[providers.on-{wire}]\nwire = \"{wire}\"\nbase_url = \"{url}\"\nkey = \"file:{key}\"\n"
            )
        });
        Self { bench, tables: tables.concat() }
    }

    pub fn table(mut self, text: &str) -> Self {
        self.tables.push_str(text);
        self
    }

    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.bench = self.bench.set(name, value);
        self
    }

    /// Runs a program to its end.
    pub fn run(&self, text: &str) -> Ran {
        execute(self.prepare(text))
    }

    pub fn prepare(&self, text: &str) -> Run {
        let program = self.bench.workspace().join("program.ts");
        std::fs::write(&program, text).unwrap();
        let run = Run::prepare(RunOptions {
            tables: self.tables.parse().unwrap(),
            program,
            workspace: self.bench.workspace(),
            args: None,
            agents_dir: None,
            model: None,
            settings: self.bench.settings.clone(),
            data_dir: self.bench.data_dir(),
            cache_dir: Some(cache_dir()),
        });
        run.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The program's value.
pub fn value(ran: &Ran) -> Value {
    let result = ran.report.result.as_ref().map(loopwright::protocol::Json::read::<Value>);
    result.unwrap_or_else(|| panic!("{:?}", ran.report.error)).unwrap()
}
