//! Each bug of `crates/types/src/bug.rs`, switched on: the search must find it.

fn main() {}
