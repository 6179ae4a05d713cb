//! Git worktrees that isolate subagents
