//! The row that sums a run up: derived from its entries, kept in the same transaction as they are.

use crate::ends::checksum;
use crate::error::Error;
use crate::record::{self, Content};
use loopwright_protocol::{Entry, Outcome, RunFinish, RunStart, SettleEntry};
use loopwright_types::{CallId, Digest, Micros, RunId, RunStatus, Usage};
use rusqlite::{Connection, Row, params};

/// Characters of a result or an error that the list of runs shows.
const PREVIEW_CHARACTERS_MAX: usize = 200;

/// A run as the list of runs shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// How it stands, as its entries say.
    pub status: RunStatus,
    /// Whether it is recorded as running and no process records it.
    pub interrupted: bool,
    /// Whether a process holds the run's lease now; also one that waits.
    pub live: bool,
    /// The process that holds it, where it is live.
    pub owner: Option<RunOwner>,
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
    /// What its tasks used; once it has ended, what all its calls used. What of it is estimated is not in the list.
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

/// A process that records runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOwner {
    /// Its id, on the machine and in the container where it runs.
    pub pid: u32,
    /// When it opened the journal.
    pub since: Micros,
}

impl RunOwner {
    /// What the name says that its leases carry.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let pid = parts.next()?.parse().ok()?;
        let nanos = u128::from_str_radix(parts.next()?, 16).ok()?;
        Some(Self { pid, since: Micros(u64::try_from(nanos / 1000).ok()?) })
    }
}

/// A run's row with what only the journal needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number in this journal, from 1.
    pub number: u64,
    /// The number of the run before it; 0 for none.
    pub previous: u64,
    /// The rest.
    pub row: RunRow,
}

/// The columns of [`Stored::read`], in its order.
pub(crate) const COLUMNS: &str = "number, previous, link, id, program, status, created, ended, tasks, \
    done, failed, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, usd_micros, \
    result, error, entries, head, checksum";

impl Stored {
    /// A run that begins.
    pub fn begin(number: u64, previous: u64, start: &RunStart) -> Self {
        let begun = Self::imported(&start.run, &start.program.name, start.now);
        Self { number, previous, ..begun }
    }

    /// A run without entries that has no place in the list yet.
    pub fn imported(run: &RunId, program: &str, created: Micros) -> Self {
        let row = RunRow {
            id: run.clone(),
            status: RunStatus::Running,
            interrupted: false,
            live: false,
            owner: None,
            program: program.to_owned(),
            created,
            ended: None,
            tasks: 0,
            done: 0,
            failed: 0,
            usage: Usage::default(),
            result: None,
            error: None,
            entries: 0,
            head: record::chain_start(run),
        };
        Self { number: 0, previous: 0, row }
    }

    /// A run that goes on: what its end said holds no more.
    pub fn go_on(&mut self) {
        let row = &mut self.row;
        (row.status, row.ended) = (RunStatus::Running, None);
        (row.result, row.error) = (None, None);
    }

    /// Adds a record behind the last one; inside a transaction. The row itself is not written.
    pub fn add(&mut self, database: &Connection, content: &Content<'_>) -> rusqlite::Result<()> {
        let row = &mut self.row;
        row.head = content.chain(&row.head, row.entries);
        content.insert(database, record::row_number(self.number, row.entries), &row.head)?;
        row.entries += 1;
        Ok(())
    }

    /// Adds the row; inside a transaction.
    pub fn insert(&self, database: &Connection) -> rusqlite::Result<()> {
        let insert = format!(
            "INSERT INTO runs({COLUMNS}) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, 0, 0, 0, 0, 0, 0, 0, 0, \
             NULL, NULL, 0, x'', 0)"
        );
        let row = &self.row;
        database.prepare_cached(&insert)?.execute(params![
            self.number.cast_signed(),
            self.previous.cast_signed(),
            self.link(),
            row.id.as_str(),
            row.program,
            row.status.as_str(),
            row.created.0.cast_signed(),
        ])?;
        self.update(database)
    }

    /// Brings the row up to date; what never changes is left alone.
    pub fn update(&self, database: &Connection) -> rusqlite::Result<()> {
        let update = "UPDATE runs SET status = ?2, ended = ?3, tasks = ?4, done = ?5, failed = ?6, \
            input_tokens = ?7, output_tokens = ?8, cache_read_tokens = ?9, cache_write_tokens = ?10, \
            usd_micros = ?11, result = ?12, error = ?13, entries = ?14, head = ?15, checksum = ?16 \
            WHERE number = ?1";
        let row = &self.row;
        let updated = database.prepare_cached(update)?.execute(params![
            self.number.cast_signed(),
            row.status.as_str(),
            row.ended.map(|at| at.0.cast_signed()),
            row.tasks,
            row.done,
            row.failed,
            row.usage.input_tokens.cast_signed(),
            row.usage.output_tokens.cast_signed(),
            row.usage.cache_read_tokens.cast_signed(),
            row.usage.cache_write_tokens.cast_signed(),
            row.usage.usd_micros.cast_signed(),
            row.result,
            row.error,
            row.entries.cast_signed(),
            row.head.0.as_slice(),
            self.checksum(),
        ])?;
        if updated == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(updated)) }
    }

    /// The checksum of the link to the run before it.
    pub fn link(&self) -> i64 {
        checksum(&[self.number, self.previous])
    }

    /// Covers every other column, so that no figure of a damaged row is ever shown.
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
        text(Some(row.status.as_str()));
        text(row.result.as_deref());
        text(row.error.as_deref());
        let ended = row.ended.map_or((0, 0), |at| (1, at.0));
        let counts = [row.tasks, row.done, row.failed].map(u64::from);
        let Usage {
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            usd_micros,
            estimated_tokens: _, // the list has no column for it
        } = row.usage;
        let usage =
            [input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, usd_micros];
        let numbers = [self.number, row.created.0, ended.0, ended.1, row.entries];
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
        let (stored, sums) = columns(found).map_err(|error| damaged(error.to_string()))?;
        if [stored.link(), stored.checksum()] != sums {
            return Err(damaged("its row does not match its checksum".to_owned()));
        }
        Ok(stored)
    }
}

