//! One request to a model: key, request, stream, reply. Every way in which it can go wrong ends in a failure with its
//! class; nothing is retried here.

mod account; // what an attempt used, as far as it is known
mod client; // HTTP clients
mod reader; // from its bytes to events
mod stream; // the body of a reply
mod transport; // what went wrong below HTTP

pub(crate) use account::{Account, Spent};
pub(crate) use client::Clients;

use reader::Reader;
use stream::{Stream, StreamError};

use crate::catalog::Catalog;
use crate::config::{Provider, Providers, backticks};
use crate::count::{Asking, Counted, Counters};
use crate::estimate::Estimates;
use crate::failure::{self, ToldError, WireError, one_line};
use crate::headers;
use crate::key::Secret;
use crate::wire::{Asked, Decoder, Plan, Told};
use loopwright_host::Reporter;
use loopwright_protocol::{ModelReply, ModelRequest, Progress};
use loopwright_types::{
    Attempt, CallId, Code, Diagnostic, Failure, FailureClass, Micros, Reason, RunId, SettingValue,
    Settings,
};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// How much of an error's body is read.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Deadlines and bounds of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub connect: Duration,
    first_byte: Duration,
    idle: Duration,
    attempt: Duration,
    read_on: Duration,
    reply_bytes_max: u64,
    count_untold: bool,
}

impl Bounds {
    pub(crate) fn new(settings: &Settings) -> Self {
        let time = |name: &str| Duration::from_millis(settings.integer(name));
        Self {
            connect: time("provider.connect_ms"),
            first_byte: time("provider.first_byte_ms"),
            idle: time("provider.idle_ms"),
            attempt: time("provider.attempt_ms"),
            read_on: time("provider.read_on_ms"),
            reply_bytes_max: settings.integer("provider.reply_bytes_max"),
            count_untold: *settings.get("provider.count_untold") == SettingValue::Flag(true),
        }
    }
}

/// What to ask, and where news go.
pub(crate) struct Job {
    pub run: RunId,
    pub call: CallId,
    pub attempt: Attempt,
    /// The attempt whose idempotency key it goes out under.
    pub key: Attempt,
    /// Time left for the task.
    pub timeout: Option<Micros>,
    pub request: ModelRequest,
    pub reporter: Arc<dyn Reporter>,
}

/// What all attempts share.
pub(crate) struct Surroundings {
    pub providers: Providers,
    pub bounds: Bounds,
    pub clients: Clients,
    pub counters: Counters,
    pub estimates: Estimates,
}

/// A request as its provider takes it.
struct Written<'a> {
    provider: &'a Arc<Provider>,
    /// The model's name without its provider.
    model: String,
    plan: Plan,
    decoder: Decoder,
    body: Value,
}

/// A request that is ready to go.
struct Ready<'a> {
    written: Written<'a>,
    headers: HeaderMap,
    secrets: Vec<Secret>,
}

impl Job {
    fn tell(&self, progress: Progress) {
        self.reporter.progressed(self.call, self.attempt, progress);
    }

    /// Asks and reads the reply. `account` has what it used so far, also when this fails or is dropped half-way.
    pub(crate) async fn run(
        &self,
        around: &Surroundings,
        account: &Account,
    ) -> Result<ModelReply, Failure> {
        let start = Instant::now();
        let ready = self.prepare(around).await.map_err(|it| not_sent(&it))?;
        let task = self.timeout.map(|it| Duration::from_micros(it.0));
        let limit = task.map_or(around.bounds.attempt, |task| task.min(around.bounds.attempt));
        let Written { provider, model, .. } = &ready.written;
        let (shown, model) = (provider.shown(), format!("{}:{model}", provider.name));
        let secrets = ready.secrets.clone();
        let until = start + limit;
        let exchange = self.exchange(ready, around, (start, until), account);
        let result = match timeout_at(until, exchange).await {
            Ok(result) => result,
            Err(_) => {
                let is_task = task.is_some_and(|task| task < around.bounds.attempt);
                let name = if is_task { "the task's time" } else { "`provider.attempt_ms`" };
                let mut failure = deadline(&shown, "did not finish its reply within", limit, name);
                if is_task {
                    failure.reason = Reason::Timeout;
                }
                Err(failure)
            }
        };
        result.map_err(|mut failure| {
            for secret in &secrets {
                failure.message = secret.scrub(&failure.message);
            }
            if failure.code == Code::MODEL_UNKNOWN {
                let near = around.providers.models_like(&model);
                if !near.is_empty() {
                    let near = backticks(near.iter().map(String::as_str));
                    failure.hint = Some(format!(
                        "check the model's name and the provider's `base_url`; like it are {near}"
                    ));
                }
            }
            failure
        })
    }

