//! The row that sums a run up: derived from its entries, kept in the same transaction as they are.

use crate::error::Error;
use loopwright_protocol::{Entry, Outcome, RunFinish, RunStart, SettleEntry};
use loopwright_types::{CallId, Digest, Micros, RunId, RunStatus, Usage};
use rusqlite::Row;

/// Characters of a result or an error that the list of runs shows.
const PREVIEW_CHARACTERS_MAX: usize = 200;

/// A run as the list of runs shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// How it stands, as its entries say.
    pub status: RunStatus,
    /// Whether it is recorded as running and the process that ran it is gone.
    pub interrupted: bool,
    /// The program's file name as the author wrote it.
    pub program: String,
    /// When it began.
    pub created: Micros,
    /// When it ended or began to wait.
    pub ended: Option<Micros>,
    /// Subagent tasks called.
    pub tasks: u32,
    /// Subagent tasks that gave an answer of their own, not a fallback value; once the run has ended, what
    /// its last entry says.
    pub done: u32,
    /// Subagent tasks that ended without one.
    pub failed: u32,
    /// What its tasks used; once it has ended, what all its calls used.
    pub usage: Usage,
    /// The beginning of the result's JSON text.
    pub result: Option<String>,
    /// The beginning of the error's message.
    pub error: Option<String>,
    /// Durable entries.
    pub entries: u64,
    /// The hash chain after the last of them.
    pub head: Digest,
}

/// A run's row with what only the journal needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number in this journal, from 1.
    pub number: u64,
    /// The number of the run before it; 0 for none.
    pub previous: u64,
    /// The lock of the process that records it.
    pub owner: Option<String>,
    /// The rest.
    pub row: RunRow,
}

/// The columns of [`Stored::read`], in its order.
pub(crate) const COLUMNS: &str = "number, previous, id, program, owner, status, created, ended, tasks, \
    done, failed, input_tokens, output_tokens, usd_micros, result, error, entries, head, checksum";

impl Stored {
    /// A run that begins.
    pub fn begin(number: u64, previous: u64, owner: &str, start: &RunStart) -> Self {
        let row = RunRow {
            id: start.run.clone(),
            status: RunStatus::Running,
            interrupted: false,
            program: start.program.name.clone(),
            created: start.now,
            ended: None,
            tasks: 0,
            done: 0,
            failed: 0,
            usage: Usage::default(),
            result: None,
            error: None,
            entries: 0,
            head: crate::record::chain_start(&start.run),
        };
        Self { number, previous, owner: Some(owner.to_owned()), row }
    }

    /// Covers every column, so that no figure of a damaged row is ever shown.
    pub fn checksum(&self) -> i64 {
        let mut hasher = crc32fast::Hasher::new();
        let mut text = |text: Option<&str>| {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(text.unwrap_or_default().as_bytes());
        };
        let row = &self.row;
        text(Some(row.id.as_str()));
        text(Some(&row.program));
        text(self.owner.as_deref());
        text(Some(row.status.as_str()));
        text(row.result.as_deref());
        text(row.error.as_deref());
        let ended = row.ended.map_or((0, 0), |at| (1, at.0));
        let counts = [row.tasks, row.done, row.failed].map(u64::from);
        let usage = [row.usage.input_tokens, row.usage.output_tokens, row.usage.usd_micros];
        let numbers = [self.number, self.previous, row.created.0, ended.0, ended.1, row.entries];
        for number in numbers.into_iter().chain(counts).chain(usage) {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&row.head.0);
        i64::from(hasher.finalize())
    }

    /// Reads the columns and checks them.
    ///
    /// # Errors
    /// [`Error::DamagedList`] when the row is not as it was written.
    pub fn read(found: &Row<'_>) -> Result<Self, Error> {
        let number = found.get::<_, i64>(0).unwrap_or_default().cast_unsigned();
        let damaged = |what: String| Error::DamagedList { number, what };
        let (stored, sum) = columns(found).map_err(|error| damaged(error.to_string()))?;
        if stored.checksum() != sum {
            return Err(damaged("its row does not match its checksum".to_owned()));
        }
        Ok(stored)
    }
}

