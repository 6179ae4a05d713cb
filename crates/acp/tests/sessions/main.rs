//! Attempts at tasks by agents: those on the official libraries, and hostile ones.

mod hostile;
mod libraries;
mod support;