    /// What is asked of whom, the same whenever it is written.
    fn write<'a>(&self, around: &'a Surroundings) -> Result<Written<'a>, Diagnostic> {
        let providers = &around.providers;
        let resolved = providers.resolve(&self.request.model)?;
        let provider = providers.provider(&resolved.provider)?;
        let model = resolved.name[resolved.provider.len() + 1..].to_owned();
        let entry = Catalog::built_in().find_like(&resolved.name, provider.wire, &model);
        let asked = Asked { provider, model: &model, entry, request: &self.request };
        let plan = Plan::new(&asked, providers.models.structured.get(&resolved.name).copied());
        let body = provider.wire.encode(&asked, &plan);
        let decoder = provider.wire.decoder(&provider.name, asked.calls());
        Ok(Written { provider, model, plan, decoder, body })
    }

    async fn prepare<'a>(&self, around: &'a Surroundings) -> Result<Ready<'a>, Diagnostic> {
        let written = self.write(around)?;
        let key = format!("lw-{}-{}-{}", self.run, self.call, self.key);
        let variables = &around.providers.variables;
        let (headers, secrets) = client::headers(written.provider, variables, &key).await?;
        Ok(Ready { written, headers, secrets })
    }

    /// Has the provider count what it did not tell. An attempt that was cancelled, or is out of its task's time, does not
    /// wait for that.
    pub(crate) async fn count(
        &self,
        around: &Surroundings,
        account: &Account,
        spent: &Spent,
    ) -> Counted {
        let Some(headers) = account.headers().filter(|_| around.bounds.count_untold) else {
            return Counted::default();
        };
        let Ok(Written { provider, model, body, .. }) = self.write(around) else {
            return Counted::default();
        };
        match around.clients.of(provider, &around.bounds) {
            Ok(client) if around.counters.is_of_use(provider, spent) => {
                let asking = Asking { provider, model: &model, client: &client, headers };
                around.counters.count(&asking, spent, body).await
            }
            _ => Counted::default(),
        }
    }

    async fn exchange(
        &self,
        ready: Ready<'_>,
        around: &Surroundings,
        (start, until): (Instant, Instant),
        account: &Account,
    ) -> Result<ModelReply, Failure> {
        let Ready { written, headers, secrets } = ready;
        let Written { provider, model, plan, decoder, body } = written;
        let shown = provider.shown();
        let wire_failure =
            |error: WireError| failure::of_wire(&scrubbed(error, &secrets), &shown, &model);
        let client = around.clients.of(provider, &around.bounds)?;
        let url = provider.wire.url(&provider.base_url, &model);
        let first = start + around.bounds.first_byte;
        let late = || {
            let limit = around.bounds.first_byte;
            deadline(&shown, "did not begin its reply within", limit, "`provider.first_byte_ms`")
        };
        account.send(headers.clone());
        let sending = client.post(url).headers(headers).body(body.to_string()).send();
        let sent = timeout_at(first, sending).await.map_err(|_| late())?;
        let response = sent.map_err(|error| {
            account.forgive();
            transport::of_send(&error, &shown)
        })?;
        if let Some(limits) = headers::limits(response.headers(), SystemTime::now()) {
            self.tell(Progress::Limits(limits));
        }
        if response.status() != StatusCode::OK {
            account.forgive();
            return Err(refusal(response, around, first, &shown, &model, &secrets).await);
        }
        let kind = content_type(&response);
        if !kind.is_empty() && kind != "text/event-stream" {
            account.forgive();
            let body = read_error(response, around, first).await;
            return Err(wire_failure(other_kind(&kind, &body, decoder, account)));
        }
        account.begin(decoder);
        let mut stream = Stream::new(response, first, &around.bounds, &shown);
        let mut reader = Reader::default();
        let read = self.read(&mut stream, &mut reader, account).await;
        match read {
            Ok(()) => stream.drain(),
            Err(error) => {
                if error.is_spoilt() && !reader.recover(account) {
                    stream.rest(until, |bytes| reader.take_rest(bytes, account)).await;
                }
                return Err(match error {
                    StreamError::Wire(error) => {
                        // An error instead of a reply is as good as a status that says so.
                        let is_refusal = matches!(error, WireError::Told(_));
                        if is_refusal && account.read(|it| it.told()) == Some(Told::default()) {
                            account.forgive();
                        }
                        wire_failure(error)
                    }
                    StreamError::Failed(failure) => *failure,
                });
            }
        }
        let decoder = account.finish().ok_or_else(|| wire_failure(WireError::Cut))?;
        let reply = decoder.finish().map_err(wire_failure)?;
        Ok(plan.read(reply))
    }

    async fn read(
        &self,
        stream: &mut Stream<'_>,
        reader: &mut Reader,
        account: &Account,
    ) -> Result<(), StreamError> {
        let mut is_first = true;
        loop {
            let Some(bytes) = stream.next(is_first).await? else {
                if is_first {
                    return Err(WireError::Malformed("it is empty".to_owned()).into());
                }
                return reader.end(account).map_err(StreamError::Wire);
            };
            if std::mem::take(&mut is_first) {
                self.tell(Progress::Began);
            }
            if reader.take(&bytes, account)? {
                return Ok(());
            }
        }
    }
}