fn columns(found: &Row<'_>) -> rusqlite::Result<(Stored, i64)> {
    let wrong = |column: usize| rusqlite::Error::IntegralValueOutOfRange(column, 0);
    let big = |column| found.get::<_, i64>(column).map(i64::cast_unsigned);
    let text = |column| found.get::<_, Option<String>>(column);
    let head: [u8; 32] = found.get(17)?;
    let row = RunRow {
        id: RunId::parse(&found.get::<_, String>(2)?).ok_or_else(|| wrong(2))?,
        status: status(&found.get::<_, String>(5)?).ok_or_else(|| wrong(5))?,
        interrupted: false,
        program: found.get(3)?,
        created: Micros(big(6)?),
        ended: found.get::<_, Option<i64>>(7)?.map(|at| Micros(at.cast_unsigned())),
        tasks: found.get(8)?,
        done: found.get(9)?,
        failed: found.get(10)?,
        usage: Usage {
            input_tokens: big(11)?,
            output_tokens: big(12)?,
            usd_micros: big(13)?,
            ..Usage::default()
        },
        result: text(14)?,
        error: text(15)?,
        entries: big(16)?,
        head: Digest(head),
    };
    Ok((Stored { number: big(0)?, previous: big(1)?, owner: text(4)?, row }, found.get(18)?))
}

fn status(word: &str) -> Option<RunStatus> {
    use RunStatus::{Cancelled, Complete, Degraded, Failed, Parked, Running};
    let all = [Running, Complete, Degraded, Failed, Parked, Cancelled];
    all.into_iter().find(|status| status.as_str() == word)
}

/// The checksum of the one row of `list`.
pub(crate) fn list_checksum(newest: u64, next: u64) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&newest.to_le_bytes());
    hasher.update(&next.to_le_bytes());
    i64::from(hasher.finalize())
}

/// What deriving the row needs to remember of a run: which of its calls run subagents.
#[derive(Default)]
pub(crate) struct Tasks {
    /// One bit a call, by the call's number.
    bits: Vec<u64>,
}

impl Tasks {
    fn insert(&mut self, call: CallId) {
        let at = call.0 as usize / 64;
        if self.bits.len() <= at {
            self.bits.resize(at + 1, 0);
        }
        self.bits[at] |= 1 << (call.0 % 64);
    }

    /// Takes the call out: a call is settled once.
    fn take(&mut self, call: CallId) -> bool {
        let Some(word) = self.bits.get_mut(call.0 as usize / 64) else { return false };
        let bit = 1 << (call.0 % 64);
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    /// Brings the row up to date with one more entry.
    pub fn apply(&mut self, stored: &mut Stored, entry: &Entry) {
        match entry {
            Entry::Called(called) if called.kind.is_task() => {
                self.insert(called.call);
                stored.row.tasks = stored.row.tasks.saturating_add(1);
            }
            Entry::Settled(settled) if self.take(settled.call) => settle(&mut stored.row, settled),
            Entry::RunFinished(finish) => {
                stored.owner = None;
                end(&mut stored.row, finish);
            }
            _ => {}
        }
    }
}

fn settle(row: &mut RunRow, settled: &SettleEntry) {
    let answered = matches!(settled.outcome, Outcome::Done(_)) && !settled.fallback;
    let count = if answered { &mut row.done } else { &mut row.failed };
    *count = count.saturating_add(1);
    row.usage.add(settled.usage);
}

fn end(row: &mut RunRow, finish: &RunFinish) {
    row.status = finish.status;
    row.ended = Some(finish.now);
    row.tasks = finish.tasks;
    row.done = finish.done;
    row.failed = row.failed.min(finish.tasks.saturating_sub(finish.done));
    row.usage = finish.usage;
    row.result = finish.result.as_ref().map(|result| preview(result.text()));
    row.error = finish.error.as_ref().map(|error| preview(&error.message));
}

/// The text's first characters; `…` shows where it was cut.
fn preview(text: &str) -> String {
    match text.char_indices().nth(PREVIEW_CHARACTERS_MAX) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_cut_between_characters() {
        assert_eq!(preview("é"), "é");
        let long = "é".repeat(PREVIEW_CHARACTERS_MAX + 1);
        assert_eq!(preview(&long), format!("{}…", "é".repeat(PREVIEW_CHARACTERS_MAX)));
    }

    #[test]
    fn every_status_reads_back_from_its_word() {
        for word in ["running", "complete", "degraded", "failed", "parked", "cancelled"] {
            assert_eq!(status(word).map(RunStatus::as_str), Some(word));
        }
        assert_eq!(status("done"), None);
    }
}
