//! One connection of a client, down to the byte and the reset.

use crate::http::HttpRequest;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

const HEAD_BYTES: usize = 64 * 1024;

/// A connection that always leaves the last byte of the request it serves unread in the kernel.
///
/// A socket closed with unread bytes answers with a reset instead of an orderly end; so whether a reply ends in a reset
/// ([`Connection::reset`]) or not ([`Connection::finish`]) is decided when it ends, with the standard library alone.
pub(crate) struct Connection {
    stream: TcpStream,
    held: bool,
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        // A chunk is on its way when it is written, not when the kernel finds it worth a packet.
        let _ = stream.set_nodelay(true);
        Self { stream, held: false }
    }

    /// The next request, or none when the client is gone or does not speak HTTP.
    pub fn request(&mut self, most_body: usize) -> io::Result<Option<HttpRequest>> {
        self.release()?;
        let Some(length) = self.head_length()? else { return Ok(None) };
        let mut head = vec![0; length];
        self.stream.read_exact(&mut head[..length - 1])?;
        head[length - 1] = b'\n';
        self.held = true;
        let Some(mut request) = HttpRequest::of_head(&head) else { return Ok(None) };
        if request.lists("expect", "100-continue") {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if request.lists("transfer-encoding", "chunked") {
            self.release()?;
            self.chunked_body(&mut request, most_body)?;
        } else {
            let length = request.header("content-length").and_then(|text| text.parse().ok());
            self.sized_body(&mut request, length.unwrap_or(0), most_body)?;
        }
        Ok(Some(request))
    }

    /// Waits for a whole head and tells its length without taking it off the socket.
    fn head_length(&mut self) -> io::Result<Option<usize>> {
        let mut seen = vec![0; HEAD_BYTES];
        let mut before = 0;
        loop {
            let length = self.stream.peek(&mut seen)?;
            if length == 0 || length == HEAD_BYTES {
                return Ok(None);
            }
            if let Some(at) = seen[..length].windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(Some(at + 4));
            }
            if length == before {
                std::thread::sleep(Duration::from_millis(1));
            }
            before = length;
        }
    }

    fn sized_body(
        &mut self,
        request: &mut HttpRequest,
        length: usize,
        most: usize,
    ) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        self.release()?;
        if length > most {
            request.too_large = true;
            let mut rest = (&self.stream).take(length as u64 - 1);
            io::copy(&mut rest, &mut io::sink())?;
        } else {
            request.body = vec![0; length];
            self.stream.read_exact(&mut request.body[..length - 1])?;
        }
        let last = self.peek_byte()?;
        if let Some(place) = request.body.last_mut() {
            *place = last;
        }
        self.held = true;
        Ok(())
    }

    fn chunked_body(&mut self, request: &mut HttpRequest, most: usize) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                let mut byte = [0];
                self.stream.read_exact(&mut byte)?;
                self.peek_byte()?;
                self.held = true;
                return Ok(());
            }
            let mut data = vec![0; size + 2];
            self.stream.read_exact(&mut data)?;
            if request.body.len() + size > most {
                request.too_large = true;
            } else {
                request.body.extend_from_slice(&data[..size]);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }

    fn peek_byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        match self.stream.peek(&mut byte)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(byte[0]),
        }
    }

    /// Takes the held byte off the socket: from here on the connection ends in an orderly way.
    fn release(&mut self) -> io::Result<()> {
        if self.held {
            self.stream.read_exact(&mut [0])?;
            self.held = false;
        }
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Ends the connection in an orderly way, with everything that was written arriving.
    pub fn finish(mut self) {
        let _ = self.release();
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        debug_assert!(self.held, "without an unread byte the kernel sends no reset");
    }

    /// Says nothing until the client hangs up, `most` is over or `stopped` says so. The connection is of no use after.
    pub fn stall(&mut self, most: Duration, stopped: impl Fn() -> bool) {
        let until = Instant::now() + most;
        if self.release().is_err() {
            return;
        }
        let _ = self.stream.set_read_timeout(Some(Duration::from_millis(10)));
        while Instant::now() < until && !stopped() {
            match self.stream.peek(&mut [0]) {
                Ok(0) => return,
                Ok(_) => std::thread::sleep(Duration::from_millis(10)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {}
                    _ => return,
                },
            }
        }
    }
}
