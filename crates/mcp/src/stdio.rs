//! JSON lines over a server's pipes. The library's own reader drops a line that is too long or no message and leaves
//! the call waiting; this one fails the call that the line answers.

use crate::failure::line as one_line;
use crate::process::{Pipes, Process};
use rmcp::RoleClient;
use rmcp::model::{ErrorCode, ErrorData, RequestId, ServerJsonRpcMessage};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::{Value, json};
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

/// Marks errors that this reader made, in their data.
const MARK: &str = "loopwright";
/// How much of each end of a line that is too long is kept to find out which call it answers.
const END_BYTES: usize = 256;
/// A line this many times longer than allowed is no answer any more: the server is flooding and is cut off.
const FLOOD_FACTOR: usize = 16;
/// Lines in a row that are no messages after which a server is cut off.
const JUNK_LINES_MAX: usize = 10_000;

/// What a reader found wrong, kept for the message of the failure that follows.
pub(crate) type Complaint = Arc<Mutex<Option<String>>>;

/// The two pipes of a server.
pub(crate) struct Stdio {
    reader: Reader,
    stdin: Arc<tokio::sync::Mutex<Option<ChildStdin>>>,
    process: Arc<Process>,
    complaint: Complaint,
    junk_lines: usize,
}

impl Stdio {
    pub(crate) fn new(
        pipes: Pipes,
        process: Arc<Process>,
        line_bytes_max: usize,
        complaint: Complaint,
    ) -> Self {
        let stdin = Arc::new(tokio::sync::Mutex::new(Some(pipes.stdin)));
        let reader = Reader::new(pipes.stdout, line_bytes_max);
        Self { reader, stdin, process, complaint, junk_lines: 0 }
    }

    fn complain(&self, text: String) {
        *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// The message in a line, or none where it is to be passed over.
    fn message(&mut self) -> Option<ServerJsonRpcMessage> {
        let text = self.reader.line.trim_ascii();
        if text.is_empty() {
            return None;
        }
        let error = match serde_json::from_slice(text) {
            Ok(message) => {
                self.junk_lines = 0;
                return Some(message);
            }
            Err(error) => error,
        };
        let value: Option<Value> = serde_json::from_slice(text).ok();
        if let Some(id) = value.as_ref().and_then(answered) {
            return Some(fault(id, &json!({ "malformed": error.to_string() })));
        }
        // Many servers greet or log on standard output. It is forgiven, and remembered in case nothing else comes.
        self.junk_lines += 1;
        let shown = one_line(&String::from_utf8_lossy(&text[..text.len().min(1000)]));
        self.complain(format!("it writes what is no message to its standard output: `{shown}`"));
        None
    }
}

impl Transport<RoleClient> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), io::Error>> + Send + 'static {
        let stdin = Arc::clone(&self.stdin);
        async move {
            let mut bytes = serde_json::to_vec(&item)?;
            bytes.push(b'\n');
            let mut stdin = stdin.lock().await;
            let pipe = stdin.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            pipe.write_all(&bytes).await?;
            pipe.flush().await
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        loop {
            match self.reader.next().await {
                Read::Line => {
                    let message = self.message();
                    self.reader.line.clear();
                    if message.is_some() {
                        return message;
                    }
                    if self.junk_lines > JUNK_LINES_MAX {
                        return None;
                    }
                }
                Read::TooLong { size, id: Some(id) } => {
                    return Some(fault(id, &json!({ "too_large": size })));
                }
                Read::TooLong { size, id: None } => {
                    let what = format!("it wrote a line of {size} bytes that answers no call");
                    self.complain(what);
                }
                Read::Flood => {
                    self.complain("it wrote a line without end".to_owned());
                    return None;
                }
                Read::End => return None,
            }
        }
    }

    async fn close(&mut self) -> Result<(), io::Error> {
        // A server that does not read holds this lock: it is killed all the same.
        if let Ok(mut stdin) = self.stdin.try_lock() {
            drop(stdin.take());
        }
        self.process.end().await;
        Ok(())
    }
}

/// The call that a value answers, if it has the form of an answer.
fn answered(value: &Value) -> Option<RequestId> {
    let is_answer = value.get("result").is_some() || value.get("error").is_some();
    let id = value.get("id").filter(|_| is_answer)?;
    serde_json::from_value(id.clone()).ok()
}

fn fault(id: RequestId, data: &Value) -> ServerJsonRpcMessage {
    let data = Some(json!({ MARK: data }));
    let error = ErrorData::new(ErrorCode::INTERNAL_ERROR, "not a usable answer", data);
    ServerJsonRpcMessage::error(error, Some(id))
}

/// What this reader found wrong with an answer.
pub(crate) enum Fault {
    /// It is a message of so many bytes.
    TooLarge(usize),
    /// It is JSON but no message, for this reason.
    Malformed(String),
}