fn deadline(shown: &str, what: &str, limit: Duration, name: &str) -> Failure {
    let message = format!("{shown} {what} {} ms ({name})", limit.as_millis());
    Failure::new(Reason::Provider, Code::PROVIDER_DEADLINE, message).class(FailureClass::Wait)
}

/// A failure found before anything was sent; the same again would find it again.
fn not_sent(diagnostic: &Diagnostic) -> Failure {
    let failure = Failure::new(Reason::Provider, diagnostic.code, &diagnostic.message);
    let mut failure = failure.class(FailureClass::Never).not_sent();
    failure.hint.clone_from(&diagnostic.hint);
    failure
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

/// A body that is no stream, with a status that says all is well. It may be a whole reply of a server that does not
/// stream, and is paid for then.
fn other_kind(kind: &str, body: &str, mut decoder: Decoder, account: &Account) -> WireError {
    let value = serde_json::from_str::<Value>(body).unwrap_or_default();
    let has_error = value.get("error").is_some_and(|it| !it.is_null());
    if let Some(told) = ToldError::of(&value).filter(|_| has_error) {
        return WireError::Told(told);
    }
    if kind == "application/json" {
        decoder.take_whole(&value);
        account.begin(decoder);
    }
    WireError::Malformed(format!("it is `{}` and not an event stream", one_line(kind)))
}

fn scrubbed(mut error: WireError, secrets: &[Secret]) -> WireError {
    let text = match &mut error {
        WireError::Told(told) => &mut told.message,
        WireError::Malformed(what) => what,
        WireError::Cut => return error,
    };
    for secret in secrets {
        *text = secret.scrub(text);
    }
    error
}

/// Reads an error's body as far as it comes.
async fn read_error(mut response: Response, around: &Surroundings, first: Instant) -> String {
    let mut body = Vec::new();
    let until = first.max(Instant::now() + around.bounds.idle.min(Duration::from_secs(10)));
    while body.len() < ERROR_BYTES_MAX {
        match timeout_at(until, response.chunk()).await {
            Ok(Ok(Some(bytes))) => body.extend_from_slice(&bytes),
            _ => break,
        }
    }
    body.truncate(ERROR_BYTES_MAX);
    String::from_utf8_lossy(&body).into_owned()
}

/// The failure of a response whose status is not 200.
async fn refusal(
    response: Response,
    around: &Surroundings,
    first: Instant,
    shown: &str,
    model: &str,
    secrets: &[Secret],
) -> Failure {
    let status = response.status().as_u16();
    let wait = headers::retry_after(response.headers(), SystemTime::now());
    let id = headers::request_id(response.headers()).map(str::to_owned);
    let mut body = read_error(response, around, first).await;
    for secret in secrets {
        body = secret.scrub(&body);
    }
    let mut failure = ToldError::of_status(status, &body).failure(shown, model);
    failure.retry_after = wait.or(failure.retry_after);
    if let Some(id) = id {
        failure.message = format!("{} (request `{id}`)", failure.message);
    }
    failure
}
