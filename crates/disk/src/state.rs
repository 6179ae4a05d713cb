//! Files, handles, and each operation on them. Errors are SQLite's result codes.

use crate::content::Content;
use crate::lock::{Handle, Level, Locks, SlotLocks};
use crate::names::{Names, Node};
use crate::plan::{Crash, Fault, Lie, Operation, Plan};
use crate::random::Random;
use crate::shared::Shared;
use rusqlite::ffi;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::sync::Arc;

/// Files whose first sync also syncs the directory that holds their new name, as SQLite's own VFS does.
const SYNCS_DIRECTORY: c_int =
    ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL;

#[derive(Debug, Default)]
struct File {
    content: Content,
    locks: Locks,
    shared: Option<Arc<Shared>>,
    slots: SlotLocks,
}

#[derive(Debug)]
struct Open {
    node: Node,
    shared: Option<Arc<Shared>>,
    delete_on_close: Option<String>,
    syncs_directory: bool,
    /// Files without a name hold nothing that anybody needs again.
    temporary: bool,
}

/// The disk and the processes' handles on it.
#[derive(Debug)]
pub(crate) struct State {
    pub random: Random,
    /// Microseconds since 1970.
    pub clock: u64,
    pub plan: Plan,
    pub operations: u64,
    /// The plan's crash has come.
    pub dead: bool,
    /// The plan's fault has come.
    pub faulted: bool,
    /// What was done since somebody last took it.
    done: Vec<(Operation, Node)>,
    names: Names,
    files: HashMap<Node, File>,
    open: HashMap<Handle, Open>,
    /// Memory that connections of dead processes still point to.
    ghosts: HashMap<Handle, Arc<Shared>>,
    numbers: u64,
}

