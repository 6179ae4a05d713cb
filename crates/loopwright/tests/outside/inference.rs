//! A real inference server, llama.cpp's, with a model of random weights: what it says means nothing, how it says it is
//! what servers of this kind do.

use crate::scene::{Scene, value};
use crate::server::{Server, installed};
use loopwright::protocol::{CallKind, Entry};
use loopwright::types::{Code, RunStatus};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

fn llama(test: &str) -> Option<Server> {
    let python = installed(test, "INFERENCE")?.join("venv/bin/python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/llama.py");
    let command = |port: u16| {
        let mut command = Command::new(&python);
        command.arg(&script).arg(port.to_string());
        command
    };
    Some(Server::start(command, "/health"))
}

/// Wires that it speaks. It speaks Anthropic's too, but leaves `message_start` out of replies that begin with half a
/// character, as random bytes do: such a stream is refused.
const SPOKEN: [&str; 2] = ["openai-responses", "openai-chat"];

/// The model ends by itself after some dozen tokens; its weights and its draws have fixed seeds.
fn scene(server: &Server, output_tokens_max: &str) -> Scene {
    let port = server.port;
    let mut scene = Scene::new(|wire| {
        let path = if wire.starts_with("openai") { "/v1" } else { "" };
        format!("http://127.0.0.1:{port}{path}")
    });
    let definition = "---\nname: plain\ndescription: has no tools\ntools: []\n---\nSpeak.\n";
    scene.bench = scene.bench.file(".loopwright/agents/plain.md", definition);
    scene.set("model.output_tokens_max", output_tokens_max)
}

fn program(model: &str, more: &str) -> String {
    format!(
        "const [end] = await settle([() => task({{ description: 'say something', subagentType: 'plain', \
         model: '{model}', {more} }})]); \
         [end.status, end.error?.code ?? null, typeof (end.value ?? end.receipt.salvage?.text)]"
    )
}

#[test]
fn a_model_of_random_weights_streams_to_its_end_and_its_tokens_are_counted_on_every_wire_it_speaks()
{
    let test = "a_model_of_random_weights_streams_to_its_end_and_its_tokens_are_counted_on_every_wire_it_speaks";
    let Some(server) = llama(test) else { return };
    for wire in SPOKEN {
        let model = format!("on-{wire}:random");
        let ran = scene(&server, "4096").run(&program(&model, ""));
        assert_eq!(value(&ran), json!(["done", null, "string"]), "{wire}");
        assert_eq!(ran.report.status, RunStatus::Complete, "{wire}");
        let usage = ran.report.usage;
        println!("{wire}: {usage:?}");
        assert!(usage.input_tokens > 100 && usage.output_tokens > 0, "{wire}: {usage:?}");
        assert_eq!(usage.estimated_tokens, 0, "{wire}: it tells them");
    }
}

#[test]
fn a_reply_that_reached_its_limit_is_half_a_reply_and_kept_as_such() {
    let test = "a_reply_that_reached_its_limit_is_half_a_reply_and_kept_as_such";
    let Some(server) = llama(test) else { return };
    // On Responses this server calls such a reply completed, so nobody can know.
    let ran = scene(&server, "3").run(&program("on-openai-chat:random", ""));
    let code = Code::REPLY_LENGTH.to_string();
    assert_eq!(value(&ran), json!(["failed", code, "string"]));
    assert_eq!(ran.report.usage.output_tokens, 3);
}

#[test]
fn a_structured_answer_is_asked_for_again_and_given_up_with_what_was_said() {
    let test = "a_structured_answer_is_asked_for_again_and_given_up_with_what_was_said";
    let Some(server) = llama(test) else { return };
    let table = "[models.structured]\n\"on-openai-chat:random\" = \"prompt\"\n";
    let schema = "responseSchema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }";
    let ran = scene(&server, "4096").table(table).run(&program("on-openai-chat:random", schema));
    let code = Code::ANSWER_INVALID.to_string();
    assert_eq!(value(&ran), json!(["failed", code, "string"]));
    let asked = ran.entries.iter();
    let asked =
        asked.filter(|entry| matches!(entry, Entry::Stepped(it) if it.kind == CallKind::Model));
    assert_eq!(asked.count(), 3, "asked for again twice");
}

/// A proxy that breaks off every reply of a model after so many bytes and lets counts through. Its port.
fn breaking(server: u16, after: u64) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || pass(client, server, after));
        }
    });
    port
}

fn pass(mut client: TcpStream, server: u16, after: u64) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let begin = head.len();
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
        if let Some(value) = head[begin..].to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let most = if head.contains("/input_tokens") { u64::MAX } else { after };
    let mut server = TcpStream::connect(("127.0.0.1", server)).ok()?;
    server.write_all(head.replacen("\r\n", "\r\nconnection: close\r\n", 1).as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    std::io::copy(&mut server.take(most), &mut client).ok()?;
    Some(())
}

#[test]
fn the_input_of_a_reply_that_broke_off_is_counted_by_the_server_as_it_is_told_with_a_whole_one() {
    let test = "the_input_of_a_reply_that_broke_off_is_counted_by_the_server_as_it_is_told_with_a_whole_one";
    let Some(server) = llama(test) else { return };
    let port = breaking(server.port, 2_000);
    for wire in SPOKEN {
        let table = format!(
            "[providers.broken]\nwire = \"{wire}\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n"
        );
        let scene = scene(&server, "4096").table(&table).set("provider.retries", "0");
        let whole = scene.run(&program(&format!("on-{wire}:random"), "")).report.usage;
        let ran = scene.run(&program("broken:random", ""));
        let code = Code::REPLY_CUT.to_string();
        assert_eq!(value(&ran).as_array().unwrap()[..2], [json!("failed"), json!(code)], "{wire}");
        let broken = ran.report.usage;
        println!("{wire}: whole {whole:?}, broken {broken:?}");
        assert_eq!(broken.input_tokens, whole.input_tokens, "{wire}");
        assert_eq!(broken.estimated_tokens, broken.tokens(), "{wire}");
    }
}
