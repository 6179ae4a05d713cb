//! What each message changes, inside the transaction that is open.

use crate::blob;
use crate::commit::{Answer, Batch, Committer, Live, WAIT_LONG, WAIT_SHORT};
use crate::control::{self, Control, Receipt};
use crate::ends::Ends;
use crate::error::Error;
use crate::lease::{Found, Lease};
use crate::list::{Listed, is_over};
use crate::record::{self, Content};
use crate::run::{Stored, Tasks};
use crate::sweep;
use crate::tail::Tail;
use crate::writer::{Begun, Message, Reply, ResumeHow, Synced};
use loopwright_protocol::{Entry, FORMAT_VERSION, RunStart};
use loopwright_types::{Bug, RunId};
use rusqlite::OptionalExtension;
use std::collections::BTreeSet;

/// An answer that is known once the transaction is durable.
fn later<T: Send + 'static>(reply: Reply<T>, value: T) -> Answer {
    Box::new(move |durable| drop(reply.send(durable.map(|()| value))))
}

impl Committer {
    pub fn stage(&mut self, message: Message, batch: &mut Batch) -> Result<(), Error> {
        match message {
            Message::Create { start, synced, reply } => self.create(&start, synced, reply, batch),
            Message::Resume { run, how, synced, reply } => {
                self.resume(&run, how, synced, reply, batch)
            }
            Message::Append { handle, entries } => self.append(handle, &entries, batch),
            Message::Close { handle, reply } => self.close(handle, reply, batch),
            Message::Listen { handle, listener } => {
                if let Some(live) = self.runs.get_mut(&handle) {
                    live.listener = Some(listener);
                    self.watch.look_now();
                }
                Ok(())
            }
            Message::Acknowledge { handle, number } => self.acknowledge(handle, number, batch),
            Message::Request { run, control, reply } => self.request(&run, &control, reply, batch),
            Message::Delete { run, force, reply } => self.delete(&run, force, reply, batch),
            Message::Sweep { number, reply } => self.sweep(number, reply, batch),
        }
    }

    fn append(&mut self, handle: u64, entries: &[Entry], batch: &mut Batch) -> Result<(), Error> {
        if !self.hold(handle, batch)? {
            return Ok(());
        }
        let live = self.runs.get_mut(&handle).expect("it holds its lease");
        let place = &self.place;
        let fault = |error| Error::from_sqlite(&place.directory, &error);
        let mut entries = entries.to_vec();
        if Bug::ReverseBatch.is_on() {
            entries.reverse();
        }
        for (at, entry) in entries.iter().enumerate() {
            if live.stored.row.entries == record::PLACES_MAX {
                let cause = format!("run `{}` has too many entries", live.stored.row.id);
                return Err(Error::Failed { path: place.directory.clone(), cause });
            }
            let body = entry.encode();
            batch.bytes += body.len();
            let task = live.tasks.apply(&mut live.stored, entry);
            let packed = blob::pack(&body, self.options.inline_bytes_max);
            let mut content = Content { version: FORMAT_VERSION, task, refs: &[], body: &body };
            if Bug::DropLastOfBatch.is_on() && at > 0 && at + 1 == entries.len() {
                live.stored.row.entries += 1;
                continue;
            }
            if let Some(packed) = packed.as_ref().filter(|_| Bug::BlobAfterRow.is_on()) {
                let content = Content { refs: &packed.refs, body: &packed.body, ..content };
                live.stored.add(&self.database, &content).map_err(fault)?;
                live.stored.update(&self.database).map_err(fault)?;
                self.database.execute_batch("COMMIT; BEGIN IMMEDIATE").map_err(fault)?;
            }
            if let Some(packed) = &packed {
                for (digest, value) in &packed.values {
                    let number = live.stored.number;
                    blob::store(&self.database, number, digest, value).map_err(fault)?;
                }
                content = Content { refs: &packed.refs, body: &packed.body, ..content };
            }
            if packed.is_none() || !Bug::BlobAfterRow.is_on() {
                live.stored.add(&self.database, &content).map_err(fault)?;
            }
        }
        if Bug::ReportEarly.is_on() {
            (live.synced)(Ok(live.stored.row.entries));
        }
        batch.entries += entries.len();
        batch.touched.insert(handle, true);
        Ok(())
    }

    fn create(
        &mut self,
        start: &RunStart,
        synced: Synced,
        reply: Reply<Begun>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let staged = self.begin(WAIT_SHORT, batch).and_then(|()| self.list().insert(start));
        match staged {
            Ok(stored) => self.begin_run(stored, Tasks::default(), 1, synced, reply, batch),
            // These concern this run alone, and nothing was written for it.
            Err(error @ (Error::Locked { .. } | Error::RunExists { .. })) => {
                let _ = reply.send(Err(error));
                Ok(())
            }
            Err(error) => {
                let _ = reply.send(Err(error.clone()));
                Err(error)
            }
        }
    }

