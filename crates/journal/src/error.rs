//! What can go wrong with a journal, as values a caller can tell apart.

use loopwright_types::{Code, Diagnostic, RunId, RunStatus};
use rusqlite::ErrorCode;
use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// Why the journal cannot do what was asked. Cheap to clone: one failure is told to every run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The data directory's path leads to something else.
    #[error("`{}` is not a directory", .path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Nothing can be written there.
    #[error("`{}` cannot be written: {cause}", .path.display())]
    ReadOnly {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The directory cannot be made, opened or locked for another reason.
    #[error("`{}` cannot be used: {cause}", .path.display())]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// No room is left.
    #[error("no room is left on the disk that holds `{}`", .path.display())]
    DiskFull {
        /// The data directory.
        path: PathBuf,
    },
    /// The database is of a format that this version does not know.
    #[error("`{}` has format {found}, this version knows {known}", .path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// The database is of a format that was given up before the first release.
    #[error("`{}` has format {found}, which this version no longer reads; it knows {known}", .path.display())]
    Older {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format known.
        known: u32,
    },
    /// A record is of a version that this one does not know.
    #[error("run `{run}`, record {record}: version {found}, this version knows {known}")]
    NewerEntry {
        /// The run.
        run: RunId,
        /// The record.
        record: u64,
        /// Its version.
        found: u16,
        /// The newest version known.
        known: u16,
    },
    /// A record is of a version that was given up before the first release.
    #[error(
        "run `{run}`, record {record}: version {found}, which this version no longer reads; it knows {known}"
    )]
    OlderEntry {
        /// The run.
        run: RunId,
        /// The record.
        record: u64,
        /// Its version.
        found: u16,
        /// The version known.
        known: u16,
    },
    /// The file is a database of something else.
    #[error("`{}` is not a journal", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Records of a run are damaged or gone; the numbers are the first and the last of them, from 0.
    #[error("run `{run}`, {}: {what}", range(*.first, *.last))]
    Damaged {
        /// The run.
        run: RunId,
        /// The first damaged record.
        first: u64,
        /// The last one in the same stretch.
        last: u64,
        /// What is wrong with them.
        what: String,
    },
    /// The row that sums a run up is damaged, or the list of runs has a hole.
    #[error("the list of runs is damaged at run number {number}: {what}")]
    DamagedList {
        /// The run's number in this journal.
        number: u64,
        /// What is wrong.
        what: String,
    },
    /// The database as a whole is damaged.
    #[error("`{}` is damaged: {what}", .path.display())]
    DamagedDatabase {
        /// The database.
        path: PathBuf,
        /// What SQLite or our own checks said.
        what: String,
    },
    /// The tail mark is damaged: whether durable records are gone from the log's end cannot be told.
    #[error("`{}` is damaged", .path.display())]
    DamagedMark {
        /// The file.
        path: PathBuf,
    },
    /// Another process kept the journal for itself for too long.
    #[error("another process keeps `{}` locked", .path.display())]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// No run has this id or prefix.
    #[error("{}", unknown(.name))]
    RunUnknown {
        /// What was asked for.
        name: String,
    },
    /// More than one run has this prefix.
    #[error("`{prefix}` could be {}", .candidates.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" or "))]
    RunAmbiguous {
        /// The prefix.
        prefix: String,
        /// The newest runs that have it.
        candidates: Vec<RunId>,
    },
    /// The run is already recorded.
    #[error("run `{run}` is already recorded")]
    RunExists {
        /// The run.
        run: RunId,
    },
    /// The run is being recorded by a live process.
    #[error("run `{run}` is being recorded by another process")]
    RunLive {
        /// The run.
        run: RunId,
    },
    /// Another process has taken the run over, or it was deleted: nothing more is written to it from here.
    #[error("run `{run}` was {}", taken(*.epoch, *.found))]
    Fenced {
        /// The run.
        run: RunId,
        /// The epoch that this process held.
        epoch: u64,
        /// The epoch now; none when the run is gone.
        found: Option<u64>,
    },
    /// The run has ended and is not waiting for anything.
    #[error("run `{run}` has ended: {}", .status.as_str())]
    RunEnded {
        /// The run.
        run: RunId,
        /// How.
        status: RunStatus,
    },
    /// A file that should hold an exported run does not.
    #[error("`{}`, byte {at}: {what}", .path.display())]
    ExportDamaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes from its beginning.
        at: u64,
        /// What is wrong.
        what: String,
    },
    /// A file that holds an exported run, or should, cannot be read or written.
    #[error("`{}` cannot be used: {cause}", .path.display())]
    ExportFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// Something is where an export should go.
    #[error("`{}` is already there", .path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// The exported run was written by a newer version.
    #[error("`{}` has export format {found}, this version knows {known}", .path.display())]
    ExportNewer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// The journal was opened to read.
    #[error("the journal was opened to read only")]
    OpenedToRead,
    /// Writing or reading failed; nothing more is written after it.
    #[error("the journal in `{}` failed: {cause}", .path.display())]
    Failed {
        /// The data directory.
        path: PathBuf,
        /// What SQLite or the system said.
        cause: String,
    },
}