/// Whether the error is one that this reader made.
pub(crate) fn fault_of(error: &ErrorData) -> Option<Fault> {
    let mark = error.data.as_ref()?.get(MARK)?;
    let size = mark.get("too_large").and_then(Value::as_u64);
    let size = size.map(|it| Fault::TooLarge(usize::try_from(it).unwrap_or(usize::MAX)));
    size.or_else(|| Some(Fault::Malformed(mark.get("malformed")?.as_str()?.to_owned())))
}

enum Read {
    /// A whole line is in `line`.
    Line,
    /// A line was over the limit and is passed over; the call it answers, if that can be seen.
    TooLong {
        size: usize,
        id: Option<RequestId>,
    },
    /// The line has no end.
    Flood,
    End,
}

/// Reads lines of bounded length. Its state survives a read that is given up half way.
struct Reader {
    input: BufReader<ChildStdout>,
    line: Vec<u8>,
    max: usize,
    /// Bytes of a line that is over the limit, and its end.
    over: Option<(usize, Vec<u8>)>,
}

impl Reader {
    fn new(stdout: ChildStdout, max: usize) -> Self {
        let input = BufReader::with_capacity(64 * 1024, stdout);
        Self { input, line: Vec::new(), max, over: None }
    }

    async fn next(&mut self) -> Read {
        loop {
            let available = match self.input.fill_buf().await {
                Ok([]) | Err(_) => return Read::End,
                Ok(available) => available,
            };
            let newline = available.iter().position(|byte| *byte == b'\n');
            let take = newline.map_or(available.len(), |at| at + 1);
            let part = &available[..take];
            if let Some((size, end)) = &mut self.over {
                *size += take;
                end.extend_from_slice(&part[take.saturating_sub(END_BYTES)..]);
                end.drain(..end.len().saturating_sub(END_BYTES));
            } else if self.line.len() + take > self.max {
                let end = part[take.saturating_sub(END_BYTES)..].to_vec();
                self.over = Some((self.line.len() + take, end));
            } else {
                self.line.extend_from_slice(part);
            }
            self.input.consume(take);
            if let Some((size, _)) = &self.over {
                if newline.is_none() && *size > self.max.saturating_mul(FLOOD_FACTOR) {
                    return Read::Flood;
                }
                if newline.is_some() {
                    return self.too_long();
                }
            } else if newline.is_some() {
                return Read::Line;
            }
        }
    }

    fn too_long(&mut self) -> Read {
        let (size, end) = self.over.take().unwrap_or_default();
        let start = &self.line[..self.line.len().min(END_BYTES)];
        let id = id_at_start(start).or_else(|| id_at_end(&end));
        self.line = Vec::new();
        Read::TooLong { size, id }
    }
}

const ID: &str = "\"id\":";

/// The id in front of an answer's content. Ids of requests are ours, and ours are numbers.
fn id_at_start(part: &[u8]) -> Option<RequestId> {
    let text = String::from_utf8_lossy(part);
    let content = ["\"result\"", "\"error\""].iter().filter_map(|it| text.find(it)).min();
    let (_, after) = text[..content?].split_once(ID)?;
    number(after).map(|(id, _)| id)
}

/// The id behind an answer's content.
fn id_at_end(part: &[u8]) -> Option<RequestId> {
    let text = String::from_utf8_lossy(part);
    let (_, after) = text.rsplit_once(ID)?;
    let (id, rest) = number(after)?;
    let rest: String = rest.split_whitespace().collect();
    matches!(rest.as_str(), "}" | ",\"jsonrpc\":\"2.0\"}").then_some(id)
}

fn number(text: &str) -> Option<(RequestId, &str)> {
    let text = text.trim_start();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let id = text[..digits].parse().ok().map(RequestId::Number)?;
    Some((id, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_answer_that_is_too_long_is_found_at_either_end() {
        let starts: [(&str, Option<i64>); 4] = [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"content"#, Some(7)),
            (r#"{"jsonrpc": "2.0", "id": 12, "error": {"#, Some(12)),
            (r#"{"result":{"id":3,"content":["#, None),
            (r#"{"jsonrpc":"2.0","id":"text","result":{"#, None),
        ];
        for (text, id) in starts {
            assert_eq!(id_at_start(text.as_bytes()), id.map(RequestId::Number), "{text}");
        }
        let ends = [
            ("xxx\"}]},\"jsonrpc\":\"2.0\",\"id\":7}\n", Some(7)),
            ("xxx\"}]},\"id\": 8 , \"jsonrpc\":\"2.0\"}\r\n", Some(8)),
            ("xxx\"}],\"id\":9}}\n", None),
        ];
        for (text, id) in ends {
            assert_eq!(id_at_end(text.as_bytes()), id.map(RequestId::Number), "{text}");
        }
    }
}
