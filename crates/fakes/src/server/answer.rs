//! From a request to its reply and its entry in the books.

use super::{Shared, lock};
use crate::connection::Connection;
use crate::delivery::{After, Delivery, Sent, pause};
use crate::encode::{self, Telling, Turn};
use crate::error::{self, ApiError, Kind};
use crate::event::Event;
use crate::fault::Stage;
use crate::http::{Framing, HttpRequest, head};
use crate::limits::Standing;
use crate::wire::Route;
use crate::{Billing, Fault, Options, Request, Usage, Wire, parse, tamper, time, tokens};
use serde_json::json;
use std::io;
use std::time::{Duration, SystemTime};

/// Serves one connection until either side has enough.
pub(super) fn serve(shared: &Shared, mut connection: Connection, number: u64) {
    let after = loop {
        let most = shared.options().most_body_bytes;
        let Ok(Some(request)) = connection.request(most) else { break After::Finish };
        let close = request.lists("connection", "close");
        match answer(shared, &mut connection, &request) {
            Ok(After::Keep) if !close && !shared.stopped() => {}
            Ok(After::Keep) | Err(_) => break After::Finish,
            Ok(after) => break after,
        }
    };
    // The copy is another handle of the same socket: it has to go before the end of this one ends the connection.
    lock(&shared.connections).remove(&number);
    match after {
        After::Reset => connection.reset(),
        After::Keep | After::Finish => connection.finish(),
    }
}

fn answer(shared: &Shared, connection: &mut Connection, http: &HttpRequest) -> io::Result<After> {
    let route = Route::of(&http.target);
    let wire = route.as_ref().map_or_else(|| Route::nearest(&http.target), |route| route.wire);
    if let Some(route) = route.as_ref().filter(|route| route.count) {
        // It has no entry among the requests.
        let exchange = Exchange { shared, options: shared.options(), wire, number: u64::MAX };
        return exchange.count(connection, http, route);
    }
    let number = shared.books.open(wire, http.header("idempotency-key").map(str::to_owned));
    let exchange = Exchange { shared, options: shared.options(), wire, number };
    let result = exchange.run(connection, http, route.as_ref());
    shared.books.close(number);
    result
}

pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) options: Options,
    wire: Wire,
    number: u64,
}

