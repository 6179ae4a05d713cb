//! A server that does what the model's name says, `action-argument…`:
//!
//! - `whole.<stream>`, `cut.<n>.<stream>` (connection closed), `end.<n>.<stream>` (ended as HTTP wants it),
//!   `slow.<ms>.<stream>` (a pause before every piece), `stall.<n>.<stream>` (n bytes, then silence),
//!   `spoil.<n>.<stream>` (n bytes, then what is no event, then silence)
//! - `status.<status>.<body>`, `type.<kind>.<body>` (`~` is a line feed), `close` (before any answer), `silent`, `garbage`, `flood`, `echo`

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    connections: AtomicUsize,
    counts: AtomicBool,
    /// Heads of the requests.
    heads: Mutex<Vec<String>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.is_over.load(Ordering::SeqCst) {
                    return;
                }
                own.connections.fetch_add(1, Ordering::SeqCst);
                let own = Arc::clone(&own);
                std::thread::spawn(move || serve(stream.unwrap(), &own));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets it count: a byte is a token, and a message adds nine.
    pub fn count(&self) {
        self.shared.counts.store(true, Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        TcpStream::connect(self.address).ok();
    }
}

pub fn fixture(stream: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wires/streams");
    std::fs::read(folder.join(format!("{stream}.sse"))).unwrap()
}

fn serve(stream: TcpStream, shared: &Shared) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some((head, body)) = read_request(&mut reader) {
        let model = match head.split("/models/").nth(1) {
            Some(rest) => rest.split(':').next().unwrap().to_owned(),
            None => {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                body["model"].as_str().unwrap().to_owned()
            }
        };
        if ["count_tokens", "input_tokens", "/tokenize", ":countTokens"]
            .iter()
            .any(|it| head.contains(it))
        {
            if count(&mut stream, &head, &body, shared).is_none() {
                return;
            }
            continue;
        }
        shared.heads.lock().unwrap().push(head.clone());
        // Whoever is cut off or cancelled does not read what is written: no matter.
        if answer(&mut stream, &model, &head, shared).is_none() {
            return;
        }
    }
}

/// Counts, if it does, as vLLM does for Chat Completions: 100 for a request, and for a message alone its bytes and nine.
fn count(stream: &mut TcpStream, head: &str, body: &[u8], shared: &Shared) -> Option<()> {
    if !shared.counts.load(Ordering::SeqCst) || head.contains("/chat/completions/") {
        return plain(stream, 404, "text/plain", "");
    }
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    let alone = match body["messages"].as_array().map(Vec::as_slice) {
        Some([message]) => message["content"].as_str(),
        _ => None,
    };
    let text =
        alone.or(body["input"].as_str()).or(body["contents"][0]["parts"][0]["text"].as_str());
    let tokens = text.map_or(100, |text| text.len() + 9);
    let name = ["input_tokens", "count", "totalTokens"];
    let name =
        name[usize::from(head.contains("/tokenize")) + 2 * usize::from(head.contains("Tokens"))];
    plain(stream, 200, "application/json", &format!("{{\"{name}\":{tokens}}}"))
}

fn read_request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let length = head.to_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length:").and_then(|it| it.trim().parse().ok())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
    anthropic-ratelimit-requests-limit: 50\r\nanthropic-ratelimit-requests-remaining: 49\r\n\
    transfer-encoding: chunked\r\n\r\n";

fn chunk(stream: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    if bytes.is_empty() {
        return Some(());
    }
    let framed = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    stream.write_all(&framed).ok()
}

/// `None` closes the connection.
fn answer(stream: &mut TcpStream, model: &str, head: &str, shared: &Shared) -> Option<()> {
    let parts: Vec<&str> = model.splitn(3, '.').collect();
    let number = |at: usize| parts[at].parse::<usize>().unwrap();
    match parts[0] {
        "whole" | "end" => {
            let bytes = fixture(parts[parts.len() - 1]);
            let end = if parts[0] == "end" { number(1) } else { bytes.len() };
            stream.write_all(STREAM.as_bytes()).ok()?;
            chunk(stream, &bytes[..end])?;
            stream.write_all(b"0\r\n\r\n").ok()
        }
        "cut" | "stall" | "spoil" => {
            stream.write_all(STREAM.as_bytes()).ok()?;
            chunk(stream, &fixture(parts[2])[..number(1)])?;
            if parts[0] == "spoil" {
                chunk(stream, b"\n\nno event\n\n")?;
            }
            if parts[0] != "cut" {
                wait(shared);
            }
            None
        }
        "slow" => {
            stream.write_all(STREAM.as_bytes()).ok()?;
            for piece in fixture(parts[2]).chunks(200) {
                std::thread::sleep(Duration::from_millis(number(1) as u64));
                chunk(stream, piece)?;
            }
            stream.write_all(b"0\r\n\r\n").ok()
        }
        "status" => plain(stream, number(1), "application/json", parts[2]),
        "echo" => plain(
            stream,
            401,
            "application/json",
            &format!("{{\"error\":{{\"message\":{head:?}}}}}"),
        ),
        "type" => plain(
            stream,
            200,
            parts[1],
            &parts.get(2).unwrap_or(&"<html>hello</html>").replace('~', "\n"),
        ),
        "garbage" => stream.write_all(b"SSH-2.0-OpenSSH_9\r\n").ok().and(None),
        "silent" => {
            wait(shared);
            None
        }
        "flood" => {
            stream.write_all(STREAM.as_bytes()).ok()?;
            loop {
                chunk(stream, ": flood\n".repeat(1024).as_bytes())?;
            }
        }
        _ => None,
    }
}

fn wait(shared: &Shared) {
    while !shared.is_over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn plain(stream: &mut TcpStream, status: usize, kind: &str, body: &str) -> Option<()> {
    let extra = match status {
        429 => "retry-after: 7\r\nrequest-id: req_1\r\n",
        307 => "location: http://127.0.0.1:1/\r\n",
        _ => "",
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n{extra}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()
}
