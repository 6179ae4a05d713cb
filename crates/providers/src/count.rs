//! Has a provider count what it did not tell: the input of a request and the text of a reply that broke off.

use crate::attempt::Spent;
use crate::config::Provider;
use crate::wire::{Way, Wire};
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long a count may take: an attempt has failed and its next one waits for this.
const TIME: Duration = Duration::from_secs(3);
/// The longest text that is counted; a longer one is estimated.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// How much of an answer is read: vLLM lists every token.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// After so many failures in a row a provider is not asked again.
const FAILURES_MAX: u32 = 3;
/// One token by every tokenizer: what a message counts beyond it is what any message adds.
const ONE_TOKEN: &str = "x";

/// What a provider counted; none where there was nothing to count or it did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub input: Option<u64>,
    pub output: Option<u64>,
}

/// What is known of how providers count, for as long as the process lives.
#[derive(Default)]
pub(crate) struct Counters {
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Clone, Default)]
struct Known {
    way: Way,
    failures: u32,
    /// What a message adds to its text, by model.
    overheads: HashMap<String, u64>,
}

/// Whom to ask, and for whom.
pub(crate) struct Asking<'a> {
    pub provider: &'a Provider,
    pub model: &'a str,
    pub client: &'a Client,
    /// Those of the request whose tokens are counted.
    pub headers: HeaderMap,
}

impl Counters {
    fn of<T>(&self, provider: &Provider, with: impl FnOnce(&mut Known) -> T) -> T {
        let mut known: MutexGuard<'_, _> =
            self.known.lock().unwrap_or_else(PoisonError::into_inner);
        with(known.entry(provider.name.clone()).or_default())
    }

    /// Whether anything of it could be counted by this provider.
    pub(crate) fn is_of_use(&self, provider: &Provider, spent: &Spent) -> bool {
        let is_able = provider.counts() && self.of(provider, |it| it.failures) < FAILURES_MAX;
        is_able && spent.has_begun && (spent.told.usage.input_tokens == 0 || has_text(spent))
    }

    /// Counts what was not told: each part by one request, once, and in its time or not at all. `body` is that of the
    /// request itself.
    pub(crate) async fn count(&self, asking: &Asking<'_>, spent: &Spent, body: Value) -> Counted {
        let input = async {
            match spent.told.usage.input_tokens {
                0 => self.ask(asking, Count::Request(&body)).await,
                _ => None,
            }
        };
        let output = async {
            match has_text(spent) {
                true => self.text(asking, &spent.text).await,
                false => None,
            }
        };
        let (input, output) = tokio::join!(timeout(TIME, input), timeout(TIME, output));
        let counted = Counted { input: input.ok().flatten(), output: output.ok().flatten() };
        self.of(asking.provider, |it| match counted == Counted::default() {
            true => it.failures = it.failures.saturating_add(1),
            false => it.failures = 0,
        });
        counted
    }

    /// The tokens of a text alone.
    async fn text(&self, asking: &Asking<'_>, text: &str) -> Option<u64> {
        let known = self.of(asking.provider, |it| it.overheads.get(asking.model).copied());
        let overhead = async {
            match known {
                Some(overhead) => Some(overhead),
                None => Some(self.ask(asking, Count::Text(ONE_TOKEN)).await?.saturating_sub(1)),
            }
        };
        let (whole, overhead) = tokio::join!(self.ask(asking, Count::Text(text)), overhead);
        let overhead = overhead?;
        self.of(asking.provider, |it| it.overheads.insert(asking.model.to_owned(), overhead));
        Some(whole?.saturating_sub(overhead).max(1))
    }

    async fn ask(&self, asking: &Asking<'_>, what: Count<'_>) -> Option<u64> {
        let Asking { provider, model, client, headers } = asking;
        let way = self.of(provider, |it| it.way);
        let wire = provider.wire;
        let body = match what {
            Count::Request(body) => wire.count_request(body.clone(), model, way),
            Count::Text(text) => wire.count_text(text, model),
        };
        let mut headers = headers.clone();
        // It is no attempt at the request that had this key.
        headers.remove("idempotency-key");
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let url = wire.count_url(&provider.base_url, model, way);
        let sending = client.post(url).headers(headers).body(body.to_string()).send();
        let response = sending.await.ok()?;
        match response.status() {
            StatusCode::OK => Wire::counted(&read(response).await?),
            status => {
                if is_absent(status) {
                    self.absent(provider, way);
                }
                None
            }
        }
    }

    /// The provider does not count this way.
    fn absent(&self, provider: &Provider, way: Way) {
        self.of(provider, |it| match (provider.wire, way) {
            (Wire::OpenaiChat, Way::First) => it.way = Way::Tokenize,
            _ => it.failures = FAILURES_MAX,
        });
    }
}

/// What is to be counted.
enum Count<'a> {
    Request(&'a Value),
    Text(&'a str),
}

fn has_text(spent: &Spent) -> bool {
    !spent.text.trim().is_empty() && spent.text.len() <= TEXT_BYTES_MAX
}

fn is_absent(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

async fn read(mut response: reqwest::Response) -> Option<Value> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.ok()? {
        body.extend_from_slice(&bytes);
        if body.len() > ANSWER_BYTES_MAX {
            return None;
        }
    }
    serde_json::from_slice(&body).ok()
}
