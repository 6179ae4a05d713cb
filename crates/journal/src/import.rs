//! A file that holds a run, back into a journal: everything is checked before anything can be seen.

use crate::blob::{self, Ref};
use crate::commit::WAIT_LONG;
use crate::error::Error;
use crate::export::Head;
use crate::frame::{FrameReader, Kind, file_error};
use crate::lease::{self, CheckFailure, Lease};
use crate::list::{self, List};
use crate::owner::Owner;
use crate::reader::{self, Verified};
use crate::record::{self, Content};
use crate::run::{Stored, Tasks};
use crate::store::Store;
use loopwright_protocol::Entry;
use loopwright_types::{Bug, Digest, RunId};
use rusqlite::Connection;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a piece that is written in one transaction.
const PIECE_BYTES: usize = 4 << 20;

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The run.
    pub run: RunId,
    /// How many entries it has and what its chain ends with.
    pub verified: Verified,
    /// Whether the same run was there already and nothing was done.
    pub existed: bool,
}

/// One thing in the file, checked.
enum Item<'a> {
    Value(Digest, &'a [u8]),
    Entry { version: u16, refs: &'a [u8], body: &'a [u8], entry: Entry },
}

/// Gives each entry of an exported run, in order, without a journal. All of the file is checked; the entries before
/// damage are given before the error.
///
/// # Errors
/// When the file is damaged, of a newer version or cannot be read.
pub fn read_export(path: &Path, mut visit: impl FnMut(Entry)) -> Result<Verified, Error> {
    let head = scan(path, |_, item| {
        if let Item::Entry { entry, .. } = item {
            visit(entry);
        }
        Ok(())
    })?;
    Ok(Verified { count: head.entries, head: head.head })
}

/// Goes through the file and checks all of it; returns its first and last frame's content.
fn scan(
    path: &Path,
    mut visit: impl FnMut(&Head, Item<'_>) -> Result<(), Error>,
) -> Result<Head, Error> {
    let open = || File::open(path).map_err(|error| file_error(path, &error));
    let mut reader = FrameReader::new(BufReader::with_capacity(1 << 16, open()?), path)?;
    let mut values = Values { file: open()?, places: HashMap::new() };
    let (kind, payload) = reader.frame()?;
    let head = (kind == Kind::Run).then(|| serde_json::from_slice(&payload).ok()).flatten();
    let head: Head = head.ok_or_else(|| reader.damaged("it does not begin with a run"))?;
    if RunId::parse(head.run.as_str()).is_none() {
        return Err(reader.damaged("its run has no proper id"));
    }
    let (mut count, mut chain) = (0, record::chain_start(&head.run));
    loop {
        let (kind, payload) = reader.frame()?;
        match kind {
            Kind::Run => return Err(reader.damaged("it has more than one run")),
            Kind::Value => {
                let digest = Digest::of(&payload);
                values.places.insert(digest, reader.at() - payload.len() as u64);
                visit(&head, Item::Value(digest, &payload))?;
            }
            Kind::Entry => {
                let (version, refs, body) =
                    split(&payload).ok_or_else(|| reader.damaged("an entry is cut short"))?;
                reader::check_version(&head.run, count, version)?;
                let content = Content { version, task: None, refs, body };
                chain = content.chain(&chain, count);
                let whole = values.whole_body(&content);
                let entry = whole.and_then(|body| Entry::decode(&body).ok());
                let entry = entry
                    .ok_or_else(|| reader.damaged(&format!("record {count} cannot be read")))?;
                visit(&head, Item::Entry { version, refs, body, entry })?;
                count += 1;
            }
            Kind::End => {
                reader.end(&payload, count, &chain)?;
                if (count, chain) != (head.entries, head.head) {
                    return Err(reader.damaged("its end does not fit its beginning"));
                }
                return Ok(head);
            }
        }
    }
}

fn split(payload: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (version, rest) = payload.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (refs, body) = rest.split_at_checked(length)?;
    Some((u16::from_le_bytes(*version), refs, body))
}

/// The large values of the file, which are not kept in memory.
struct Values {
    file: File,
    /// Where each begins.
    places: HashMap<Digest, u64>,
}

impl Values {
    fn whole_body<'a>(&self, content: &Content<'a>) -> Option<Cow<'a, [u8]>> {
        if content.refs.is_empty() {
            return Some(Cow::Borrowed(content.body));
        }
        let refs = Ref::read_all(content.refs)?;
        let value = |reference: &Ref| {
            let place = self.places.get(&reference.digest).ok_or(())?;
            let known = reference.length <= blob::VALUE_BYTES_MAX;
            let mut bytes = vec![0; if known { reference.length as usize } else { return Err(()) }];
            self.file.read_exact_at(&mut bytes, *place).map_err(drop)?;
            if Digest::of(&bytes) == reference.digest { Ok(bytes) } else { Err(()) }
        };
        blob::unpack(content.body, &refs, value, || ()).ok().map(Cow::Owned)
    }
}

