//! The real prelude on the real guest, end to end: only that they fit; the prelude's own tests say what it does.

mod common;
use common::*;

#[test]
fn the_prelude_makes_calls_and_gets_their_answers() {
    let mut guest = started(real(), "return await agent('hello')");
    let output = guest.turn(&Default::default()).unwrap();
    println!("{:?}", output.records.iter().map(text).collect::<Vec<_>>());
    assert_eq!(output.pending, 1);
}
