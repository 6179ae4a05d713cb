//! An agent's standard streams: lines become messages for the protocol's library and back, both ways bounded.

use crate::failure::Broken;
use crate::session::Session;
use agent_client_protocol::{Channel, TransportFrame};
use loopwright_processes::shown;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

/// Pieces in which output is read.
const PIECE: usize = 16 << 10;
/// Messages that may wait for the library before reading pauses.
const WAITING_MAX: usize = 64;
/// Lines that are no JSON, which agents print by mistake, before that is taken for garbage.
const STRAY_LINES_MAX: usize = 100;
/// Limits on what an agent may write.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of one message.
    pub(crate) message_bytes_max: usize,
    /// Bytes of all of them.
    pub(crate) output_bytes_max: u64,
}

/// Carries messages both ways until both sides are done.
///
/// # Errors
/// When the agent writes too much, or something that is no message of the protocol: it has to be ended.
pub(crate) async fn carry(
    channel: Channel,
    stdin: ChildStdin,
    stdout: ChildStdout,
    limits: Limits,
    session: &Session,
) -> Result<(), Broken> {
    let Channel { mut rx, tx, .. } = channel;
    let write = async move {
        let mut stdin = Some(stdin);
        while let Ok(frame) = rx.recv().await {
            let Ok(mut line) = frame.to_json() else { continue };
            line.push('\n');
            if let Some(pipe) = &mut stdin {
                let written =
                    pipe.write_all(line.as_bytes()).await.is_ok() && pipe.flush().await.is_ok();
                // An agent that does not read any more may still have something to say.
                stdin = stdin.filter(|_| written);
            }
        }
        Ok(())
    };
    let read = async move {
        let mut lines = Lines { limits, line: Vec::new(), total: 0, stray: 0 };
        let (mut stdout, mut piece) = (stdout, vec![0; PIECE]);
        loop {
            let count = stdout.read(&mut piece).await.unwrap_or(0);
            if count == 0 {
                // Dropping the sender is how the library learns of the end.
                return Ok(());
            }
            for part in piece[..count].split_inclusive(|byte| *byte == b'\n') {
                if let Some(frame) = lines.push(part, session)? {
                    let _ = tx.unbounded_send(frame);
                }
                while tx.len() > WAITING_MAX {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }
    };
    tokio::try_join!(write, read).map(|_| ())
}

struct Lines {
    limits: Limits,
    line: Vec<u8>,
    total: u64,
    stray: usize,
}

impl Lines {
    /// Takes a part of a line; gives the message when it ends one.
    fn push(&mut self, part: &[u8], session: &Session) -> Result<Option<TransportFrame>, Broken> {
        self.total += part.len() as u64;
        if self.total > self.limits.output_bytes_max {
            return Err(Broken::Flood("acp.output_bytes_max", self.limits.output_bytes_max));
        }
        self.line.extend_from_slice(part);
        if self.line.len() > self.limits.message_bytes_max {
            let limit = self.limits.message_bytes_max as u64;
            return Err(Broken::Flood("acp.message_bytes_max", limit));
        }
        if !part.ends_with(b"\n") {
            return Ok(None);
        }
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        match TransportFrame::parse_json(text) {
            frame @ TransportFrame::Single(_) => Ok(Some(frame)),
            // Meant as a message, and none: whoever waits for it would wait for ever.
            _ if text.starts_with('{') || text.starts_with('[') => {
                Err(Broken::NoProtocol(shown(text, 200)))
            }
            _ if self.stray == STRAY_LINES_MAX => Err(Broken::NoProtocol(shown(text, 200))),
            _ => {
                self.stray += 1;
                session.stray(text);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> (Lines, Session) {
        let limits = Limits { message_bytes_max: 1000, output_bytes_max: 100_000 };
        (
            Lines { limits, line: Vec::new(), total: 0, stray: 0 },
            Session::new(1000, Box::new(|_| ())),
        )
    }

    #[test]
    fn parts_become_messages_at_line_ends_and_stray_lines_are_passed_over() {
        let (mut lines, session) = lines();
        let mut push = |part: &str| lines.push(part.as_bytes(), &session).unwrap().is_some();
        assert!(!push("loading…\n") && !push("\n") && !push(r#"{"jsonrpc":"2.0","#));
        assert!(push("\"method\":\"x\"}\r\n"));
    }

    #[test]
    fn floods_and_garbage_end_the_agent() {
        let (mut long, session) = lines();
        let flood = long.push(&[b'x'; 1001], &session).unwrap_err();
        assert!(matches!(flood, Broken::Flood("acp.message_bytes_max", 1000)));
        let (mut many, session) = lines();
        let message = [r#"{"jsonrpc":"2.0","method":"x"}"#, "\n"].concat();
        let flood = (0..10_000).find_map(|_| many.push(message.as_bytes(), &session).err());
        assert!(matches!(flood, Some(Broken::Flood("acp.output_bytes_max", _))));
        for text in ["{\"id\":1}\n", "[]\n", "{oops\n"] {
            let (mut lines, session) = lines();
            assert!(
                matches!(lines.push(text.as_bytes(), &session), Err(Broken::NoProtocol(_))),
                "{text}"
            );
        }
        let (mut stray, session) = lines();
        let garbage = (0..=STRAY_LINES_MAX).find_map(|_| stray.push(b"\xff\xfe\n", &session).err());
        assert!(matches!(garbage, Some(Broken::NoProtocol(_))));
    }
}
