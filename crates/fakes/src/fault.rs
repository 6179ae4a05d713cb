//! What can go wrong, and what a right client makes of it.

use crate::Wire;
use serde::Serialize;

/// What a right client does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The same request fails again wherever it is sent.
    Never,
    /// The same request may succeed later.
    Wait,
    /// It fails here again, but another model or provider may answer.
    Switch,
    /// Nothing succeeds here before somebody acts.
    Park,
    /// No failure of the provider: the reply counts (what it says is another matter).
    Succeeds,
}

/// What a provider bills for a request that met a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Billing {
    /// Nothing: the model never saw it.
    Nothing,
    /// The input, and the output that left the server.
    Sent,
    /// The whole reply.
    Whole,
}

/// Where in a reply a fault bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// An error reply instead of an answer.
    Status,
    /// Before any byte of a reply.
    Connection,
    /// In what the model says.
    Content,
    /// In the events of a reply that is delivered in an orderly way.
    Events,
    /// In the delivery.
    Delivery,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $(($kind:ty = $value:expr))? : $stage:ident, $class:ident, $billing:ident;)*) => {
        /// Something that goes wrong at a provider.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum Fault {
            $($(#[$doc])* $name $(($kind))?,)*
        }

        impl Fault {
            /// Every fault, with ordinary values where one takes a value.
            pub const ALL: &'static [Self] = &[$(Self::$name $(($value))?,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(faults!(@pattern $name $(($kind))?) => stringify!($name),)* }
            }

            pub(crate) fn stage(self) -> Stage {
                match self { $(faults!(@pattern $name $(($kind))?) => Stage::$stage,)* }
            }

            fn usual_class(self) -> Class {
                match self { $(faults!(@pattern $name $(($kind))?) => Class::$class,)* }
            }

            /// What the provider bills for it.
            pub fn billing(self) -> Billing {
                match self { $(faults!(@pattern $name $(($kind))?) => Billing::$billing,)* }
            }
        }
    };
    (@pattern $name:ident) => { Self::$name };
    (@pattern $name:ident ($kind:ty)) => { Self::$name(_) };
}

faults! {
    /// 429 with `retry-after` in seconds.
    RateLimitSeconds(u32 = 1): Status, Wait, Nothing;
    /// 429 with `retry-after` as a date, so many seconds from now.
    RateLimitDate(u32 = 2): Status, Wait, Nothing;
    /// 429 without `retry-after`.
    RateLimitBare: Status, Wait, Nothing;
    /// 429 with a `retry-after` of 1,000,000,000 s: to be capped.
    RetryAfterHuge: Status, Wait, Nothing;
    /// 429 with a `retry-after` of -5: to be ignored.
    RetryAfterNegative: Status, Wait, Nothing;
    /// 429 with a `retry-after` that is no number and no date: to be ignored.
    RetryAfterGarbage: Status, Wait, Nothing;
    /// 529 (Anthropic), 503 in the words of an overload elsewhere.
    Overloaded: Status, Wait, Nothing;
    /// 500.
    ServerError: Status, Wait, Nothing;
    /// 502 with a page of HTML from a proxy.
    BadGateway: Status, Wait, Nothing;
    /// 503 with an empty body.
    Unavailable: Status, Wait, Nothing;
    /// 504.
    GatewayTimeout: Status, Wait, Nothing;
    /// 401 (400 at Gemini): the key was revoked.
    WrongKey: Status, Never, Nothing;
    /// 403: the key may not do this.
    Forbidden: Status, Never, Nothing;
    /// 400: the request is wrong.
    BadRequest: Status, Never, Nothing;
    /// A spent quota: 402 at Anthropic, 429 `insufficient_quota` at OpenAI, a daily quota at Gemini.
    QuotaSpent: Status, Park, Nothing;
    /// 404: no such model here.
    UnknownModel: Status, Switch, Nothing;
    /// 413: more bytes than this provider takes.
    RequestTooLarge: Status, Switch, Nothing;
    /// 400: more tokens than the context window has.
    ContextTooLong: Status, Switch, Nothing;
    /// Nobody listens: see [`crate::FakeProvider::closed_port`]. Injected, the connection is reset.
    ConnectionRefused: Connection, Wait, Nothing;
    /// A reset before any byte of a reply.
    ResetBeforeResponse: Connection, Wait, Nothing;
    /// An orderly end before any byte of a reply.
    CloseBeforeResponse: Connection, Wait, Nothing;
    /// Something that is not HTTP.
    NotHttp: Connection, Wait, Nothing;
    /// Silence before the first byte.
    StallBeforeFirstByte: Connection, Wait, Nothing;
    /// A reset after half of the reply.
    ResetMidStream: Delivery, Wait, Sent;
    /// An orderly end of the connection after so many bytes of the body. Past its terminal event the reply counts.
    CutAt(u64 = 200): Delivery, Wait, Sent;
    /// Silence after half of the reply.
    StallBetweenChunks: Delivery, Wait, Sent;
    /// A chunk size that is no number, after half of the reply.
    InvalidChunkFraming: Delivery, Wait, Sent;
    /// An event that is not JSON, after half of the reply.
    CorruptEvent: Events, Wait, Whole;
    /// Bytes that are not UTF-8 inside an event, after half of the reply.
    InvalidUtf8: Events, Wait, Whole;
    /// 200 with a page of HTML, as from a captive portal.
    WrongContentType: Delivery, Wait, Nothing;
    /// 200 without a body.
    EmptyBody: Delivery, Wait, Nothing;
    /// 200 whose body says gzip and is not.
    FakeGzip: Delivery, Wait, Nothing;
    /// A proper end without a finish reason.
    MissingFinishReason: Events, Wait, Whole;
    /// An error event after half of the reply (without a stream: an error body with status 200).
    ErrorEventMidStream: Events, Wait, Sent;
    /// A reply of so many MiB.
    OversizedReply(u32 = 24): Content, Switch, Sent;
    /// A proper reply that tells no usage.
    MissingUsage: Events, Succeeds, Whole;
    /// A proper reply that tells a usage of zeros.
    ZeroUsage: Events, Succeeds, Whole;
    /// Events and fields of kinds that nobody knows yet.
    UnknownEvents: Events, Succeeds, Whole;
    /// Arguments of a tool call that are no JSON (Gemini finishes with `MALFORMED_FUNCTION_CALL` instead).
    InvalidToolArguments: Content, Succeeds, Whole;
    /// A structured answer that its schema refuses.
    SchemaInvalidAnswer: Content, Succeeds, Whole;
    /// Two tool calls with the same id.
    DuplicateToolIds: Content, Succeeds, Whole;
    /// A few bytes at a time.
    SlowDrip: Delivery, Succeeds, Whole;
}

impl Fault {
    /// What a right client makes of it on this wire.
    pub fn expected_class(self, wire: Wire) -> Class {
        match (self, wire) {
            // Gemini has no arguments that could be invalid: the service notices and gives no call at all.
            (Self::InvalidToolArguments, Wire::Gemini) => Class::Wait,
            _ => self.usual_class(),
        }
    }
}
