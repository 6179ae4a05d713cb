//! The long search: `cargo run --release -p loopwright-crash -- [--crashes N] [--first SEED]`.

fn main() {}
