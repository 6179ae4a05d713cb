//! A raw TCP client, and requests as each wire wants them.
#![allow(dead_code, reason = "each test file uses a part")]

use loopwright_fakes::{FakeProvider, Wire};
use serde_json::{Value, json};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing said.
    Framed,
    /// The connection ended in an orderly way before.
    Cut,
    /// It was reset.
    Reset,
    /// Nothing more came in time.
    Stalled,
    /// A chunk size was no number.
    BadFraming,
    /// It was not HTTP.
    NotHttp,
}

/// A reply.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub end: End,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The `data:` of each event, as JSON where it is.
    pub fn events(&self) -> Vec<Value> {
        let text = self.text().replace("\r\n", "\n");
        let data = |event: &str| {
            let line =
                event.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned))?;
            Some(serde_json::from_str(&line).unwrap_or(Value::String(line)))
        };
        text.split("\n\n").filter_map(data).collect()
    }
}

/// A keep-alive connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    pub fn patience(self, patience: Duration) -> Self {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
        self
    }

    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nhost: fake\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes).unwrap();
        self.answer()
    }

    pub fn raw(&mut self, bytes: &[u8]) -> Answer {
        self.stream.get_mut().write_all(bytes).unwrap();
        self.answer()
    }

    fn byte(&mut self) -> Result<u8, End> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => Err(End::Cut),
            Ok(_) => Ok(byte[0]),
            Err(error) => Err(match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => End::Stalled,
                _ => End::Reset,
            }),
        }
    }

    fn line(&mut self) -> Result<String, End> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.byte()?);
        }
        Ok(String::from_utf8_lossy(&line).trim().to_owned())
    }

    fn answer(&mut self) -> Answer {
        let mut answer =
            Answer { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Framed };
        if let Err(end) = self.read(&mut answer) {
            answer.end = end;
        }
        answer
    }

    fn read(&mut self, answer: &mut Answer) -> Result<(), End> {
        let start = self.line()?;
        if !start.starts_with("HTTP/1.1 ") {
            return Err(End::NotHttp);
        }
        answer.status =
            start.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(End::NotHttp)?;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).map_err(|_| End::BadFraming)?;
                for _ in 0..size {
                    answer.body.push(self.byte()?);
                }
                self.line()?;
                if size == 0 {
                    return Ok(());
                }
            }
        }
        let length: usize =
            answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        for _ in 0..length {
            answer.body.push(self.byte()?);
        }
        Ok(())
    }
}

/// Where a request of a wire goes.
pub fn target(wire: Wire, stream: bool) -> String {
    match wire {
        Wire::Anthropic => "/v1/messages".to_owned(),
        Wire::Chat => "/v1/chat/completions".to_owned(),
        Wire::Responses => "/v1/responses".to_owned(),
        Wire::Gemini if stream => {
            "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse".to_owned()
        }
        Wire::Gemini => "/v1beta/models/gemini-3-pro:generateContent".to_owned(),
    }
}

/// The headers of a wire with this key.
pub fn headers(wire: Wire, key: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    match wire {
        Wire::Anthropic => {
            headers.push(("x-api-key", key.to_owned()));
            headers.push(("anthropic-version", "2023-06-01".to_owned()));
        }
        Wire::Chat | Wire::Responses => headers.push(("authorization", format!("Bearer {key}"))),
        Wire::Gemini => headers.push(("x-goog-api-key", key.to_owned())),
    }
    headers
}

/// A right request with this prompt.
pub fn body(wire: Wire, stream: bool, prompt: &str) -> Value {
    match wire {
        Wire::Anthropic => json!({
            "model": "claude-x", "max_tokens": 4096, "stream": stream,
            "messages": [{ "role": "user", "content": prompt }],
        }),
        Wire::Chat => {
            let mut body = json!({
                "model": "gpt-x", "stream": stream, "messages": [{ "role": "user", "content": prompt }],
            });
            if stream {
                body["stream_options"] = json!({ "include_usage": true });
            }
            body
        }
        Wire::Responses => json!({
            "model": "gpt-x", "stream": stream, "store": false, "include": ["reasoning.encrypted_content"],
            "input": [{ "role": "user", "content": [{ "type": "input_text", "text": prompt }] }],
        }),
        Wire::Gemini => json!({ "contents": [{ "role": "user", "parts": [{ "text": prompt }] }] }),
    }
}

