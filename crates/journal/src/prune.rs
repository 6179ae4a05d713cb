//! Deleting runs that nobody needs any more, by rules.

use crate::error::Error;
use crate::lease::Found;
use crate::list::Listed;
use crate::reader::Reader;
use crate::store::Store;
use crate::sweep;
use loopwright_types::{Bug, Micros, RunId, RunStatus};

/// Which runs go. The default deletes every run that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prune {
    /// Only runs that ended, or where they have not ended began, longer ago than this.
    pub older_than: Option<Micros>,
    /// The newest runs stay, whatever they are.
    pub keep_last: usize,
    /// Only runs that stand so; none is every one that has ended: complete, degraded, failed, cancelled.
    /// `running` means runs that were interrupted.
    pub statuses: Vec<RunStatus>,
    /// Also runs that are parked, paused or being recorded, if the rules above name them.
    pub force: bool,
    /// Only says what would be done.
    pub dry_run: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Deleted runs, newest first.
    pub deleted: Vec<RunId>,
    /// Entries that they had.
    pub entries: u64,
    /// Runs that the rules name and that stay because they are parked, paused or being recorded.
    pub spared: Vec<RunId>,
    /// What is damaged in the list of runs; damaged runs stay.
    pub damage: Vec<Error>,
    /// Deletions and imports that had been interrupted and were cleared away.
    pub leftovers: usize,
}

impl Prune {
    fn names(&self, listed: &Listed, now: Micros) -> bool {
        use RunStatus::{Cancelled, Complete, Degraded, Failed};
        let row = &listed.stored.row;
        let status = match self.statuses.as_slice() {
            [] => [Complete, Degraded, Failed, Cancelled].contains(&row.status),
            some => some.contains(&row.status),
        };
        let since = row.ended.unwrap_or(row.created);
        status && self.older_than.is_none_or(|age| since.after(age) <= now)
    }
}

impl Store {
    /// Deletes runs by rules, and clears away what interrupted deletions and imports have left. The room is
    /// used again; the file does not shrink.
    ///
    /// # Errors
    /// When the store only reads, or the journal cannot be read or written.
    pub fn prune(&self, rules: &Prune) -> Result<Pruned, Error> {
        if self.only_reads() {
            return Err(Error::OpenedToRead);
        }
        let now = self.0.options.now();
        let mut named = Vec::new();
        let mut seen = 0;
        let damage = self.walk(|listed| {
            seen += 1;
            if seen > rules.keep_last && rules.names(&listed, now) {
                named.push(listed);
            }
            true
        })?;
        let mut pruned = Pruned { damage, ..Pruned::default() };
        for listed in named {
            let row = &listed.stored.row;
            let live = match &listed.lease {
                Found::Lease(lease) => self.0.owners.is_held(lease, now),
                Found::Damaged => true,
                Found::Missing => false,
            };
            if !rules.force && (live || row.status.waits()) {
                pruned.spared.push(row.id.clone());
                continue;
            }
            if !rules.dry_run {
                match self.remove(&row.id, rules.force) {
                    Ok(()) => {}
                    // It was resumed a moment ago.
                    Err(Error::RunLive { run }) => {
                        pruned.spared.push(run);
                        continue;
                    }
                    // Somebody else was faster.
                    Err(Error::RunUnknown { .. }) => continue,
                    Err(error) => return Err(error),
                }
            }
            pruned.entries += row.entries;
            pruned.deleted.push(row.id.clone());
        }
        if !rules.dry_run {
            pruned.leftovers = self.sweep_leftovers()?;
        }
        Ok(pruned)
    }

    fn sweep_leftovers(&self) -> Result<usize, Error> {
        let Some(reader) = Reader::borrow(&self.0)? else { return Ok(0) };
        let now = self.0.options.now();
        let left = sweep::leftovers(reader.database(), |lease| self.0.owners.is_held(lease, now))
            .map_err(|error| Error::from_sqlite(&self.0.place.directory, &error))?;
        if Bug::KeepLeftovers.is_on() {
            return Ok(0);
        }
        left.iter().try_for_each(|number| self.sweep(*number))?;
        Ok(left.len())
    }
}
