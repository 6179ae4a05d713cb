//! A sandboxed QuickJS guest in WebAssembly: commands out, completions in, snapshots.
