//! What work cost, what it may touch, and how a run ended.

use serde::{Deserialize, Serialize};

/// Tokens and money that one attempt, call or run used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Input tokens, cached ones included.
    #[serde(alias = "inputTokens", skip_serializing_if = "is_zero")]
    pub input_tokens: u64,
    /// Output tokens.
    #[serde(alias = "outputTokens", skip_serializing_if = "is_zero")]
    pub output_tokens: u64,
    /// Input tokens read from a provider's prompt cache; part of `input_tokens`.
    #[serde(alias = "cacheReadTokens", skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Input tokens written to it; part of `input_tokens`.
    #[serde(alias = "cacheWriteTokens", skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
    /// Money in millionths of a US dollar.
    #[serde(alias = "usdMicros", skip_serializing_if = "is_zero")]
    pub usd_micros: u64,
    /// Input and output tokens that the provider did not tell with its reply: it counted them when asked, or they are
    /// estimated. Part of the others.
    #[serde(alias = "estimatedTokens", skip_serializing_if = "is_zero")]
    pub estimated_tokens: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's calling convention
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Usage {
    /// Adds the other's figures to this one's, saturating.
    pub fn add(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.usd_micros = self.usd_micros.saturating_add(other.usd_micros);
        self.estimated_tokens = self.estimated_tokens.saturating_add(other.estimated_tokens);
    }

    /// What is left of this without the other; `None` where the other has more of anything.
    pub fn less(self, other: Self) -> Option<Self> {
        Some(Self {
            input_tokens: self.input_tokens.checked_sub(other.input_tokens)?,
            output_tokens: self.output_tokens.checked_sub(other.output_tokens)?,
            cache_read_tokens: self.cache_read_tokens.checked_sub(other.cache_read_tokens)?,
            cache_write_tokens: self.cache_write_tokens.checked_sub(other.cache_write_tokens)?,
            usd_micros: self.usd_micros.checked_sub(other.usd_micros)?,
            estimated_tokens: self.estimated_tokens.checked_sub(other.estimated_tokens)?,
        })
    }

    /// Input and output tokens together.
    pub fn tokens(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Whether nothing was used.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// What running a subagent or tool does to the world; decides whether it may be repeated by itself.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Effects {
    /// Nothing outside its answer: may be repeated.
    None,
    /// Changes this machine: never repeated by itself.
    Local,
    /// Reaches others: never repeated by itself. What has no manifest is taken for this.
    #[default]
    External,
}

/// How a run stands or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// Started and, as far as the journal shows, not ended.
    Running,
    /// Every piece of work was done.
    Complete,
    /// There is a result, but some work gave nothing; `failures` says which.
    Degraded,
    /// No result.
    Failed,
    /// Waits for something outside: a raised ceiling, a person.
    Parked,
    /// Stopped for a while on request: what was under way was let finish, nothing new was begun.
    Paused,
    /// Stopped on request.
    Cancelled,
}

impl RunStatus {
    /// The word used in output and in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the run waits for something or somebody and goes on when it is resumed.
    pub fn waits(self) -> bool {
        matches!(self, Self::Parked | Self::Paused)
    }

    /// The command line's exit code for a run that ended this way.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Complete => 0,
            Self::Failed | Self::Running => 1,
            Self::Degraded => 3,
            Self::Parked | Self::Paused => 4,
            Self::Cancelled => 130,
        }
    }
}
