//! Driver for agents that speak the Agent Client Protocol