    fn resume(
        &mut self,
        run: &RunId,
        how: ResumeHow,
        synced: Synced,
        reply: Reply<Begun>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let planned =
            self.begin(WAIT_SHORT, batch).and_then(|()| self.plan_resume(run, how, &batch.closed));
        match planned {
            Ok((mut stored, tasks, epoch)) => {
                stored.go_on();
                self.begin_run(stored, tasks, epoch, synced, reply, batch)
            }
            // Nothing was written for it.
            Err(error) => {
                let _ = reply.send(Err(error));
                Ok(())
            }
        }
    }

    /// Looks whether this store may go on with the run; changes nothing.
    fn plan_resume(
        &self,
        run: &RunId,
        how: ResumeHow,
        closed: &[u64],
    ) -> Result<(Stored, Tasks, u64), Error> {
        let Listed { stored, lease } = self.list().by_id(run)?;
        let ours = |(handle, live): (&u64, &Live)| {
            let open = live.failure.is_none() && !closed.contains(handle);
            open && live.stored.number == stored.number
        };
        if self.runs.iter().any(ours) {
            return Err(Error::RunLive { run: run.clone() });
        }
        if is_over(stored.row.status) && how != ResumeHow::Ended {
            return Err(Error::RunEnded { run: run.clone(), status: stored.row.status });
        }
        let epoch = match &lease {
            Found::Lease(lease) if self.owners.is_held(lease, self.options.now()) => {
                return Err(Error::RunLive { run: run.clone() });
            }
            Found::Lease(lease) => lease.epoch + u64::from(!Bug::KeepEpoch.is_on()),
            Found::Damaged | Found::Missing => 0,
        };
        if let Some(damage) = lease.damage(&stored) {
            return Err(damage);
        }
        self.check_end(&stored)?;
        let row = &stored.row;
        // Counting again is only needed where a task may still be settled.
        let tasks = if row.tasks > row.done.saturating_add(row.failed) || is_over(row.status) {
            Tasks::of(&self.database, stored.number).map_err(|error| self.fault(&error))?
        } else {
            Tasks::default()
        };
        Ok((stored, tasks, epoch))
    }

