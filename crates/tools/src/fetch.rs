//! `fetch`: what a host on the list answers to a GET.
//!
//! The list names hosts; the resolver below checks the very addresses that are then connected to, so a name that
//! changes its address between check and use leads nowhere. Redirects are followed here, each checked as the first.

use crate::argument::{Argument, Arguments, Kind};
use crate::context::Context;
use crate::hosts::Hosts;
use crate::options::FetchOptions;
use crate::refusal::{argument, cancelled, failed, quoted};
use crate::resolve::Checked;
use crate::{Restriction, html};
use loopwright_types::{Code, Failure, Reason};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, USER_AGENT,
};
use reqwest::{Client, Response, Url};
use std::time::Duration;

/// The tool's own name.
pub(crate) const NAME: &str = "fetch";
/// What it does.
pub(crate) const DOC: &str = "Asks for a page or file by its http or https address and gives status, content type and \
    text; HTML is reduced to readable text. Only hosts that the operator listed are asked, none on private networks.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "url",
        aliases: &["uri", "address", "link", "href"],
        kind: Kind::Text,
        doc: "the address, with `http://` or `https://`",
    },
    Argument {
        name: "maxBytes",
        aliases: &["limit", "maxlength", "maxchars"],
        kind: Kind::Count(1),
        doc: "the most bytes of text to give; 100000 when absent",
    },
    Argument { name: "raw", aliases: &["html"], kind: Kind::Flag, doc: "gives HTML as it is" },
    Argument {
        name: "prompt",
        aliases: &[],
        kind: Kind::Text,
        doc: "ignored: the whole text is given",
    },
];

/// Redirects followed.
const REDIRECTS_MAX: usize = 5;
/// Bytes of text given when the call names no number.
const TEXT_BYTES: u64 = 100_000;
/// Room kept for the lines around the text.
const NOTICE_BYTES: usize = 3_000;
/// Bytes of an address.
const URL_BYTES_MAX: usize = 2_000;
/// How often a cancellation is looked for.
const LOOK: Duration = Duration::from_millis(50);
const AGENT: &str = concat!("loopwright/", env!("CARGO_PKG_VERSION"));

/// Asks.
pub(crate) fn call(context: &Context<'_>, arguments: &Arguments) -> Result<String, Failure> {
    let written = arguments.required("url")?;
    let asked = arguments.count("maxBytes").unwrap_or(TEXT_BYTES);
    let room = context.bytes_max.saturating_sub(NOTICE_BYTES);
    let text_max = usize::try_from(asked).unwrap_or(usize::MAX).min(room);
    let wanted = Wanted {
        options: &context.options.fetch,
        restrictions: context.restrictions,
        text_max,
        raw: arguments.flag("raw"),
    };
    let url = wanted.parse(written)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(format!("`{NAME}` cannot start: {error}")))?;
    let result = runtime.block_on(async {
        let timeout = wanted.options.timeout;
        tokio::select! {
            result = tokio::time::timeout(timeout, wanted.get(url)) => result.unwrap_or_else(|_| {
                let waited = timeout.as_millis();
                let message = format!("`{}` did not answer whole within {waited} ms", quoted(written));
                Err(failed(message).hint("`tools.fetch_timeout_ms` is how long it may take"))
            }),
            () = given_up(context.cancelled) => Err(cancelled(NAME)),
        }
    });
    // A look-up may still block a thread of its own; nobody waits for it.
    runtime.shutdown_background();
    result
}

async fn given_up(cancelled: &dyn Fn() -> bool) {
    while !cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Reason::Policy, Code::FETCH_REFUSED, message).not_sent()
}

struct Wanted<'a> {
    options: &'a FetchOptions,
    restrictions: &'a [Restriction],
    text_max: usize,
    raw: bool,
}

