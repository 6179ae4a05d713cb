//! A driver that asks a fake provider, and what it reported.
#![allow(dead_code, reason = "each test file uses a part")]

use loopwright_fakes::{FakeProvider, Wire};
use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{
    Dispatch, Json, Message, ModelReply, ModelRequest, Outcome, Progress, ToolSpec, Work,
};
use loopwright_providers::{ModelDriver, Providers};
use loopwright_types::{Attempt, CallId, Failure, FailureClass, RunId, Settings, Usage};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longer than anything here takes on a loaded machine; reaching it is a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// How an attempt went.
#[derive(Debug)]
pub struct Ended {
    pub outcome: Outcome,
    pub usage: Usage,
    pub progress: Vec<Progress>,
}

impl Ended {
    pub fn reply(&self) -> ModelReply {
        match &self.outcome {
            Outcome::Done(json) => json.read().unwrap(),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Done(_) => None,
        }
    }

    pub fn class(&self) -> Option<FailureClass> {
        self.failure()
            .map(|failure| failure.class.unwrap_or_else(|| panic!("no class: {failure:?}")))
    }
}

type Report = Result<(Outcome, Usage), Progress>;

struct Collector(Mutex<Sender<Report>>);

impl Reporter for Collector {
    fn ended(&self, _: CallId, _: Attempt, outcome: Outcome, usage: Usage) {
        let _ = self.0.lock().unwrap().send(Ok((outcome, usage)));
    }

    fn progressed(&self, _: CallId, _: Attempt, progress: Progress) {
        let _ = self.0.lock().unwrap().send(Err(progress));
    }
}

/// A driver with short deadlines.
pub struct Asker {
    driver: ModelDriver,
    calls: AtomicU32,
}

/// The provider's name in the driver's settings.
pub fn name(wire: Wire) -> &'static str {
    match wire {
        Wire::Anthropic => "anthropic",
        Wire::Chat => "compatible",
        Wire::Responses => "openai",
        Wire::Gemini => "gemini",
    }
}

impl Asker {
    /// Asks this fake; a silence of so many milliseconds is a deadline, a reply over 1 MiB too large.
    pub fn new(fake: &FakeProvider, silence_ms: &str) -> Self {
        Self::set(fake, silence_ms, &[])
    }

    /// The same with more settings.
    pub fn set(fake: &FakeProvider, silence_ms: &str, more: &[(&str, &str)]) -> Self {
        Self::with(&|wire| fake.base_url(wire), silence_ms, more)
    }

    /// The same with the base URL of each wire.
    pub fn at(base_url: &dyn Fn(Wire) -> String, silence_ms: &str) -> Self {
        Self::with(base_url, silence_ms, &[])
    }

    fn with(base_url: &dyn Fn(Wire) -> String, silence_ms: &str, more: &[(&str, &str)]) -> Self {
        let mut table = toml::Table::new();
        let mut providers = toml::Table::new();
        for wire in Wire::ALL {
            let mut provider = toml::Table::new();
            provider.insert("base_url".to_owned(), base_url(wire).into());
            provider.insert("key".to_owned(), "env:FAKE_KEY".into());
            if wire == Wire::Chat {
                provider.insert("wire".to_owned(), "openai-chat".into());
            }
            providers.insert(name(wire).to_owned(), provider.into());
        }
        table.insert("providers".to_owned(), providers.into());
        let variables = |name: &str| (name == "FAKE_KEY").then(|| "sk-fake".to_owned());
        let providers = Providers::read(&table, variables).unwrap();
        let mut settings = Settings::default();
        for (name, value) in [
            ("provider.first_byte_ms", silence_ms),
            ("provider.idle_ms", silence_ms),
            ("provider.reply_bytes_max", "1048576"),
        ]
        .iter()
        .chain(more)
        {
            settings.set(name, value).unwrap();
        }
        Self { driver: ModelDriver::new(providers, &settings), calls: AtomicU32::new(0) }
    }

    /// Asks once and waits for the end.
    pub fn ask(&self, request: ModelRequest) -> Ended {
        self.ask_until(request, || false)
    }

    /// Asks once, and cancels when it is time.
    pub fn ask_until(&self, request: ModelRequest, is_enough: impl Fn() -> bool) -> Ended {
        let (sender, reports) = channel();
        let (call, attempt) = (CallId(self.calls.fetch_add(1, Ordering::Relaxed)), Attempt(1));
        let dispatch = Dispatch {
            run: RunId::parse("faults").unwrap(),
            call,
            attempt,
            key: attempt,
            timeout: None,
            work: Work::Model(Box::new(request)),
        };
        self.driver.dispatch(dispatch, Arc::new(Collector(Mutex::new(sender))));
        let mut progress = Vec::new();
        let mut is_cancelled = false;
        let began = std::time::Instant::now();
        loop {
            if !is_cancelled && is_enough() {
                self.driver.cancel(call, attempt);
                is_cancelled = true;
            }
            match reports.recv_timeout(Duration::from_millis(2)) {
                Ok(Ok((outcome, usage))) => return Ended { outcome, usage, progress },
                Ok(Err(news)) => progress.push(news),
                Err(RecvTimeoutError::Timeout) => assert!(began.elapsed() < PATIENCE, "an end"),
                Err(RecvTimeoutError::Disconnected) => panic!("an end"),
            }
        }
    }
}

/// A question.
pub fn request(wire: Wire, prompt: &str) -> ModelRequest {
    let model = if wire == Wire::Gemini { "gemini-3-fake" } else { "fake-model" };
    ModelRequest {
        model: format!("{}:{model}", name(wire)),
        system: "You are asked by a test.".to_owned(),
        messages: vec![Message::User { text: prompt.to_owned() }],
        tools: Vec::new(),
        schema: None,
        output_tokens_max: 1_000,
        effort: None,
        cache: false,
    }
}

/// JSON from text.
pub fn json(text: &str) -> Json {
    Json::parse(text.to_owned()).unwrap()
}

/// The same with the tool `read_file`.
pub fn with_tool(mut request: ModelRequest) -> ModelRequest {
    let input = r#"{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}"#;
    request.tools.push(ToolSpec {
        name: "read_file".to_owned(),
        description: "Reads a file.".to_owned(),
        input: json(input),
    });
    request
}

/// The same wanting a structured answer.
pub fn with_schema(mut request: ModelRequest) -> ModelRequest {
    let schema = r#"{"type":"object","properties":{"verdict":{"enum":["good","bad"]},"reasons":{"type":"array",
        "items":{"type":"string"}}},"required":["verdict","reasons"]}"#;
    request.schema = Some(json(schema));
    request
}
