//! The library people embed: engine, journal and drivers wired into a local runtime.