impl Wanted<'_> {
    fn parse(&self, written: &str) -> Result<Url, Failure> {
        let shown = quoted(written);
        if written.len() > URL_BYTES_MAX {
            return Err(argument(format!("`{shown}` is longer than {URL_BYTES_MAX} bytes")));
        }
        let url = Url::parse(written.trim()).map_err(|error| {
            argument(format!("`{shown}` is no address: {error}"))
                .hint("write it whole, such as `https://example.org/page`")
        })?;
        self.check(&url)?;
        Ok(url)
    }

    /// Whether an address may be asked, as far as its text tells.
    fn check(&self, url: &Url) -> Result<(), Failure> {
        let shown = quoted(url.as_str());
        let usual = match url.scheme() {
            "http" => 80,
            "https" => 443,
            other => {
                let message = format!("`{}` is no scheme that `{NAME}` knows", quoted(other));
                return Err(refused(message).hint("it knows `http` and `https`"));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            let message = "an address with a user name or password is not fetched".to_owned();
            return Err(refused(message).hint("leave the part before `@` out"));
        }
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(usual);
        let hosts = &self.options.hosts;
        if !hosts.permit(host, port, usual) {
            let hint = if hosts.is_empty() {
                "`tools.fetch_hosts` lists the hosts that may be asked; it is empty"
            } else {
                "`tools.fetch_hosts` lists the hosts that may be asked, with ports where they are unusual"
            };
            let at = if port == usual { quoted(host) } else { format!("{}:{port}", quoted(host)) };
            return Err(refused(format!("the host `{at}` is not on the list")).hint(hint));
        }
        let listed = |only: &Restriction| match only {
            Restriction::Host(list) => {
                Hosts::parse(list).is_ok_and(|hosts| hosts.permit(host, port, usual))
            }
            _ => false,
        };
        if !self.restrictions.is_empty() && !self.restrictions.iter().any(listed) {
            let message = format!("this subagent may not fetch from `{}`", quoted(host));
            return Err(refused(message).hint("its definition restricts `fetch` to other hosts"));
        }
        // A number as host is connected to without asking the resolver.
        let literal = host.trim_matches(['[', ']']).parse().ok();
        match literal {
            Some(address) if !(self.options.reach.permits)(address) => Err(private(&shown)),
            _ => Ok(()),
        }
    }

    async fn get(&self, first: Url) -> Result<String, Failure> {
        let checked = Checked::new(self.options.reach.clone());
        let client = client(&checked)?;
        let mut url = first;
        for _ in 0..=REDIRECTS_MAX {
            let response = send(&client, &checked, &url).await?;
            let Some(next) = redirect(&url, &response)? else {
                return self.told(&url, response).await;
            };
            self.check(&next).map_err(|failure| {
                let from = quoted(url.as_str());
                let message = format!("`{from}` redirects: {}", failure.message);
                Failure { message, ..failure }
            })?;
            url = next;
        }
        Err(failed(format!(
            "`{}` is the end of more than {REDIRECTS_MAX} redirects",
            quoted(url.as_str())
        )))
    }

    async fn told(&self, url: &Url, mut response: Response) -> Result<String, Failure> {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let kind = quoted(header(CONTENT_TYPE).unwrap_or("not told"));
        if let Some(coding) = header(CONTENT_ENCODING).filter(|coding| *coding != "identity") {
            let message =
                format!("`{}` answers in the coding `{}`", quoted(url.as_str()), quoted(coding));
            return Err(
                failed(message).hint("it was asked for plain bytes, and only those are read")
            );
        }
        let (status, length) = (response.status(), response.content_length());
        let (body, whole) = self.body(url, &mut response).await?;
        if body.contains(&0) {
            let message = format!("`{}` is no text (`{kind}`)", quoted(url.as_str()));
            return Err(failed(message).hint("only text is fetched"));
        }
        let body = String::from_utf8_lossy(&body);
        let is_html = kind.to_ascii_lowercase().contains("html");
        let mut text = if is_html && !self.raw { html::text(&body) } else { body.into_owned() };
        let mut notes = String::new();
        if is_html && !self.raw {
            notes.push_str("[HTML reduced to text]\n");
        }
        if !whole {
            let (read, length) =
                (self.options.body_bytes_max, length.map(|all| format!(" of {all}")));
            let all = length.unwrap_or_default();
            notes.push_str(&format!(
                "[only the first {read} bytes{all} were read: `tools.fetch_bytes_max`]\n"
            ));
        }
        if text.len() > self.text_max {
            let all = text.len();
            text.truncate(text.floor_char_boundary(self.text_max));
            text.push_str(&format!(
                "\n[cut: {} of {all} bytes of text; `maxBytes` asks for more]",
                text.len()
            ));
        }
        let shown: String = url.as_str().chars().filter(|c| !c.is_control()).collect();
        Ok(format!("status: {status}\ncontent type: {kind}\nurl: {shown}\n{notes}\n{text}"))
    }

    /// The body up to its limit, and whether that is all of it.
    async fn body(&self, url: &Url, response: &mut Response) -> Result<(Vec<u8>, bool), Failure> {
        let most = usize::try_from(self.options.body_bytes_max).unwrap_or(usize::MAX);
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(url, &error))? {
            let room = most - body.len();
            if chunk.len() > room {
                body.extend_from_slice(&chunk[..room]);
                return Ok((body, false));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((body, true))
    }
}

fn private(shown: &str) -> Failure {
    refused(format!("`{shown}` is on a private network")).hint(
        "only addresses of the public internet are fetched; `tools.fetch_private=true` lifts that",
    )
}

fn client(checked: &Checked) -> Result<Client, Failure> {
    // Installing fails when there is one already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = Client::builder()
        .dns_resolver(checked.clone())
        .no_proxy() // a proxy would connect in our place, to an address that nobody checked
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(Duration::from_secs(10))
        .build();
    built.map_err(|error| failed(format!("`{NAME}` cannot start: {error}")))
}

async fn send(client: &Client, checked: &Checked, url: &Url) -> Result<Response, Failure> {
    let request = client
        .get(url.clone())
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.1")
        .header(ACCEPT_ENCODING, "identity");
    let answer = request.send().await;
    // The client wraps what its resolver says; that it refused is told apart here.
    let refusal = checked.refusal();
    answer.map_err(|error| match refusal {
        true => private(&quoted(url.as_str())),
        false => broken(url, &error),
    })
}

fn broken(url: &Url, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let message =
        format!("`{}` cannot be fetched: {}", quoted(url.as_str()), quoted(&cause.to_string()));
    failed(message).retryable()
}

/// Where an answer sends on to; `None` when it does not.
fn redirect(url: &Url, response: &Response) -> Result<Option<Url>, Failure> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
    let written = String::from_utf8_lossy(location.as_bytes());
    let next = url.join(&written).map_err(|error| {
        let (from, to) = (quoted(url.as_str()), quoted(&written));
        failed(format!("`{from}` redirects to `{to}`, which is no address: {error}"))
    })?;
    if url.scheme() == "https" && next.scheme() == "http" {
        let message = format!("`{}` redirects from https to http", quoted(url.as_str()));
        return Err(
            refused(message).hint("ask for the address it names yourself, if that is meant")
        );
    }
    Ok(Some(next))
}

#[cfg(test)]
mod tests;