/// The same with a tool `read_file`.
pub fn with_tool(wire: Wire, mut body: Value) -> Value {
    let schema = json!({ "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] });
    body["tools"] = match wire {
        Wire::Anthropic => {
            json!([{ "name": "read_file", "description": "Reads.", "input_schema": schema }])
        }
        Wire::Chat => {
            json!([{ "type": "function", "function": { "name": "read_file", "parameters": schema } }])
        }
        Wire::Responses => {
            json!([{ "type": "function", "name": "read_file", "parameters": schema, "strict": false }])
        }
        Wire::Gemini => {
            json!([{ "functionDeclarations": [{ "name": "read_file", "parametersJsonSchema": schema }] }])
        }
    };
    body
}

/// The same asking for a structured answer.
pub fn with_schema(wire: Wire, mut body: Value, schema: &Value) -> Value {
    match wire {
        Wire::Anthropic => {
            body["output_config"] =
                json!({ "format": { "type": "json_schema", "schema": schema } });
        }
        Wire::Chat => {
            let format = json!({ "name": "answer", "schema": schema, "strict": true });
            body["response_format"] = json!({ "type": "json_schema", "json_schema": format });
        }
        Wire::Responses => {
            body["text"] = json!({ "format": { "type": "json_schema", "name": "answer", "schema": schema, "strict": true } });
        }
        Wire::Gemini => {
            body["generationConfig"] =
                json!({ "responseMimeType": "application/json", "responseJsonSchema": schema });
        }
    }
    body
}

/// A schema that every wire takes.
pub fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "verdict": { "type": "string", "enum": ["good", "bad"] },
            "reasons": { "type": "array", "items": { "type": "string" } },
        },
        "required": ["verdict", "reasons"],
        "additionalProperties": false,
    })
}

/// Asks with the right key over a connection of its own.
pub fn ask(provider: &FakeProvider, wire: Wire, stream: bool, body: &Value) -> Answer {
    ask_over(&mut Client::connect(provider.address()), wire, stream, body)
}

/// Asks with the right key.
pub fn ask_over(client: &mut Client, wire: Wire, stream: bool, body: &Value) -> Answer {
    let headers = headers(wire, "sk-fake");
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.send("POST", &target(wire, stream), &headers, body.to_string().as_bytes())
}

/// The text of a reply, streamed or whole.
pub fn said(wire: Wire, stream: bool, answer: &Answer) -> String {
    let list = if stream { answer.events() } else { vec![answer.json()] };
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let pointers: &[&str] = match (wire, stream) {
        (Wire::Anthropic, true) => &["/delta/text"],
        (Wire::Anthropic, false) => &["/content/0/text"],
        (Wire::Chat, true) => &["/choices/0/delta/content"],
        (Wire::Chat, false) => &["/choices/0/message/content"],
        (Wire::Responses, true) => &["/delta"],
        (Wire::Responses, false) => &["/output/0/content/0/text"],
        (Wire::Gemini, _) => &["/candidates/0/content/parts/0/text"],
    };
    list.iter()
        .flat_map(|value| pointers.iter().filter_map(move |pointer| text(value, pointer)))
        .collect()
}

/// The usage that a reply tells, as (prompt, cached, output), streamed or whole.
pub fn usage(wire: Wire, stream: bool, answer: &Answer) -> Option<(u64, u64, u64)> {
    let list = if stream { answer.events() } else { vec![answer.json()] };
    let found = list.iter().rev().find_map(|value| {
        let response = if value["response"].is_object() { &value["response"] } else { value };
        let key = if wire == Wire::Gemini { "usageMetadata" } else { "usage" };
        response[key].is_object().then(|| response[key].clone())
    })?;
    let number = |pointer: &str| found.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    Some(match wire {
        Wire::Anthropic => {
            let cached = number("/cache_read_input_tokens");
            let prompt = number("/input_tokens") + cached + number("/cache_creation_input_tokens");
            (prompt, cached, number("/output_tokens"))
        }
        Wire::Chat => (
            number("/prompt_tokens"),
            number("/prompt_tokens_details/cached_tokens"),
            number("/completion_tokens"),
        ),
        Wire::Responses => (
            number("/input_tokens"),
            number("/input_tokens_details/cached_tokens"),
            number("/output_tokens"),
        ),
        Wire::Gemini => (
            number("/promptTokenCount"),
            number("/cachedContentTokenCount"),
            number("/candidatesTokenCount") + number("/thoughtsTokenCount"),
        ),
    })
}
