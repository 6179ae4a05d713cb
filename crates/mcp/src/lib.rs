//! Client of MCP servers
