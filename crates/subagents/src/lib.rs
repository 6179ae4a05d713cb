//! Subagent definitions and the drivers that serve tasks.
