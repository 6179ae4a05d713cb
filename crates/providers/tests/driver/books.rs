//! Asks one or many models and keeps what was reported.

use crate::server::{Server, fixture};
use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{
    Dispatch, Json, Message, ModelReply, ModelRequest, Outcome, Progress, Work,
};
use loopwright_providers::{ModelDriver, Providers};
use loopwright_types::{Attempt, CallId, Failure, Micros, RunId, Settings, Usage};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The key that no message may hold.
pub const KEY: &str = "sk-very-secret-0123456789";

/// How one attempt went.
#[derive(Clone, Debug)]
pub struct Ended {
    pub outcome: Outcome,
    pub usage: Usage,
    pub progress: Vec<Progress>,
}

impl Ended {
    pub fn reply(&self) -> ModelReply {
        match &self.outcome {
            Outcome::Done(value) => value.read().unwrap(),
            Outcome::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Done(value) => panic!("{value:?}"),
        }
    }

    pub fn messages(&self) -> Vec<&str> {
        let messages = self.progress.iter().filter_map(|it| match it {
            Progress::Message(text) => Some(text.as_str()),
            _ => None,
        });
        messages.collect()
    }

    pub fn has_begun(&self) -> bool {
        self.progress.contains(&Progress::Began)
    }
}

/// What attempts under way told, and how others ended.
type State = (BTreeMap<u32, Vec<Progress>>, BTreeMap<u32, Ended>);

#[derive(Default)]
pub struct Books {
    state: Mutex<State>,
    changed: Condvar,
}

impl Reporter for Books {
    fn ended(&self, call: CallId, _: Attempt, outcome: Outcome, usage: Usage) {
        let mut state = self.state.lock().unwrap();
        let progress = state.0.remove(&call.0).unwrap_or_default();
        let before = state.1.insert(call.0, Ended { outcome, usage, progress });
        assert!(before.is_none(), "call {call} ended twice");
        self.changed.notify_all();
    }

    fn progressed(&self, call: CallId, _: Attempt, progress: Progress) {
        let mut state = self.state.lock().unwrap();
        assert!(!state.1.contains_key(&call.0), "call {call} goes on after its end");
        state.0.entry(call.0).or_default().push(progress);
        self.changed.notify_all();
    }
}

impl Books {
    /// Waits until so many attempts have ended, and gives all.
    pub fn wait(&self, count: usize) -> Vec<Ended> {
        self.wait_for(count);
        self.state.lock().unwrap().1.values().cloned().collect()
    }

    /// Waits until so many attempts have ended.
    pub fn wait_for(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let limit = Duration::from_secs(60);
        let (state, _) =
            self.changed.wait_timeout_while(state, limit, |it| it.1.len() < count).unwrap();
        assert!(state.1.len() >= count, "{} of {count} ended", state.1.len());
    }

    /// Waits until the first byte of an attempt's reply has come.
    pub fn wait_for_begin(&self, call: u32) {
        let state = self.state.lock().unwrap();
        let limit = Duration::from_secs(60);
        let begun = |told: &BTreeMap<u32, Vec<Progress>>| {
            told.get(&call).is_some_and(|it| it.contains(&Progress::Began))
        };
        let wait = self.changed.wait_timeout_while(state, limit, |it| !begun(&it.0));
        assert!(begun(&wait.unwrap().0.0), "call {call} did not begin");
    }
}

pub fn settings(pairs: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in pairs {
        settings.set(name, value).unwrap();
    }
    settings
}

/// A driver whose providers are all this server, one for each wire.
pub fn driver(server: &Server, pairs: &[(&str, &str)]) -> ModelDriver {
    let at = server.address();
    let toml = format!(
        "[providers.anthropic]\nbase_url = \"http://{at}\"\nkey = \"env:KEY\"\n\
         [providers.responses]\nwire = \"openai-responses\"\nbase_url = \"http://{at}/v1\"\nkey = \"env:KEY\"\n\
         [providers.chat]\nwire = \"openai-chat\"\nbase_url = \"http://{at}/v1\"\nkey = \"env:KEY\"\n\
         [providers.chat.headers]\nx-team = \"blue\"\nx-gateway-token = \"env:KEY\"\n\
         [providers.gemini]\nbase_url = \"http://{at}\"\nkey = \"env:KEY\"\n\
         [providers.closed]\nwire = \"openai-chat\"\nbase_url = \"http://127.0.0.1:1/v1\"\n\
         [providers.keyless]\nwire = \"openai-chat\"\nbase_url = \"http://{at}/v1\"\nkey = \"env:NO_KEY\"\n"
    );
    let variables = |name: &str| (name == "KEY").then(|| KEY.to_owned());
    let providers = Providers::read(&toml.parse().unwrap(), variables).unwrap();
    ModelDriver::new(providers, &settings(pairs))
}

pub fn request(model: &str) -> ModelRequest {
    ModelRequest {
        model: model.to_owned(),
        system: "You answer.".to_owned(),
        messages: vec![Message::User { text: "Well?".to_owned() }],
        tools: Vec::new(),
        schema: None::<Json>,
        output_tokens_max: 1000,
        effort: None,
        cache: false,
    }
}

pub fn dispatch(call: u32, request: ModelRequest, timeout: Option<Micros>) -> Dispatch {
    Dispatch {
        run: RunId::parse("r1").unwrap(),
        call: CallId(call),
        attempt: Attempt(1),
        key: Attempt(1),
        timeout,
        work: Work::Model(Box::new(request)),
    }
}

/// Asks one model with the default settings.
pub fn ask(model: &str) -> Ended {
    ask_with(model, &[], None)
}

/// Asks one model.
pub fn ask_with(model: &str, pairs: &[(&str, &str)], timeout: Option<Micros>) -> Ended {
    let server = Server::start();
    let driver = driver(&server, pairs);
    let books = Arc::new(Books::default());
    driver.dispatch(dispatch(0, request(model), timeout), books.clone());
    let ended = books.wait(1).remove(0);
    assert!(!format!("{ended:?}").contains(KEY), "the key is shown: {ended:?}");
    ended
}

/// The provider that speaks the wire of a recorded stream.
pub fn provider(stream: &str) -> &str {
    stream.split('-').next().unwrap()
}

pub fn length(stream: &str) -> usize {
    fixture(stream).len()
}