    /// Whether the run's entries end where its row says, with the link that its row says.
    fn check_end(&self, stored: &Stored) -> Result<(), Error> {
        let query = "SELECT row, chain FROM entries WHERE row >= ?1 AND row < ?2 \
                     ORDER BY row DESC LIMIT 1";
        let number = stored.number;
        let last: Option<(i64, [u8; 32])> = self
            .database
            .query_row(
                query,
                [record::row_number(number, 0), record::row_number(number + 1, 0)],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(|error| self.fault(&error))?;
        let (run, entries) = (&stored.row.id, stored.row.entries);
        let (have, head) = match last {
            None => (0, record::chain_start(run).0),
            Some((row, chain)) => (record::place_of(row) + 1, chain),
        };
        if Bug::SkipEnd.is_on() || (have == entries && head == stored.row.head.0) {
            return Ok(());
        }
        let (first, last, what) = match have {
            _ if have < entries => (have, entries - 1, "missing"),
            _ if have > entries => (entries, have - 1, "not counted in the run's row"),
            _ => {
                let last = entries.saturating_sub(1);
                (last, last, "it is not the one that the run's row was written with")
            }
        };
        Err(Error::Damaged { run: run.clone(), first, last, what: what.to_owned() })
    }

    fn begin_run(
        &mut self,
        stored: Stored,
        tasks: Tasks,
        epoch: u64,
        synced: Synced,
        reply: Reply<Begun>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let leased = self.lease(epoch).store(&self.database, stored.number);
        if let Err(error) = leased {
            let error = self.fault(&error);
            let _ = reply.send(Err(error.clone()));
            return Err(error);
        }
        if !self.has_live_runs() {
            self.watch.beats_from(self.options.now());
        }
        let handle = self.next_handle;
        self.next_handle += 1;
        let begun = Begun { handle, entries: stored.row.entries, epoch };
        let (listener, delivered, failure) = (None, BTreeSet::new(), None);
        let live = Live { stored, epoch, tasks, synced, listener, delivered, failure };
        self.runs.insert(handle, live);
        batch.begun_runs.push(handle);
        // Its lease was written just now; its row counts as a change to be marked.
        batch.touched.insert(handle, false);
        batch.answers.push(later(reply, begun));
        Ok(())
    }

    fn close(
        &mut self,
        handle: u64,
        reply: Option<Reply<()>>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        batch.closed.push(handle);
        if self.hold(handle, batch)? {
            let live = self.runs.get(&handle).expect("it holds its lease");
            // The run goes back: anybody may resume it at once. The epoch stays.
            let lease = Lease { owner: None, ..self.lease(live.epoch) };
            let stored = lease
                .store(&self.database, live.stored.number)
                .and_then(|()| live.stored.update(&self.database));
            stored.map_err(|error| self.fault(&error))?;
        }
        let failure = self.runs.get(&handle).and_then(|live| live.failure.clone());
        match (reply, failure) {
            (Some(reply), Some(error)) => drop(reply.send(Err(error))),
            (Some(reply), None) => batch.answers.push(later(reply, ())),
            (None, _) => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, handle: u64, number: u64, batch: &mut Batch) -> Result<(), Error> {
        if !self.hold(handle, batch)? {
            return Ok(());
        }
        let live = self.runs.get_mut(&handle).expect("it holds its lease");
        live.delivered.remove(&number);
        let (run, list) = (live.stored.number, self.list());
        let removed = control::remove(&self.database, run, number);
        if removed.map_err(|error| self.fault(&error))? {
            let ends = list.ends()?;
            let ends = Ends { waiting: ends.waiting.saturating_sub(1), ..ends };
            ends.write(&self.database).map_err(|error| self.fault(&error))?;
            if Bug::AcknowledgeEarly.is_on() {
                let apart = self.database.execute_batch("COMMIT; BEGIN IMMEDIATE");
                apart.map_err(|error| self.fault(&error))?;
            }
        }
        Ok(())
    }

    fn request(
        &mut self,
        run: &RunId,
        control: &Control,
        reply: Reply<Receipt>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let found = self.begin(WAIT_SHORT, batch).and_then(|()| self.list().by_id(run));
        let found = found.and_then(|Listed { stored, lease }| match stored.row.status {
            status if is_over(status) => Err(Error::RunEnded { run: run.clone(), status }),
            _ => Ok((stored.number, lease, self.list().ends()?)),
        });
        let (run, lease, ends) = match found {
            Ok(found) => found,
            Err(error) => {
                let _ = reply.send(Err(error));
                return Ok(());
            }
        };
        let now = self.options.now();
        let live = matches!(&lease, Found::Lease(lease) if self.owners.is_held(lease, now));
        let ends = Ends { asked: ends.asked + 1, waiting: ends.waiting + 1, ..ends };
        let number = ends.asked;
        control::insert(&self.database, number, run, now, control)
            .and_then(|()| ends.write(&self.database))
            .map_err(|error| self.fault(&error))?;
        // Our own changes do not show in the number that tells of those of others.
        self.watch.look_now();
        if Bug::RequestEarly.is_on() {
            let _ = reply.send(Ok(Receipt { number, live }));
            return Ok(());
        }
        batch.answers.push(later(reply, Receipt { number, live }));
        Ok(())
    }

    fn delete(
        &mut self,
        run: &RunId,
        force: bool,
        reply: Reply<u64>,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let now = self.options.now();
        let unlinked = self
            .begin(WAIT_SHORT, batch)
            .and_then(|()| self.list().unlink(run, force, |lease| self.owners.is_held(lease, now)));
        match unlinked {
            Ok(number) => {
                batch.answers.push(later(reply, number));
                self.clear_mark(run);
                for (handle, live) in &mut self.runs {
                    if live.stored.number == number {
                        let (run, epoch) = (run.clone(), live.epoch);
                        live.fail(&Error::Fenced { run, epoch, found: None });
                        batch.touched.remove(handle);
                    }
                }
                Ok(())
            }
            Err(error) => {
                let changed = !matches!(
                    error,
                    Error::RunLive { .. } | Error::RunUnknown { .. } | Error::Locked { .. }
                ) && !error.is_damage();
                let _ = reply.send(Err(error.clone()));
                if changed { Err(error) } else { Ok(()) }
            }
        }
    }

    /// A mark that vouches for the run would be ahead of the database from now on.
    fn clear_mark(&self, run: &RunId) {
        if let Some(tail) = &self.tail
            && !matches!(Tail::read(&self.place.directory), Ok(Some(mark)) if mark.run != *run)
        {
            tail.clear();
        }
    }

    fn sweep(&mut self, number: u64, reply: Reply<bool>, batch: &mut Batch) -> Result<(), Error> {
        self.begin(WAIT_LONG, batch)?;
        let swept = sweep::sweep(&self.database, number);
        let done = swept.map_err(|error| self.fault(&error))?;
        batch.answers.push(later(reply, done));
        // Room for others' entries in between.
        batch.entries += sweep::ENTRIES_MAX;
        Ok(())
    }
}
