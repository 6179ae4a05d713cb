//! Attempts at tasks by agents: those on the official libraries, and hostile ones.

mod host;
mod hostile;
mod libraries;
mod support;
