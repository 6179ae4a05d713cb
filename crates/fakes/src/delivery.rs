//! A reply on its way over the connection, with what goes wrong there.

use crate::connection::Connection;
use crate::event::Event;
use crate::http::{Framing, LAST_CHUNK, chunk, head};
use crate::{Fault, Options, Usage, tamper};
use std::io;
use std::time::{Duration, Instant};

/// What left the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Bytes of the body.
    pub body: usize,
    /// Bytes of output.
    pub content: usize,
    /// The last usage told.
    pub told: Option<Usage>,
    /// The event that makes the reply count left whole.
    pub terminal: bool,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    Finish,
    Reset,
}

/// How a body is delivered.
pub(crate) struct Delivery<'a> {
    pub status: u16,
    pub headers: Vec<(&'a str, String)>,
    pub events: &'a [Event],
    pub stream: bool,
    pub fault: Option<Fault>,
    pub options: &'a Options,
    pub stopped: &'a dyn Fn() -> bool,
    /// Told what will have left the server, before it leaves: whoever has read a reply finds it in the books.
    pub enter: &'a dyn Fn(&Sent),
}

impl Delivery<'_> {
    /// Sends it; what left the server is counted in `sent` also where the client goes away.
    pub fn send(&self, connection: &mut Connection, sent: &mut Sent) -> io::Result<After> {
        (self.enter)(sent);
        match self.fault {
            Some(Fault::WrongContentType) => {
                self.bare(connection, "text/html; charset=utf-8", &[], &tamper::page())?;
                return Ok(After::Keep);
            }
            Some(Fault::EmptyBody) => {
                self.bare(connection, self.content_type(), &[], b"")?;
                return Ok(After::Keep);
            }
            Some(Fault::FakeGzip) => {
                let noise: Vec<u8> = (0..512_u32).map(|at| (at * 37 % 251) as u8).collect();
                let header = [("content-encoding", "gzip".to_owned())];
                self.bare(connection, self.content_type(), &header, &noise)?;
                return Ok(After::Keep);
            }
            _ => {}
        }
        let total: usize = self.events.iter().map(|event| event.bytes.len()).sum();
        let chunked = self.stream || self.fault == Some(Fault::InvalidChunkFraming);
        let framing = if chunked { Framing::Chunked } else { Framing::Length(total) };
        let mut headers = self.headers.clone();
        headers.push(("content-type", self.content_type().to_owned()));
        connection.write(&head(self.status, framing, &headers))?;
        let most = match self.fault {
            Some(Fault::CutAt(at)) => at as usize,
            Some(
                Fault::ResetMidStream | Fault::StallBetweenChunks | Fault::InvalidChunkFraming,
            ) => total / 2,
            _ => usize::MAX,
        };
        self.body(connection, most, chunked, sent)?;
        match self.fault {
            Some(Fault::CutAt(_)) => return Ok(After::Finish),
            Some(Fault::ResetMidStream) => {
                // What was sent must be on its way before the reset overtakes it.
                pause(Duration::from_millis(2), self.stopped);
                return Ok(After::Reset);
            }
            Some(Fault::StallBetweenChunks) => {
                connection.stall(self.options.stall, self.stopped);
                return Ok(After::Finish);
            }
            Some(Fault::InvalidChunkFraming) => {
                connection.write(b"xyz\r\nthis is no chunk\r\n")?;
                return Ok(After::Finish);
            }
            _ => {}
        }
        if chunked {
            connection.write(LAST_CHUNK)?;
        }
        Ok(After::Keep)
    }

    fn content_type(&self) -> &'static str {
        if self.stream { "text/event-stream; charset=utf-8" } else { "application/json" }
    }

    fn bare(
        &self,
        connection: &mut Connection,
        kind: &str,
        more: &[(&str, String)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut headers = vec![("content-type", kind.to_owned())];
        headers.extend_from_slice(more);
        connection.write(&head(self.status, Framing::Length(body.len()), &headers))?;
        connection.write(body)
    }

    /// At most `most` bytes of the body, event by event.
    fn body(
        &self,
        connection: &mut Connection,
        most: usize,
        chunked: bool,
        sent: &mut Sent,
    ) -> io::Result<()> {
        for (index, event) in self.events.iter().enumerate() {
            if index > 0 {
                pause(self.options.latency.between_chunks, self.stopped);
            }
            let room = most.saturating_sub(sent.body).min(event.bytes.len());
            let (bytes, whole) = (&event.bytes[..room], room == event.bytes.len());
            // A client may take an event before the last line feed of CR LF CR LF has come.
            let line_feed = usize::from(event.bytes.ends_with(b"\r\n"));
            let mut after = *sent;
            after.body += room;
            if room + line_feed >= event.bytes.len() {
                after.content += event.content;
                after.told = event.told.filter(|_| !event.broken).or(sent.told);
                after.terminal |= event.terminal;
            }
            (self.enter)(&after);
            let step = if self.fault == Some(Fault::SlowDrip) { 7 } else { bytes.len().max(1) };
            for piece in bytes.chunks(step) {
                if self.fault == Some(Fault::SlowDrip) {
                    pause(self.options.drip, self.stopped);
                }
                if (self.stopped)() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                if chunked {
                    connection.write(&chunk(piece))?
                } else {
                    connection.write(piece)?
                }
                sent.body += piece.len();
            }
            *sent = after;
            if !whole {
                return Ok(());
            }
            if sent.body == most {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Sleeps, but no longer than until the server stops.
pub(crate) fn pause(duration: Duration, stopped: &dyn Fn() -> bool) {
    let until = Instant::now() + duration;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stopped() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
}
