//! The loop of a model-backed subagent as a state machine
