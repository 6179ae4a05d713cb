//! The drivers as the engine uses them: dispatch, reports, cancel, shutdown.

mod acp;
mod host;
mod mock;
mod processes;
mod support;
