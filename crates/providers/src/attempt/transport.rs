//! What went wrong below HTTP. A URL or header never gets into a message.

use crate::failure::one_line;
use loopwright_types::{Code, Failure, FailureClass, Reason};
use std::error::Error;

/// The innermost cause, which is the one that says something.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    match inner.downcast_ref::<reqwest::Error>() {
        Some(_) if error.is_timeout() => "it took too long".to_owned(),
        // Its text would name the URL.
        Some(_) => "the connection failed".to_owned(),
        None => one_line(&inner.to_string()),
    }
}

/// A request that got no response.
pub(super) fn of_send(error: &reqwest::Error, shown: &str) -> Failure {
    let cause = cause(error);
    if error.is_connect() {
        let message = format!("{shown} cannot be reached: {cause}");
        let failure =
            Failure::new(Reason::Provider, Code::PROVIDER_UNREACHABLE, message).not_sent();
        let is_certificate = cause.contains("certificate");
        return match is_certificate {
            true => {
                failure.class(FailureClass::Never).hint("the server's certificate is not trusted")
            }
            false => failure
                .class(FailureClass::Wait)
                .hint("check the provider's `base_url`, the network and the proxy"),
        };
    }
    if error.is_builder() {
        let message = format!("{shown} cannot be asked: {cause}");
        let failure = Failure::new(Reason::Provider, Code::PROVIDER_SETTINGS, message);
        return failure.class(FailureClass::Never).not_sent();
    }
    let message = format!("{shown} closed the connection before it answered: {cause}");
    Failure::new(Reason::Provider, Code::REPLY_CUT, message).class(FailureClass::Wait)
}

/// A response whose body broke off.
pub(super) fn of_body(error: &reqwest::Error, shown: &str) -> Failure {
    let message = format!("the reply of {shown} was cut off: {}", cause(error));
    Failure::new(Reason::Provider, Code::REPLY_CUT, message).class(FailureClass::Wait)
}
