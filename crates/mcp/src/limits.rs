//! The settings `mcp.*` in force.

use loopwright_schema as schema;
use loopwright_types::Settings;
use std::time::Duration;

/// Every limit of this room; each is a setting of the same name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) connect_timeout: Duration,
    pub(crate) probe_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) timeout_total: Duration,
    pub(crate) message_bytes_max: usize,
    pub(crate) result_bytes_max: usize,
    pub(crate) stderr_bytes_max: usize,
    pub(crate) items_max: usize,
    /// For the schemas of results.
    pub(crate) schema: schema::Limits,
}

impl Limits {
    pub(crate) fn of(settings: &Settings) -> Self {
        let millis = |name| Duration::from_millis(settings.integer(name));
        Self {
            connect_timeout: millis("mcp.connect_timeout_ms"),
            probe_timeout: millis("mcp.probe_timeout_ms"),
            timeout: millis("mcp.timeout_ms"),
            timeout_total: millis("mcp.timeout_total_ms"),
            message_bytes_max: settings.count("mcp.message_bytes_max"),
            result_bytes_max: settings.count("mcp.result_bytes_max"),
            stderr_bytes_max: settings.count("mcp.stderr_bytes_max"),
            items_max: settings.count("mcp.tools_max"),
            schema: schema::Limits::from_settings(settings),
        }
    }
}
