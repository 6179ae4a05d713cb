//! A small HTTP server on the loopback address: every request goes to a function and is kept.
#![allow(dead_code)] // each test file uses its own part

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A member of a form in the body or of the query.
    pub fn form(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let text = if self.body.is_empty() { query } else { &self.body };
        let url = reqwest::Url::parse(&format!("http://a/?{text}")).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// Status, headers besides the length, body.
pub type Response = (u16, Vec<(&'static str, String)>, String);

pub fn json_response(body: &serde_json::Value) -> Response {
    (200, vec![("content-type", "application/json".to_owned())], body.to_string())
}

pub fn empty(status: u16) -> Response {
    (status, Vec::new(), String::new())
}

/// The server; ends with the test's process.
pub struct Web {
    pub origin: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Web {
    /// `answer` is given the server's origin and the request.
    pub fn start(answer: impl Fn(&str, &Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (own, kept, answer) = (origin.clone(), Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for visitor in listener.incoming() {
                let (own, kept, answer) = (own.clone(), Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(visitor.unwrap(), &own, &kept, &*answer));
            }
        });
        Self { origin, seen }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many requests called this method of the protocol.
    pub fn count(&self, method: &str) -> usize {
        self.requests().iter().filter(|it| it.json()["method"] == method).count()
    }
}

fn serve(
    mut visitor: TcpStream,
    origin: &str,
    kept: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&str, &Request) -> Response + Send + Sync),
) {
    let Some(request) = read(&visitor) else { return };
    kept.lock().unwrap().push(request.clone());
    let (status, headers, body) = answer(origin, &request);
    let mut head = format!("HTTP/1.1 {status} Status\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    // A client that has had enough hangs up.
    let _ = visitor.write_all(head.as_bytes()).and_then(|()| visitor.write_all(body.as_bytes()));
}

fn read(visitor: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(visitor);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut request =
        Request { method: words.next()?, target: words.next()?, ..Request::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

/// A server of the older revision that answers in JSON; `call` answers calls of its one tool.
pub fn older(
    request: &Request,
    call: impl Fn(&serde_json::Value) -> serde_json::Value,
) -> Response {
    use serde_json::json;
    if request.method != "POST" {
        return empty(405);
    }
    let message = request.json();
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": "2025-06-18",
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "web", "version": "1" },
        }),
        "tools/list" => {
            json!({ "tools": [{ "name": "act", "inputSchema": { "type": "object" } }] })
        }
        "tools/call" => call(&message["params"]),
        _ if message["id"].is_null() => return empty(202),
        _ => return empty(400),
    };
    json_response(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

pub fn text(it: &str) -> serde_json::Value {
    serde_json::json!({ "content": [{ "type": "text", "text": it }] })
}