impl Store {
    /// Adds the run that a file holds. The whole file is read and checked first, and nothing of the run can
    /// be seen before all of it is durable. The same run again, with the same entries, changes nothing.
    ///
    /// # Errors
    /// When the file is damaged, of a newer version or cannot be read; [`Error::RunExists`] when there is
    /// such a run with other entries; when the store only reads or cannot be written.
    pub fn import(&self, path: &Path) -> Result<Imported, Error> {
        if self.only_reads() {
            return Err(Error::OpenedToRead);
        }
        let head = scan(path, |_, _| Ok(()))?;
        let verified = Verified { count: head.entries, head: head.head };
        let imported = |existed| Imported { run: head.run.clone(), verified, existed };
        if self.has_same(&head)? {
            return Ok(imported(true));
        }
        let place = &self.0.place;
        let database = self.0.options.open(place)?;
        let owner = match place.is_on_disk() {
            true => Owner::take(&place.directory)?,
            false => Owner::named(&self.0.options),
        };
        let mut piece = Piece::begin(self, &database, &owner, &head)?;
        let written = scan(path, |again, item| {
            if (again.entries, again.head) != (head.entries, head.head) {
                let (path, what) = (path.to_owned(), "it changes while it is read".to_owned());
                return Err(Error::ExportDamaged { path, at: 0, what });
            }
            piece.add(item)
        });
        let number = piece.stored.number;
        match written.and_then(|_| piece.publish()) {
            Ok(()) => Ok(imported(false)),
            Err(error) => {
                let _ = database.execute_batch("ROLLBACK");
                // What is left is out of sight; the next `prune` finds it if this cannot.
                let _ = self.sweep(number);
                Err(error)
            }
        }
    }

    /// Whether this very run is there.
    fn has_same(&self, head: &Head) -> Result<bool, Error> {
        match self.head(&head.run) {
            Ok(found) if (found.count, found.head) == (head.entries, head.head) => Ok(true),
            Ok(_) => Err(Error::RunExists { run: head.run.clone() }),
            Err(Error::RunUnknown { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A run that is being imported: its entries are under a number that the list does not know yet. A lease
/// on the number keeps others from taking it for what an interrupted import has left.
struct Piece<'a> {
    store: &'a Store,
    database: &'a Connection,
    owner: &'a Owner,
    stored: Stored,
    tasks: Tasks,
    bytes: usize,
}

impl<'a> Piece<'a> {
    fn begin(
        store: &'a Store,
        database: &'a Connection,
        owner: &'a Owner,
        head: &Head,
    ) -> Result<Self, Error> {
        let stored = Stored::imported(&head.run, &head.program, head.created);
        let tasks = Tasks::default();
        let mut piece = Self { store, database, owner, stored, tasks, bytes: 0 };
        piece.begin_transaction()?;
        piece.stored.number = piece.list().next_number()?;
        piece.renew()?;
        if Bug::ListImportEarly.is_on() {
            piece.stored.previous = piece.list().ends()?.newest;
            piece.list().link(&piece.stored)?;
        }
        piece.commit()?;
        piece.begin_transaction()?;
        Ok(piece)
    }

    fn list(&self) -> List<'a> {
        List { database: self.database, place: &self.store.0.place }
    }

    fn fail(&self, error: &rusqlite::Error) -> Error {
        Error::from_sqlite(&self.store.0.place.directory, error)
    }

    fn begin_transaction(&self) -> Result<(), Error> {
        list::begin(self.database, WAIT_LONG).map_err(|error| self.fail(&error))
    }

    fn commit(&self) -> Result<(), Error> {
        self.database.execute_batch("COMMIT").map_err(|error| self.fail(&error))
    }

    fn renew(&self) -> Result<(), Error> {
        let options = &self.store.0.options;
        Lease::new(self.owner.name(), 1, options.now(), options.lease)
            .store(self.database, self.stored.number)
            .map_err(|error| self.fail(&error))
    }

    /// Whether nobody has swept the number meanwhile.
    fn check(&self) -> Result<(), Error> {
        lease::check(self.database, &self.stored, 1).map_err(|failure| match failure {
            CheckFailure::Lost(error) => error,
            CheckFailure::Sqlite(error) => self.fail(&error),
        })
    }

    fn add(&mut self, item: Item<'_>) -> Result<(), Error> {
        if self.bytes >= PIECE_BYTES {
            self.check()?;
            self.renew()?;
            self.commit()?;
            self.bytes = 0;
            self.begin_transaction()?;
        }
        match item {
            Item::Value(digest, value) => {
                self.bytes += value.len();
                blob::store(self.database, self.stored.number, &digest, value)
                    .map_err(|error| self.fail(&error))
            }
            Item::Entry { version, refs, body, entry } => {
                self.bytes += body.len() + 64;
                let task = self.tasks.apply(&mut self.stored, &entry);
                let content = Content { version, task, refs, body };
                self.stored.add(self.database, &content).map_err(|error| self.fail(&error))
            }
        }
    }

    /// Makes the run visible, if there is none of its id by now.
    fn publish(mut self) -> Result<(), Error> {
        self.check()?;
        let list = self.list();
        if Bug::ListImportEarly.is_on() {
            self.stored.update(self.database).map_err(|error| self.fail(&error))?;
            return self.commit();
        }
        if list.by_index(&self.stored.row.id)?.is_some() {
            return Err(Error::RunExists { run: self.stored.row.id.clone() });
        }
        self.stored.previous = list.ends()?.newest;
        list.link(&self.stored)?;
        let options = &self.store.0.options;
        let lease = Lease::new(self.owner.name(), 1, options.now(), options.lease);
        Lease { owner: None, ..lease }
            .store(self.database, self.stored.number)
            .map_err(|error| self.fail(&error))?;
        self.commit()
    }
}
