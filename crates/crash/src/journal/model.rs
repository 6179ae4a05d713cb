//! What the journal has reported, and what a crash leaves open.

use loopwright_journal::{Control, Error, Store, Verified};
use loopwright_protocol::Entry;
use loopwright_types::RunId;
use std::collections::BTreeMap;

/// One run as its writers know it.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// Everything appended.
    pub entries: Vec<Entry>,
    /// How much of it was reported durable.
    pub durable: u64,
    /// The last epoch given out.
    pub epoch: u64,
    /// Epochs that may have been given out since, nobody knows.
    pub epochs_open: u64,
    /// Its count and head when they were last asked for.
    pub kept: Option<Verified>,
    /// Requests reported durable and not acknowledged, by number.
    pub requests: BTreeMap<u64, Control>,
    /// What is under way and may or may not have happened.
    pub open: Option<Open>,
    /// How many runs were listed before it.
    pub age: u64,
}

/// An operation whose end was never told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Open {
    /// The run is being made or imported.
    Create,
    /// The run is being deleted.
    Delete,
    /// It changes hands.
    Resume,
    /// Something is asked of it.
    Request(Control),
    /// Entries were appended, and this request acknowledged with them.
    Append { acknowledged: Option<u64> },
}

/// All runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub runs: BTreeMap<RunId, Run>,
    pub listed: u64,
}

fn demand(kept: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if kept { Ok(()) } else { Err(what()) }
}

impl Model {
    /// Holds the journal against what was reported; what was open is decided by what is there.
    pub fn reconcile(&mut self, store: &Store) -> Result<(), String> {
        let listing = store.list(usize::MAX).map_err(|error| format!("list: {error}"))?;
        demand(listing.damage.is_empty(), || format!("the list is damaged: {:?}", listing.damage))?;
        let mut found: BTreeMap<RunId, usize> = BTreeMap::new();
        for (place, row) in listing.rows.iter().enumerate() {
            found.insert(row.id.clone(), place);
        }
        // Whatever an append of several runs began, it wrote for all of them or for none.
        let mut whole: Option<bool> = None;
        let mut gone = Vec::new();
        for (id, run) in &mut self.runs {
            let Some(place) = found.remove(id) else {
                let may_be_gone = matches!(run.open, Some(Open::Create | Open::Delete));
                demand(may_be_gone, || format!("run `{id}` is gone"))?;
                gone.push(id.clone());
                continue;
            };
            let row = &listing.rows[place];
            let appended = matches!(run.open, Some(Open::Append { .. }));
            let before = run.durable;
            let imported = run.open == Some(Open::Create) && before > 0;
            run.reconcile(id, store)?;
            demand(row.entries == run.durable, || format!("run `{id}`: row and entries differ"))?;
            demand(!imported || run.durable == before, || format!("run `{id}` is listed in part"))?;
            check_counts(id, row, &run.entries)?;
            if appended && run.entries.len() as u64 != before {
                let now = run.durable > before;
                let same = whole.is_none_or(|other| other == now);
                demand(same, || format!("run `{id}`: a commit is there for some runs only"))?;
                whole = Some(now);
            }
        }
        gone.iter().for_each(|id| drop(self.runs.remove(id)));
        demand(found.is_empty(), || format!("runs that nobody made: {found:?}"))?;
        let ages = listing.rows.iter().map(|row| self.runs[&row.id].age);
        let ages: Vec<u64> = ages.collect();
        demand(ages.is_sorted_by(|a, b| a > b), || format!("the list is out of order: {ages:?}"))
    }
}

/// The row's counts are derived from the entries.
fn check_counts(
    id: &RunId,
    row: &loopwright_journal::RunRow,
    entries: &[Entry],
) -> Result<(), String> {
    let mut open = std::collections::BTreeSet::new();
    let (mut tasks, mut done) = (0, 0);
    for entry in entries {
        match entry {
            Entry::Called(call) => {
                open.insert(call.call);
                tasks += 1;
            }
            Entry::Settled(settled) => done += u32::from(open.remove(&settled.call)),
            _ => {}
        }
    }
    demand((row.tasks, row.done) == (tasks, done), || {
        format!("run `{id}`: {} tasks, {} done; should be {tasks}, {done}", row.tasks, row.done)
    })
}

impl Run {
    fn reconcile(&mut self, id: &RunId, store: &Store) -> Result<(), String> {
        let fail = |error: Error| format!("run `{id}`: {error}");
        let mut count = 0;
        for found in store.read(id).map_err(fail)? {
            let (place, entry) = found.map_err(fail)?;
            demand(place == count, || format!("run `{id}`: place {place}, not {count}"))?;
            let same = self.entries.get(count as usize) == Some(&entry);
            demand(same, || format!("run `{id}`: entry {count} is not the one appended"))?;
            count += 1;
        }
        let all = self.entries.len() as u64;
        let (durable, open) = (self.durable, self.open.take());
        let whole = count == durable || (count == all && matches!(open, Some(Open::Append { .. })));
        demand(whole, || {
            format!("run `{id}`: {count} entries, {durable} were reported of {all} ({open:?})")
        })?;
        if let Some(kept) = &self.kept {
            store.verify_against(id, kept).map_err(|error| format!("kept head: {error}"))?;
        }
        let requests: BTreeMap<u64, Control> = store
            .requests(id)
            .map_err(fail)?
            .into_iter()
            .map(|request| (request.number, request.control))
            .collect();
        if let Some(Open::Append { acknowledged: Some(number) }) = open {
            let done = count == all;
            let is_there = requests.contains_key(&number);
            // Taken away with the entries that say what was done about it, or still waiting.
            demand(is_there != done || all == durable, || {
                format!("run `{id}`: request {number} waits: {is_there}; its entries: {done}")
            })?;
            if !is_there {
                self.requests.remove(&number);
            }
        }
        if open == Some(Open::Create) {
            self.epoch = 1;
        }
        self.epochs_open += u64::from(open == Some(Open::Resume));
        if let Some(Open::Request(control)) = open
            && let Some((number, _)) = requests.last_key_value()
        {
            // Either it is there as it was made, or it is not.
            self.requests.entry(*number).or_insert(control);
        }
        demand(requests == self.requests, || {
            format!("run `{id}`: requests {requests:?}, should be {:?}", self.requests)
        })?;
        self.entries.truncate(count as usize);
        self.durable = count;
        Ok(())
    }
}
