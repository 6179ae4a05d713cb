//! What every kind of entry has: a name, mostly a time, a serialised form.

use super::Entry;
use loopwright_types::Micros;

impl Entry {
    /// The entry's kind as one word, for indexes and filters.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RunStarted(_) => "run_started",
            Self::GuestStarted { .. } => "guest_started",
            Self::Turn(_) => "turn",
            Self::Called(_) => "called",
            Self::AttemptStarted(_) => "attempt_started",
            Self::Stepped(_) => "stepped",
            Self::ProviderDown { .. } => "provider_down",
            Self::ProviderUp { .. } => "provider_up",
            Self::Dispatched { .. } => "dispatched",
            Self::Progressed { .. } => "progressed",
            Self::AttemptEnded(_) => "attempt_ended",
            Self::Settled(_) => "settled",
            Self::Logged(_) => "logged",
            Self::Phase { .. } => "phase",
            Self::ScopeCancelled { .. } => "scope_cancelled",
            Self::Dropped { .. } => "dropped",
            Self::Coverage { .. } => "coverage",
            Self::Unhandled { .. } => "unhandled",
            Self::GuestEnded { .. } => "guest_ended",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::PauseRequested { .. } => "pause_requested",
            Self::RunFinished(_) => "run_finished",
            Self::GuestStopped { .. } => "guest_stopped",
            Self::Resumed(_) => "resumed",
            Self::Decided(_) => "decided",
        }
    }

    /// When it was written, where it says so.
    pub fn time(&self) -> Option<Micros> {
        Some(match self {
            Self::RunStarted(start) => start.now,
            Self::Turn(turn) => turn.now,
            Self::Called(call) => call.now,
            Self::Stepped(step) => step.now,
            Self::AttemptStarted(start) => start.now,
            Self::AttemptEnded(end) => end.now,
            Self::Settled(settled) => settled.now,
            Self::Logged(log) => log.now,
            Self::RunFinished(finish) => finish.now,
            Self::Resumed(resumed) => resumed.now,
            Self::Decided(decided) => decided.now,
            Self::ProviderDown { now, .. }
            | Self::ProviderUp { now, .. }
            | Self::Dispatched { now, .. }
            | Self::Progressed { now, .. }
            | Self::ScopeCancelled { now, .. }
            | Self::GuestStopped { now, .. }
            | Self::CancelRequested { now }
            | Self::PauseRequested { now } => *now,
            Self::GuestStarted { .. }
            | Self::Phase { .. }
            | Self::Dropped { .. }
            | Self::Coverage { .. }
            | Self::Unhandled { .. }
            | Self::GuestEnded { .. } => return None,
        })
    }

    /// The serialised form.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("entries hold no maps with keys that are not text")
    }

    /// Reads the serialised form of this version.
    ///
    /// # Errors
    /// When the bytes are not an entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