/// What can be saved of a run with damaged records, and how.
fn saved(run: &RunId, first: u64, what: &str) -> Cow<'static, str> {
    Cow::Owned(match (what, first) {
        (GONE, _) => "copy the data directory to examine it; deleting its file `journal.tail` accepts the loss and lets new runs be recorded".to_owned(),
        (UNLIKE_HEAD | SHORT_OF_HEAD, _) => "if the head was kept of this very run, copy the data directory to examine it; an export made at that time still has the whole record".to_owned(),
        (_, 0) => "nothing of this run can be read, the others are not affected; a backup of the data directory or an export may have it".to_owned(),
        _ => format!("what is before it can be saved: `loopwright show {run}` shows it, `loopwright fork {run}` takes it over into a new run; a backup of the data directory or an export may have the rest"),
    })
}

/// `latest` names no run where there is none.
fn unknown(name: &str) -> String {
    match name {
        LATEST => "there is no latest run: none is recorded here yet".to_owned(),
        _ => format!("there is no run `{name}`"),
    }
}

fn range(first: u64, last: u64) -> String {
    if first == last { format!("record {first}") } else { format!("records {first} to {last}") }
}

fn taken(epoch: u64, found: Option<u64>) -> String {
    match found {
        Some(found) => format!("taken over by another process (epoch {found}, not {epoch})"),
        None => "deleted by another process".to_owned(),
    }
}