impl Exchange<'_> {
    pub(super) fn is_down(&self) -> bool {
        let now = self.shared.books.elapsed();
        let down = self.options.outage.as_ref().is_some_and(|outage| outage.contains(&now));
        down || self.shared.outage.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn run(
        &self,
        connection: &mut Connection,
        http: &HttpRequest,
        route: Option<&Route>,
    ) -> io::Result<After> {
        if self.is_down() {
            return self.fail(connection, Fault::Unavailable, None);
        }
        let request = match route {
            None => Err(ApiError::new(
                404,
                Kind::NotFound,
                format!("Invalid URL ({} {})", http.method, http.target),
            )),
            Some(_) if http.method != "POST" => Err(ApiError::new(
                405,
                Kind::Invalid,
                format!("Not allowed to {} on this path", http.method),
            )),
            Some(route) => {
                parse::parse(http, route, &self.options).map(|request| (request, route.sse))
            }
        };
        let (mut request, sse) = match request {
            Ok(request) => request,
            Err(error) => {
                self.shared
                    .books
                    .update(self.number, |entry| entry.refused = Some(error.message.clone()));
                return self.error(connection, &error, None);
            }
        };
        request.number = self.number;
        request.attempt = self.shared.books.asked(self.number, request.fingerprint());
        self.shared.books.update(self.number, |entry| {
            entry.model.clone_from(&request.model);
            entry.stream = request.stream;
        });
        let fault = self.options.faults.pick(&request);
        if let Some(fault) =
            fault.filter(|fault| matches!(fault.stage(), Stage::Status | Stage::Connection))
        {
            return self.fail(connection, fault, Some(&request));
        }
        let standing =
            self.shared.window.as_ref().map(|window| window.admit(request.input_tokens()));
        if let Some(standing) = standing.filter(|standing| !standing.admitted) {
            let seconds = standing.reset.as_secs_f64().ceil().max(1.0);
            let error = error::rate_limited(self.wire).header("retry-after", format!("{seconds}"));
            return self.error(connection, &error, Some(&standing));
        }
        self.reply(connection, &request, (fault, sse), standing)
    }

    fn reply(
        &self,
        connection: &mut Connection,
        request: &Request,
        (mut fault, sse): (Option<Fault>, bool),
        standing: Option<Standing>,
    ) -> io::Result<After> {
        // What is in the cache counts as of the request's arrival, however long the model takes.
        let quote = self.shared.cache.quote(request, self.options.least_cache_tokens);
        let mut reply = self.options.script.reply(request);
        if let Some(content) = fault.filter(|fault| fault.stage() == Stage::Content)
            && !tamper::content(content, request, &mut reply)
        {
            fault = None;
        }
        let oversized = matches!(fault, Some(Fault::OversizedReply(_)));
        if let Some(most) = request.max_tokens.filter(|_| !oversized) {
            reply.limit(most);
        }
        let usage = Usage {
            output: reply.output_tokens(),
            thinking: reply.thinking_tokens(),
            ..quote.usage
        };
        let mut turn = Turn {
            request,
            reply: &reply,
            usage,
            telling: Telling::Truth,
            finish: true,
            piece_bytes: if oversized { 64 << 10 } else { self.options.piece_bytes },
            ascii: self.options.ascii,
        };
        if let Some(fault) = fault {
            tamper::telling(fault, &mut turn);
        }
        let mut events =
            if request.stream { encode::stream(&turn) } else { vec![encode::whole(&turn)] };
        if let Some(fault) = fault.filter(|fault| fault.stage() == Stage::Events) {
            tamper::events(fault, self.wire, request.stream, &mut events);
        }
        if self.wire == Wire::Gemini && request.stream && !sse {
            events = array(&events);
        }
        let stopped = || self.shared.stopped();
        pause(self.options.latency.first_byte + reply.delay, &stopped);
        let billing = fault.map_or(Billing::Whole, Fault::billing);
        if billing != Billing::Nothing {
            self.shared.cache.write(&quote);
        }
        let enter =
            |sent: &Sent, billing| self.enter(fault, (usage, billing), sent, request.stream);
        let delivery = Delivery {
            status: 200,
            headers: self.headers(standing.as_ref()),
            events: &events,
            stream: request.stream,
            fault,
            options: &self.options,
            stopped: &stopped,
            enter: &|sent| enter(sent, billing),
        };
        let mut sent = Sent::default();
        let result = delivery.send(connection, &mut sent);
        if result.is_err() && billing == Billing::Whole {
            // The client went away: what it had is what it pays.
            enter(&sent, Billing::Sent);
        }
        result
    }

    /// Enters what a provider would bill for what left the server.
    fn enter(
        &self,
        fault: Option<Fault>,
        (usage, billing): (Usage, Billing),
        sent: &Sent,
        stream: bool,
    ) {
        let billed = match billing {
            Billing::Nothing => Usage::default(),
            // Without a stream the model was done before the first byte left.
            Billing::Whole => usage,
            Billing::Sent if !stream => usage,
            Billing::Sent => {
                let told = sent.told.map_or(0, |told| told.output);
                let output = tokens(sent.content).max(told).min(usage.output.max(1));
                Usage { output, thinking: usage.thinking.min(output), ..usage }
            }
        };
        let proper =
            fault.is_none_or(|fault| fault.expected_class(self.wire) == crate::Class::Succeeds);
        let cut = matches!(fault, Some(Fault::CutAt(_)));
        self.shared.books.update(self.number, |entry| {
            entry.status = 200;
            entry.fault = fault;
            entry.billed = billed;
            entry.told = sent.told;
            entry.body_bytes = sent.body as u64;
            entry.complete = sent.terminal && (proper || cut);
        });
    }

    /// An injected failure that comes instead of an answer.
    pub(super) fn fail(
        &self,
        connection: &mut Connection,
        fault: Fault,
        request: Option<&Request>,
    ) -> io::Result<After> {
        self.shared.books.update(self.number, |entry| entry.fault = Some(fault));
        match fault {
            Fault::ConnectionRefused | Fault::ResetBeforeResponse => return Ok(After::Reset),
            Fault::CloseBeforeResponse => return Ok(After::Finish),
            Fault::NotHttp => {
                connection.write(b"SSH-2.0-OpenSSH_9.9\r\n")?;
                return Ok(After::Finish);
            }
            Fault::StallBeforeFirstByte => {
                connection.stall(self.options.stall, || self.shared.stopped());
                return Ok(After::Finish);
            }
            Fault::BadGateway => return self.bare(connection, 502, "text/html", &tamper::page()),
            Fault::Unavailable => return self.bare(connection, 503, "text/plain", b""),
            _ => {}
        }
        let error = self.injected(fault, request);
        self.error(connection, &error, None)
    }

    fn injected(&self, fault: Fault, request: Option<&Request>) -> ApiError {
        let wire = self.wire;
        let limited = || error::rate_limited(wire);
        let model = request.map_or("", |request| request.model.as_str());
        match fault {
            Fault::RateLimitSeconds(seconds) => {
                let limited = limited().header("retry-after", seconds.to_string());
                // Gemini says it in the body as well.
                let kind = "type.googleapis.com/google.rpc.RetryInfo";
                limited.detail(json!({ "@type": kind, "retryDelay": format!("{seconds}s") }))
            }
            Fault::RateLimitDate(seconds) => {
                let at = SystemTime::now() + Duration::from_secs(seconds.into());
                limited().header("retry-after", time::http_date(at))
            }
            Fault::RetryAfterHuge => limited().header("retry-after", "1000000000"),
            Fault::RetryAfterNegative => limited().header("retry-after", "-5"),
            Fault::RetryAfterGarbage => limited().header("retry-after", "soon, \u{1F980} perhaps"),
            Fault::Overloaded if wire == Wire::Anthropic => {
                ApiError::new(529, Kind::Overloaded, "Overloaded")
            }
            Fault::Overloaded => ApiError::new(
                503,
                Kind::Overloaded,
                "The model is overloaded. Please try again later.",
            ),
            Fault::GatewayTimeout => ApiError::new(
                504,
                Kind::Timeout,
                "Deadline expired before operation could complete.",
            ),
            Fault::WrongKey => error::wrong_key(wire),
            Fault::Forbidden => ApiError::new(
                403,
                Kind::Permission,
                "Your API key does not have permission to use the specified resource",
            ),
            Fault::BadRequest => ApiError::invalid("Request contains an invalid argument."),
            Fault::QuotaSpent => error::quota_spent(wire),
            Fault::UnknownModel => error::unknown_model(wire, model),
            Fault::RequestTooLarge => error::too_large(wire),
            Fault::ContextTooLong => {
                let prompt = request.map_or(0, Request::input_tokens);
                error::context_too_long(wire, prompt + 200_001, 200_000)
            }
            Fault::RateLimitBare => limited(),
            _ => ApiError::new(500, Kind::Internal, "Internal server error"),
        }
    }

    pub(super) fn error(
        &self,
        connection: &mut Connection,
        error: &ApiError,
        standing: Option<&Standing>,
    ) -> io::Result<After> {
        let id = format!("req_{:08}", self.number);
        let body = error.body(self.wire, &id).to_string();
        let mut headers = self.headers(standing);
        headers.push(("content-type", "application/json".to_owned()));
        headers.extend(error.headers.iter().cloned());
        self.shared.books.update(self.number, |entry| entry.status = error.status);
        connection.write(&head(error.status, Framing::Length(body.len()), &headers))?;
        connection.write(body.as_bytes())?;
        Ok(After::Keep)
    }

    fn bare(
        &self,
        connection: &mut Connection,
        status: u16,
        kind: &str,
        body: &[u8],
    ) -> io::Result<After> {
        self.shared.books.update(self.number, |entry| entry.status = status);
        connection.write(&head(
            status,
            Framing::Length(body.len()),
            &[("content-type", kind.to_owned())],
        ))?;
        connection.write(body)?;
        Ok(After::Keep)
    }

    fn headers(&self, standing: Option<&Standing>) -> Vec<(&'static str, String)> {
        let name = if self.wire == Wire::Anthropic { "request-id" } else { "x-request-id" };
        let mut headers = vec![(name, format!("req_{:08}", self.number))];
        headers.extend(standing.into_iter().flat_map(|standing| standing.headers(self.wire)));
        headers
    }
}

/// Without `alt=sse` Gemini streams one JSON array.
fn array(events: &[Event]) -> Vec<Event> {
    let last = events.len().saturating_sub(1);
    let element = |(index, event): (usize, &Event)| {
        let text = String::from_utf8_lossy(&event.bytes);
        let body = text.trim().trim_start_matches("data: ").to_owned();
        let open = if index == 0 { "[" } else { ",\r\n" };
        let close = if index == last { "]" } else { "" };
        Event { bytes: format!("{open}{body}{close}").into_bytes(), ..event.clone() }
    };
    events.iter().enumerate().map(element).collect()
}
