//! Asks one model once and prints what was reported, without engine or run: to see what a server really answers.
//!
//! `cargo run -p loopwright-providers --example ask -- openai:gpt-6-luna "Say hello" [settings.toml [schema.json]]`

use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{Dispatch, Json, Message, ModelRequest, Outcome, Progress, Work};
use loopwright_providers::{ModelDriver, Providers};
use loopwright_types::{Attempt, CallId, RunId, Settings, Usage};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

struct Print(Sender<()>);

impl Reporter for Print {
    fn ended(&self, _: CallId, _: Attempt, outcome: Outcome, usage: Usage) {
        println!("{}", Json::of(&outcome).text());
        println!("{}", Json::of(&usage).text());
        self.0.send(()).ok();
    }

    fn progressed(&self, _: CallId, _: Attempt, progress: Progress) {
        println!("{}", Json::of(&progress).text());
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("which model?")?;
    let text = arguments.next().ok_or("what to ask?")?;
    let settings = arguments.next().map(std::fs::read_to_string).transpose()?;
    let schema = arguments.next().map(std::fs::read_to_string).transpose()?;
    let providers = Providers::from_environment(&settings.unwrap_or_default().parse()?)?;
    let model = providers.resolve(&model)?;
    providers.check_key(&model.provider)?;
    println!("{}", Json::of(&model).text());
    let request = ModelRequest {
        model: model.name,
        system: String::new(),
        messages: vec![Message::User { text }],
        tools: Vec::new(),
        schema: schema.map(Json::parse).transpose()?,
        output_tokens_max: model.output_tokens_max,
        effort: None,
        cache: false,
    };
    let (sender, ended) = channel();
    let driver = ModelDriver::new(providers, &Settings::default());
    let dispatch = Dispatch {
        run: RunId::parse("ask").ok_or("no run")?,
        call: CallId(0),
        attempt: Attempt(1),
        key: Attempt(1),
        timeout: None,
        work: Work::Model(Box::new(request)),
    };
    driver.dispatch(dispatch, Arc::new(Print(sender)));
    ended.recv()?;
    Ok(())
}
