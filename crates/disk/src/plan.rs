//! What goes wrong, and when.

/// How processes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed, the system lives: every write that was made stays, synced or not.
    Kill,
    /// The power fails: what was not synced is kept, dropped or torn, and directories that were not synced may
    /// have old names.
    Power,
}

/// What one operation does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write reports an error; a part of it may have been written.
    Write,
    /// A write finds the disk full; a part of it may have been written.
    Full,
    /// A sync reports an error. As on Linux, what waited for it is kept or lost for good, and the next sync says
    /// yes all the same.
    Sync,
    /// A read reports an error.
    Read,
    /// Making or removing a file fails.
    Name,
}

/// What a disk only pretends to do: controls that show that a search would notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    /// It does what it says.
    #[default]
    None,
    /// Syncs of files do nothing.
    Sync,
    /// Syncs of directories do nothing.
    Directory,
}

/// The plan of one life of the processes on the disk. Operations are counted from 0 over the disk's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Instead of this operation every process ends: it and all after it fail until [`crate::Disk::crash`].
    pub crash_at: Option<u64>,
    /// The first operation from this one on that can go wrong so does; and only that one.
    pub fault: Option<(u64, Fault)>,
    /// Bytes of all files together above which the disk is full.
    pub capacity: Option<u64>,
    /// What the disk only pretends to do.
    pub lie: Lie,
}

/// A kind of counted operation: everything that changes what is on the disk, and what makes it durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Bytes are written.
    Write,
    /// A file's length is set.
    Truncate,
    /// A file is synced.
    Sync,
    /// The directory is synced, other than with the first sync of a new log.
    SyncDirectory,
    /// A file is made.
    Create,
    /// A file is removed.
    Delete,
}