fn columns(found: &Row<'_>) -> rusqlite::Result<(Stored, [i64; 2])> {
    let wrong = |column: usize| rusqlite::Error::IntegralValueOutOfRange(column, 0);
    let big = |column| found.get::<_, i64>(column).map(i64::cast_unsigned);
    let text = |column| found.get::<_, Option<String>>(column);
    let head: [u8; 32] = found.get(19)?;
    let row = RunRow {
        id: RunId::parse(&found.get::<_, String>(3)?).ok_or_else(|| wrong(3))?,
        status: status(&found.get::<_, String>(5)?).ok_or_else(|| wrong(5))?,
        interrupted: false,
        live: false,
        owner: None,
        program: found.get(4)?,
        created: Micros(big(6)?),
        ended: found.get::<_, Option<i64>>(7)?.map(|at| Micros(at.cast_unsigned())),
        tasks: found.get(8)?,
        done: found.get(9)?,
        failed: found.get(10)?,
        usage: Usage {
            input_tokens: big(11)?,
            output_tokens: big(12)?,
            cache_read_tokens: big(13)?,
            cache_write_tokens: big(14)?,
            usd_micros: big(15)?,
            estimated_tokens: 0,
        },
        result: text(16)?,
        error: text(17)?,
        entries: big(18)?,
        head: Digest(head),
    };
    Ok((Stored { number: big(0)?, previous: big(1)?, row }, [found.get(2)?, found.get(20)?]))
}

fn status(word: &str) -> Option<RunStatus> {
    use RunStatus::{Cancelled, Complete, Degraded, Failed, Parked, Paused, Running};
    let all = [Running, Complete, Degraded, Failed, Parked, Paused, Cancelled];
    all.into_iter().find(|status| status.as_str() == word)
}

/// What deriving the row needs to remember of a run: which of its calls run subagents and are not settled.
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

    /// Brings the row up to date with one more entry; returns what the entry's column `task` says.
    pub fn apply(&mut self, stored: &mut Stored, entry: &Entry) -> Option<i64> {
        match entry {
            Entry::Called(called) if called.kind.is_task() => {
                self.insert(called.call);
                stored.row.tasks = stored.row.tasks.saturating_add(1);
                Some(i64::from(called.call.0) + 1)
            }
            Entry::Settled(settled) if self.take(settled.call) => {
                settle(&mut stored.row, settled);
                Some(-i64::from(settled.call.0) - 1)
            }
            Entry::Resumed(_) => {
                stored.go_on();
                None
            }
            Entry::RunFinished(finish) => {
                end(&mut stored.row, finish);
                None
            }
            _ => None,
        }
    }

    /// The tasks of a recorded run that are not settled, without reading its entries.
    pub fn of(database: &Connection, run: u64) -> rusqlite::Result<Self> {
        let query = "SELECT task FROM entries WHERE row >= ?1 AND row < ?2 AND task IS NOT NULL \
                     ORDER BY row";
        let mut tasks = Self::default();
        let mut statement = database.prepare_cached(query)?;
        let mut rows =
            statement.query([record::row_number(run, 0), record::row_number(run + 1, 0)])?;
        while let Some(row) = rows.next()? {
            let task: i64 = row.get(0)?;
            let call = u32::try_from(task.unsigned_abs().saturating_sub(1));
            let call = CallId(call.map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, task))?);
            if task > 0 {
                tasks.insert(call);
            } else {
                tasks.take(call);
            }
        }
        Ok(tasks)
    }
}

fn settle(row: &mut RunRow, settled: &SettleEntry) {
    let answered = matches!(settled.outcome, Outcome::Done(_)) && !settled.fallback;
    let count = if answered { &mut row.done } else { &mut row.failed };
    *count = count.saturating_add(1);
    row.usage.add(Usage { estimated_tokens: 0, ..settled.usage });
}

fn end(row: &mut RunRow, finish: &RunFinish) {
    row.status = finish.status;
    row.ended = Some(finish.now);
    row.tasks = finish.tasks;
    row.done = finish.done;
    row.failed = row.failed.min(finish.tasks.saturating_sub(finish.done));
    row.usage = Usage { estimated_tokens: 0, ..finish.usage };
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
        for word in ["running", "complete", "degraded", "failed", "parked", "paused", "cancelled"] {
            assert_eq!(status(word).map(RunStatus::as_str), Some(word));
        }
        assert_eq!(status("done"), None);
    }
}
