//! The two statements that the writer thread runs all the time, prepared once.

use crate::record;
use crate::run::Stored;
use loopwright_types::Digest;
use rusqlite::{Connection, Statement, params};

/// Prepared on the connection that writes.
pub(crate) struct Statements<'a> {
    insert_entry: Statement<'a>,
    update_run: Statement<'a>,
}

impl<'a> Statements<'a> {
    pub fn prepare(database: &'a Connection) -> rusqlite::Result<Self> {
        let insert_entry = "INSERT INTO entries(row, version, checksum, chain, body) \
            VALUES(?1, ?2, ?3, ?4, ?5)";
        let update_run = "UPDATE runs SET owner = ?2, status = ?3, ended = ?4, tasks = ?5, done = ?6, \
            failed = ?7, input_tokens = ?8, output_tokens = ?9, usd_micros = ?10, result = ?11, \
            error = ?12, entries = ?13, head = ?14, checksum = ?15 WHERE number = ?1";
        Ok(Self {
            insert_entry: database.prepare(insert_entry)?,
            update_run: database.prepare(update_run)?,
        })
    }

    /// Adds one record.
    pub fn insert_entry(
        &mut self,
        row: i64,
        version: u16,
        chain: &Digest,
        body: &[u8],
    ) -> rusqlite::Result<()> {
        let text = rusqlite::types::ToSqlOutput::Borrowed(rusqlite::types::ValueRef::Text(body));
        let sum = record::checksum(row, version, body);
        self.insert_entry.execute(params![row, version, sum, chain.0.as_slice(), text]).map(drop)
    }

    /// Brings a run's row up to date; what never changes is left alone.
    pub fn update(&mut self, stored: &Stored) -> rusqlite::Result<()> {
        let row = &stored.row;
        let updated = self.update_run.execute(params![
            stored.number.cast_signed(),
            stored.owner,
            row.status.as_str(),
            row.ended.map(|at| at.0.cast_signed()),
            row.tasks,
            row.done,
            row.failed,
            row.usage.input_tokens.cast_signed(),
            row.usage.output_tokens.cast_signed(),
            row.usage.usd_micros.cast_signed(),
            row.result,
            row.error,
            row.entries.cast_signed(),
            row.head.0.as_slice(),
            stored.checksum(),
        ])?;
        if updated == 1 { Ok(()) } else { Err(rusqlite::Error::StatementChangedRows(updated)) }
    }
}
