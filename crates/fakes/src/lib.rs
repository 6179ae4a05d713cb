//! A fake model provider for tests: speaks the wire formats, injects faults, keeps its own books
