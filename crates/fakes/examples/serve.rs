//! Serves a fake provider until its standard input ends, then prints its books:
//! `cargo run -p loopwright-fakes --example serve -- [LATENCY_MS]`. The key is `sk-fake`.

use loopwright_fakes::{Answers, FakeProvider, Latency, Options};
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

fn main() {
    let latency = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let provider = FakeProvider::start(Options {
        script: Arc::new(Answers::seeded(1)),
        latency: Latency { first_byte: Duration::from_millis(latency), ..Latency::default() },
        ..Options::default()
    });
    println!("{}", provider.root());
    let mut input = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut input);
    println!("{:#?}", provider.report());
}