impl Error {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotADirectory { .. }
            | Self::ReadOnly { .. }
            | Self::Directory { .. }
            | Self::Foreign { .. }
            | Self::Locked { .. }
            | Self::OpenedToRead => Code::DATA_DIR,
            Self::DiskFull { .. } => Code::DISK_FULL,
            Self::Damaged { .. }
            | Self::DamagedList { .. }
            | Self::DamagedDatabase { .. }
            | Self::DamagedMark { .. } => Code::JOURNAL_DAMAGED,
            Self::Newer { .. } | Self::NewerEntry { .. } | Self::ExportNewer { .. } => {
                Code::JOURNAL_NEWER
            }
            Self::Older { .. } | Self::OlderEntry { .. } => Code::JOURNAL_OLDER,
            Self::RunUnknown { .. } | Self::RunAmbiguous { .. } => Code::RUN_UNKNOWN,
            Self::Failed { .. } => Code::JOURNAL_FAILED,
            Self::RunLive { .. } => Code::RUN_LIVE,
            Self::Fenced { .. } => Code::RUN_FENCED,
            Self::RunEnded { .. } => Code::RUN_ENDED,
            Self::RunExists { .. } => Code::RUN_EXISTS,
            Self::ExportDamaged { .. } => Code::EXPORT_DAMAGED,
            Self::ExportFile { .. } => Code::EXPORT_FILE,
            Self::FileExists { .. } => Code::FILE_EXISTS,
        }
    }

    /// The error as people see it: code, cause and what to do.
    pub fn diagnostic(&self) -> Diagnostic {
        Diagnostic::new(self.code(), self.to_string()).hint(self.advice())
    }

    /// Whether something stored is not as it was written.
    pub fn is_damage(&self) -> bool {
        self.code() == Code::JOURNAL_DAMAGED
    }

    fn advice(&self) -> Cow<'static, str> {
        if let Self::Damaged { run, first, what, .. } = self {
            return saved(run, *first, what);
        }
        Cow::Borrowed(match self {
            Self::NotADirectory { .. } | Self::Directory { .. } | Self::Foreign { .. } => {
                "choose another data directory with `--data-dir` or `LOOPWRIGHT_DATA_DIR`"
            }
            Self::ReadOnly { .. } => {
                "make the directory writable, or choose another with `--data-dir` or `LOOPWRIGHT_DATA_DIR`"
            }
            Self::DiskFull { .. } => {
                "free some room, or choose a data directory on another disk with `--data-dir`; what was reported as done is kept"
            }
            Self::Older { .. } => {
                "start a new directory with `--data-dir`; runs of a version that was never released cannot be read"
            }
            Self::OlderEntry { .. } => {
                "start the run again with `loopwright run`; runs of a version that was never released cannot be read"
            }
            Self::Newer { .. } | Self::NewerEntry { .. } => {
                "use the newer version of loopwright that wrote it, or another directory with `--data-dir`"
            }
            Self::ExportNewer { .. } => "use the newer version of loopwright that wrote it",
            Self::DamagedMark { .. } => {
                "`loopwright runs` still reads the rest; deleting the file lets new runs be recorded"
            }
            Self::DamagedList { .. } => {
                "the other runs can be read: `loopwright runs` lists them; a backup of the data directory or an export may have this one"
            }
            Self::Damaged { .. } | Self::DamagedDatabase { .. } => {
                "keep a copy of the data directory and restore it from a backup, or start a new one with `--data-dir`"
            }
            Self::Locked { .. } => "end the process that holds it, or wait and try again",
            Self::RunUnknown { name } if name == LATEST => {
                "`loopwright run <program>` makes the first one; `--data-dir` names another directory"
            }
            Self::RunUnknown { .. } => "`loopwright runs` lists the runs of this data directory",
            Self::RunAmbiguous { .. } => "give more of the id's characters",
            Self::RunExists { .. } => {
                "start the run under another id; an export of it can be imported into another directory with `--data-dir`"
            }
            Self::RunLive { .. } => {
                "wait for its end, or stop it with `loopwright cancel` or `loopwright pause`; the lease of a process that no longer answers runs out after `journal.lease_ms`"
            }
            Self::Fenced { .. } => {
                "nothing was written after that; watch the run where it is recorded now"
            }
            Self::RunEnded { .. } => {
                "`loopwright show` shows what it did, `loopwright fork` runs it again"
            }
            Self::ExportDamaged { .. } => "export the run again, or copy the file again",
            Self::ExportFile { .. } => {
                "check the path: its folder must be there, and you may write in it"
            }
            Self::FileExists { .. } => "choose another name, or move the file away first",
            Self::OpenedToRead => "open the data directory for writing",
            Self::Failed { .. } => {
                "look at the disk and at limits on files (`ulimit -f`), then try again; what was reported as done is kept"
            }
        })
    }

    /// A file-system error at this path.
    pub(crate) fn from_io(path: &Path, error: &io::Error) -> Self {
        let (path, cause) = (path.to_owned(), error.to_string());
        match error.kind() {
            io::ErrorKind::NotADirectory => Self::NotADirectory { path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, cause }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Directory { path, cause },
        }
    }

    /// An error of SQLite on the journal in this directory.
    pub(crate) fn from_sqlite(directory: &Path, error: &rusqlite::Error) -> Self {
        let path = directory.to_owned();
        let cause = error.to_string();
        let Some(failure) = error.sqlite_error() else {
            // Everything else is about a value's type or a missing column: our own statements fit
            // the tables that were checked when the database was opened, so the values do not.
            return Self::DamagedDatabase { path, what: cause };
        };
        match failure.code {
            ErrorCode::DiskFull => Self::DiskFull { path },
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => Self::ReadOnly { path, cause },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Locked { path },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                Self::DamagedDatabase { path, what: cause }
            }
            ErrorCode::CannotOpen => Self::Directory { path, cause },
            ErrorCode::SystemIoFailure if is_read_failure(failure.extended_code) => {
                Self::DamagedDatabase { path, what: cause }
            }
            // A statement of ours that does not fit: the database is not what it was when it was made.
            ErrorCode::Unknown if failure.extended_code == rusqlite::ffi::SQLITE_ERROR => {
                Self::DamagedDatabase { path, what: cause }
            }
            // Said with the code of whatever reading the tables' text ended in.
            _ if cause.starts_with("malformed database schema") => {
                Self::DamagedDatabase { path, what: cause }
            }
            _ => Self::Failed { path, cause },
        }
    }
}

/// What names the newest run, where an id is asked for.
pub(crate) const LATEST: &str = "latest";

/// What [`Error::Damaged`] says of records that were reported durable and are not there.
pub(crate) const GONE: &str = "reported durable and gone now";

/// Records that the journal does not have and that a head kept elsewhere counts.
pub(crate) const SHORT_OF_HEAD: &str = "counted by the kept head and not here";

/// Records that are whole and not those whose head was kept elsewhere.
pub(crate) const UNLIKE_HEAD: &str = "they are not those whose head was kept";

fn is_read_failure(extended: i32) -> bool {
    use rusqlite::ffi;
    matches!(extended, ffi::SQLITE_IOERR_READ | ffi::SQLITE_IOERR_SHORT_READ)
}