impl State {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            clock: 0,
            plan: Plan::default(),
            operations: 0,
            dead: false,
            faulted: false,
            done: Vec::new(),
            names: Names::default(),
            files: HashMap::new(),
            open: HashMap::new(),
            ghosts: HashMap::new(),
            numbers: 0,
        }
    }

    /// What a restart would find if everything that was written were durable.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let content = |node: &Node| self.files[node].content.seen().to_vec();
        self.names.seen().iter().map(|(name, node)| (name.clone(), content(node))).collect()
    }

    /// Another disk in the same drive; handles on the old one are dead.
    pub fn load(&mut self, contents: &BTreeMap<String, Vec<u8>>) {
        self.end_processes();
        self.files.clear();
        let mut names = BTreeMap::new();
        for (name, bytes) in contents {
            let node = self.number();
            let content = Content::of(bytes.clone());
            self.files.insert(node, File { content, ..File::default() });
            names.insert(name.clone(), node);
        }
        self.names = Names::of(names);
    }

    /// Every process ends, and the disk is as a restart finds it.
    pub fn crash(&mut self, how: Crash) {
        self.end_processes();
        let power = how == Crash::Power;
        self.names.crash(power, &mut self.random);
        self.forget_unnamed();
        // In the order of their names: the same seed draws the same.
        for node in self.names.seen().values() {
            if let Some(file) = self.files.get_mut(node) {
                file.content.crash(power, &mut self.random);
            }
        }
    }

    fn end_processes(&mut self) {
        self.plan = Plan { lie: self.plan.lie, ..Plan::default() };
        (self.dead, self.faulted) = (false, false);
        let ended = self.open.drain();
        self.ghosts.extend(ended.filter_map(|(handle, open)| Some((handle, open.shared?))));
        for file in self.files.values_mut() {
            (file.locks, file.slots, file.shared) = Default::default();
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn forget_unnamed(&mut self) {
        let mut used: BTreeSet<Node> = self.open.values().map(|open| open.node).collect();
        used.extend(self.names.all());
        self.files.retain(|node, _| used.contains(node));
    }

    fn handle(&self, handle: Handle) -> Result<&Open, c_int> {
        match self.open.get(&handle) {
            Some(open) if !self.dead => Ok(open),
            _ => Err(ffi::SQLITE_IOERR),
        }
    }

    fn file(&mut self, handle: Handle) -> Result<&mut File, c_int> {
        let node = self.handle(handle)?.node;
        self.files.get_mut(&node).ok_or(ffi::SQLITE_IOERR)
    }

    /// Counts an operation: `Ok(true)` when the crash comes in the middle of it.
    fn count(&mut self, operation: Operation, node: Node) -> Result<bool, c_int> {
        if self.dead {
            return Err(ffi::SQLITE_IOERR);
        }
        self.dead = self.plan.crash_at == Some(self.operations);
        self.operations += 1;
        self.done.push((operation, node));
        Ok(self.dead)
    }

    /// Whether this fault is due now; each comes once.
    fn is_due(&mut self, fault: Fault) -> bool {
        let due = self
            .plan
            .fault
            .is_some_and(|(from, what)| what == fault && self.operations >= from && !self.dead);
        if due {
            self.plan.fault = None;
            self.faulted = true;
        }
        due
    }

    /// The operations since this was last asked, each with its file's name, where that still has one.
    pub fn take_done(&mut self) -> Vec<(Operation, String)> {
        let named = |node| {
            let mut names = self.names.seen().iter();
            names.find(|(_, other)| **other == node).map_or("", |(name, _)| name).to_owned()
        };
        let done = self.done.iter().map(|(operation, node)| (*operation, named(*node))).collect();
        self.done.clear();
        done
    }

    pub fn open(&mut self, name: Option<&str>, flags: c_int) -> Result<Handle, c_int> {
        if self.dead {
            return Err(ffi::SQLITE_IOERR);
        }
        let (node, made) = match name.and_then(|name| self.names.get(name)) {
            Some(_) if flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0 => {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            Some(node) => (node, false),
            None if name.is_some() && flags & ffi::SQLITE_OPEN_CREATE == 0 => {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            None => (self.make(name)?, true),
        };
        let handle = self.number();
        let deleted = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
        let open = Open {
            node,
            shared: None,
            delete_on_close: name.filter(|_| deleted).map(str::to_owned),
            syncs_directory: made && flags & SYNCS_DIRECTORY != 0,
            temporary: name.is_none(),
        };
        self.open.insert(handle, open);
        Ok(handle)
    }

    fn make(&mut self, name: Option<&str>) -> Result<Node, c_int> {
        let node = self.number();
        if let Some(name) = name {
            let crashes = self.count(Operation::Create, node)?;
            if self.is_due(Fault::Name) {
                return Err(ffi::SQLITE_CANTOPEN);
            }
            if !crashes || self.random.one_in(2) {
                self.names.add(name, node);
                self.files.insert(node, File::default());
            }
            if crashes {
                return Err(ffi::SQLITE_IOERR);
            }
        }
        self.files.entry(node).or_default();
        Ok(node)
    }

    pub fn close(&mut self, handle: Handle) {
        self.unmap(handle);
        self.ghosts.remove(&handle);
        let Some(open) = self.open.remove(&handle) else { return };
        if let Some(file) = self.files.get_mut(&open.node) {
            file.locks.lower(handle, Level::None);
        }
        if let Some(name) = open.delete_on_close {
            self.names.remove(&name);
        }
        if !self.dead {
            self.forget_unnamed();
        }
    }

    pub fn delete(&mut self, name: &str, sync: bool) -> Result<(), c_int> {
        let Some(node) = self.names.get(name) else {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        };
        let crashes = self.count(Operation::Delete, node)?;
        if self.is_due(Fault::Name) {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if !crashes || self.random.one_in(2) {
            self.names.remove(name);
        }
        if crashes {
            return Err(ffi::SQLITE_IOERR);
        }
        if sync {
            self.sync_names();
        }
        Ok(())
    }

    pub fn sync_directory(&mut self) -> Result<(), c_int> {
        if self.count(Operation::SyncDirectory, 0)? {
            return Err(ffi::SQLITE_IOERR_DIR_FSYNC);
        }
        self.sync_names();
        Ok(())
    }

    fn sync_names(&mut self) {
        if self.plan.lie != Lie::Directory {
            self.names.sync();
        }
    }

    /// As in SQLite's own VFS a file without a byte does not exist.
    pub fn exists(&self, name: &str) -> Result<bool, c_int> {
        if self.dead {
            return Err(ffi::SQLITE_IOERR_ACCESS);
        }
        let node = self.names.get(name);
        Ok(node.and_then(|node| self.files.get(&node)).is_some_and(|file| file.content.len() > 0))
    }

    /// Says whether all of it was there.
    pub fn read(&mut self, handle: Handle, at: usize, to: &mut [u8]) -> Result<bool, c_int> {
        self.handle(handle)?;
        if self.is_due(Fault::Read) {
            return Err(ffi::SQLITE_IOERR_READ);
        }
        let file = self.file(handle)?;
        Ok(file.content.read(at, to) == to.len())
    }

    pub fn write(&mut self, handle: Handle, at: usize, bytes: &[u8]) -> Result<(), c_int> {
        let open = self.handle(handle)?;
        let node = open.node;
        if open.temporary {
            self.file(handle)?.content.write(at, bytes);
            return Ok(());
        }
        let crashes = self.count(Operation::Write, node)?;
        let full = self.is_due(Fault::Full) || self.has_no_room(node, at + bytes.len());
        let refused = if crashes {
            Some(ffi::SQLITE_IOERR)
        } else if full {
            Some(ffi::SQLITE_FULL)
        } else {
            self.is_due(Fault::Write).then_some(ffi::SQLITE_IOERR_WRITE)
        };
        let cut = match refused {
            None => bytes.len(),
            Some(_) => match self.random.below(3) {
                0 => 0,
                1 => self.random.below(bytes.len() + 1),
                _ => bytes.len() * usize::from(!full),
            },
        };
        if let Some(file) = self.files.get_mut(&node).filter(|_| cut > 0) {
            file.content.write(at, &bytes[..cut]);
        }
        refused.map_or(Ok(()), Err)
    }

    fn has_no_room(&self, node: Node, end: usize) -> bool {
        let Some(capacity) = self.plan.capacity else { return false };
        let grown = end.saturating_sub(self.files[&node].content.len());
        let all: usize = self.files.values().map(|file| file.content.len()).sum();
        grown > 0 && (all + grown) as u64 > capacity
    }

    pub fn truncate(&mut self, handle: Handle, length: usize) -> Result<(), c_int> {
        let open = self.handle(handle)?;
        let node = open.node;
        if open.temporary {
            self.file(handle)?.content.resize(length);
            return Ok(());
        }
        let crashes = self.count(Operation::Truncate, node)?;
        if self.is_due(Fault::Write) {
            return Err(ffi::SQLITE_IOERR_TRUNCATE);
        }
        let happens = !crashes || self.random.one_in(2);
        if let Some(file) = self.files.get_mut(&node).filter(|_| happens) {
            file.content.resize(length);
        }
        if crashes { Err(ffi::SQLITE_IOERR) } else { Ok(()) }
    }

    pub fn sync(&mut self, handle: Handle) -> Result<(), c_int> {
        let open = self.handle(handle)?;
        let node = open.node;
        if open.temporary {
            return Ok(());
        }
        if self.count(Operation::Sync, node)? {
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        let (fails, lie) = (self.is_due(Fault::Sync), self.plan.lie);
        let open = self.open.get_mut(&handle).ok_or(ffi::SQLITE_IOERR)?;
        let directory = open.syncs_directory;
        let file = self.files.get_mut(&node).ok_or(ffi::SQLITE_IOERR)?;
        if fails {
            file.content.sync_badly(&mut self.random);
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        if lie != Lie::Sync {
            file.content.sync();
        }
        if directory {
            open.syncs_directory = false;
            self.sync_names();
        }
        Ok(())
    }

    pub fn length(&mut self, handle: Handle) -> Result<usize, c_int> {
        Ok(self.file(handle)?.content.len())
    }

    pub fn lock(&mut self, handle: Handle, wanted: Level) -> Result<(), c_int> {
        let granted = self.file(handle)?.locks.raise(handle, wanted);
        if granted { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    pub fn unlock(&mut self, handle: Handle, to: Level) -> Result<(), c_int> {
        self.file(handle)?.locks.lower(handle, to);
        Ok(())
    }

    pub fn is_reserved(&mut self, handle: Handle) -> Result<bool, c_int> {
        Ok(self.file(handle)?.locks.is_reserved())
    }

    /// Where a region of the shared memory is; null when it is not there and not to be made.
    pub fn map(
        &mut self,
        handle: Handle,
        region: usize,
        bytes: usize,
        extend: bool,
    ) -> Result<*mut c_void, c_int> {
        let shared = self.file(handle)?.shared.get_or_insert_default().clone();
        let found = shared.region(region, bytes, extend);
        if let Some(open) = self.open.get_mut(&handle) {
            open.shared = Some(shared);
        }
        Ok(found.unwrap_or(std::ptr::null_mut()))
    }

    /// The last one to leave takes the memory with it: whoever comes next makes the index anew from the log.
    pub fn unmap(&mut self, handle: Handle) {
        let Some(open) = self.open.get_mut(&handle) else { return };
        let Some(shared) = open.shared.take() else { return };
        let node = open.node;
        drop(shared);
        let used = self.open.values().any(|other| other.node == node && other.shared.is_some());
        if let Some(file) = self.files.get_mut(&node) {
            file.slots.forget(handle);
            if !used {
                file.shared = None;
            }
        }
    }

    /// Locks or unlocks slots of the shared memory.
    pub fn lock_slots(
        &mut self,
        handle: Handle,
        slots: Range<usize>,
        wanted: Level,
    ) -> Result<(), c_int> {
        let file = self.file(handle)?;
        if wanted == Level::None {
            file.slots.unlock(handle, slots);
            return Ok(());
        }
        let granted = file.slots.lock(handle, slots, wanted);
        if granted { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }
}
