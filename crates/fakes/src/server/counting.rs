//! Requests to count the input of another.

use super::answer::Exchange;
use crate::Count;
use crate::connection::Connection;
use crate::count;
use crate::delivery::After;
use crate::error::{ApiError, Kind};
use crate::http::{Framing, HttpRequest, head};
use crate::wire::Route;
use std::io;

impl Exchange<'_> {
    /// Counts, for nothing: neither the books of requests nor the rate limit know of it.
    pub(super) fn count(
        &self,
        connection: &mut Connection,
        http: &HttpRequest,
        route: &Route,
    ) -> io::Result<After> {
        let fault =
            if self.is_down() { Some(crate::Fault::Unavailable) } else { self.options.count_fault };
        let counted = match fault {
            None => self.counted(http, route),
            Some(_) => Ok(None),
        };
        let enter = |tokens, refused| {
            self.shared.books.counted(Count { wire: route.wire, tokens, refused });
        };
        match (fault, counted) {
            (_, Ok(Some(tokens))) => {
                enter(Some(tokens), None);
                let body = count::reply(route.wire, tokens).to_string();
                let kind = [("content-type", "application/json".to_owned())];
                connection.write(&head(200, Framing::Length(body.len()), &kind))?;
                connection.write(body.as_bytes())?;
                Ok(After::Keep)
            }
            (Some(fault), _) => {
                enter(None, None);
                self.fail(connection, fault, None)
            }
            (None, Ok(None)) => {
                enter(None, None);
                let message = format!("Invalid URL ({} {})", http.method, http.target);
                self.error(connection, &ApiError::new(404, Kind::NotFound, message), None)
            }
            (None, Err(error)) => {
                enter(None, Some(error.message.clone()));
                self.error(connection, &error, None)
            }
        }
    }

    /// The tokens; none where the server does not count.
    fn counted(&self, http: &HttpRequest, route: &Route) -> Result<Option<u64>, ApiError> {
        if route.wire == crate::Wire::Chat && !self.options.chat_counts {
            return Ok(None);
        }
        if http.method != "POST" {
            let message = format!("Not allowed to {} on this path", http.method);
            return Err(ApiError::new(405, Kind::Invalid, message));
        }
        count::input(http, route, &self.options).map(Some)
    }
}
