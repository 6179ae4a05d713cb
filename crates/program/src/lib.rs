//! Source text to a runnable program: parse, strip types, meta, imports, code frames.
