//! What whoever writes does beside writing: signs of life for its runs, and a look for requests.

use crate::commit::{Batch, Committer};
use crate::control;
use crate::error::Error;
use crate::lease::{CheckFailure, check};
use loopwright_types::Micros;
use std::time::Duration;

/// How often requests are looked for. A look that finds nothing new reads one number in shared memory.
const LOOK: Micros = Micros(200_000);

/// When what was done last.
#[derive(Default)]
pub(crate) struct Watch {
    looked: Micros,
    beaten: Micros,
    /// What SQLite counts up when another connection commits.
    version: Option<i64>,
    now: bool,
}

impl Watch {
    /// Requests may be there that no other connection has made.
    pub fn look_now(&mut self) {
        self.now = true;
    }

    /// A lease was written just now and is the only one.
    pub fn beats_from(&mut self, now: Micros) {
        self.beaten = now;
    }
}

/// A clock that was set back makes everything due.
fn is_due(last: Micros, now: Micros, every: Micros) -> bool {
    now < last || now.since(last) >= every
}

impl Committer {
    /// How long whoever writes may sleep when nothing comes; for ever when it records no run.
    pub fn pause(&self) -> Option<Duration> {
        let every = LOOK.min(self.options.heartbeat());
        self.has_live_runs().then(|| Duration::from_micros(every.0.max(1000)))
    }

    pub fn has_live_runs(&self) -> bool {
        !self.has_failed() && self.runs.values().any(|live| live.failure.is_none())
    }

    /// Does what is due. Costs a look at the clock when nothing is.
    pub fn tend(&mut self) {
        if !self.has_live_runs() {
            return;
        }
        let now = self.options.now();
        if is_due(self.watch.beaten, now, self.options.heartbeat()) {
            self.beat(now);
        }
        if self.watch.now || is_due(self.watch.looked, now, LOOK) {
            self.watch.looked = now;
            if let Err(error) = self.look() {
                self.give_up_unless_locked(error, Batch::default());
            }
        }
    }

    /// Renews the leases of all runs; while another process holds the database, soon again.
    fn beat(&mut self, now: Micros) {
        let mut batch = Batch::default();
        match self.renew(&mut batch).and_then(|()| self.commit(&batch)) {
            Ok(()) => self.watch.beaten = now,
            Err(error) => self.give_up_unless_locked(error, batch),
        }
    }

    fn renew(&mut self, batch: &mut Batch) -> Result<(), Error> {
        self.begin(Duration::ZERO, batch)?;
        let handles: Vec<u64> = self.runs.keys().copied().collect();
        for handle in handles {
            let live = &self.runs[&handle];
            if live.failure.is_some() {
                continue;
            }
            match check(&self.database, &live.stored, live.epoch) {
                Ok(()) => self
                    .lease(live.epoch)
                    .store(&self.database, live.stored.number)
                    .map_err(|error| self.fault(&error))?,
                Err(CheckFailure::Lost(error)) => {
                    self.runs.get_mut(&handle).expect("it was there").fail(&error);
                }
                Err(CheckFailure::Sqlite(error)) => return Err(self.fault(&error)),
            }
        }
        Ok(())
    }

    /// A lock that somebody holds is tried again; everything else ends the store.
    fn give_up_unless_locked(&mut self, error: Error, batch: Batch) {
        if !matches!(error, Error::Locked { .. }) {
            self.fail(error, batch);
        } else if batch.begun {
            let _ = self.database.execute_batch("ROLLBACK");
        }
    }

    /// Hands new requests to the runs they are for.
    fn look(&mut self) -> Result<(), Error> {
        let version = "PRAGMA data_version";
        let version: i64 = self
            .database
            .prepare_cached(version)
            .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
            .map_err(|error| self.fault(&error))?;
        if !self.watch.now && self.watch.version == Some(version) {
            return Ok(());
        }
        let requests = control::all(&self.database).map_err(|error| self.fault(&error));
        let requests = match requests {
            // Nobody can be asked anything then, which `Store::requests` says; the runs go on.
            Err(error) if error.is_damage() => Vec::new(),
            other => other?,
        };
        (self.watch.version, self.watch.now) = (Some(version), false);
        for (number, request) in requests {
            // One that is damaged stays where it is: `Store::requests` names it.
            let Ok(request) = request else { continue };
            let ours = self.runs.values_mut().find(|live| {
                live.stored.number == number && live.failure.is_none() && live.listener.is_some()
            });
            if let Some(live) = ours
                && live.delivered.insert(request.number)
                && let Some(listener) = &mut live.listener
            {
                listener(request);
            }
        }
        Ok(())
    }
}
