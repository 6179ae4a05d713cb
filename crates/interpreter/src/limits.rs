//! What one guest may use.

use loopwright_types::Settings;
use std::time::Duration;

/// Ticks of gas that count as one millisecond of `guest.cpu_ms`. A tick is a thousand steps (calls, loop turns, allocations)
/// inside the guest, the same on every machine; this is what a typical one does in a millisecond.
pub const GAS_PER_MS: u64 = 30;

/// Linear memory beyond the heap limit: the image, the shadow stack and fragmentation.
const OVERHEAD_BYTES: u64 = 24 << 20;

/// Limits of one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Heap in bytes, the prelude and everything that is waiting to be read included.
    pub memory_bytes: u64,
    /// Size of one JSON value in bytes.
    pub value_bytes: u32,
    /// Nesting depth of one JSON value.
    pub value_depth: u32,
    /// Members and elements of one JSON value.
    pub value_keys: u32,
    /// Bytes written in one turn, each record counting 96 more; never more than a quarter of the heap, because
    /// the host has to hold it as well.
    pub output_bytes: u32,
    /// Wall-clock time after which a turn is stopped from outside.
    pub safety: Duration,
}

impl Default for Limits {
    /// The defaults of the `guest.*` settings.
    fn default() -> Self {
        Self::from_settings(&Settings::default())
    }
}

impl Limits {
    /// The limits that the `guest.*` settings ask for.
    pub fn from_settings(settings: &Settings) -> Self {
        let number = |name| u32::try_from(settings.integer(name)).unwrap_or(u32::MAX);
        Self {
            memory_bytes: settings.integer("guest.memory_mb") << 20,
            value_bytes: number("guest.value_bytes_max"),
            value_depth: number("guest.value_depth_max"),
            value_keys: number("guest.value_keys_max"),
            output_bytes: number("guest.output_bytes_max"),
            safety: Duration::from_millis(settings.integer("guest.safety_ms")),
        }
    }

    /// The heap limit as the guest counts it.
    pub(crate) fn heap(&self) -> u32 {
        // The guest adds a reserve for its last error; leave room below 4 GiB.
        u32::try_from(self.memory_bytes).unwrap_or(u32::MAX).clamp(1 << 20, u32::MAX - (64 << 20))
    }

    /// The output limit as the guest counts it.
    pub(crate) fn output(&self) -> u32 {
        self.output_bytes.min(self.heap() / 4)
    }

    /// The largest linear memory.
    pub(crate) fn linear_memory(&self) -> usize {
        let bytes = (u64::from(self.heap()) + OVERHEAD_BYTES).min(u64::from(u32::MAX));
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}
