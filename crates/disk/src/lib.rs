//! For tests: a disk in memory that loses, reorders and tears what was not synced, as a VFS of SQLite.
//!
//! A [`Disk`] keeps two contents of each file: what processes see, and what survives. A write changes the first and
//! waits in a log; a sync makes it durable. At a crash each waiting write is kept, dropped or torn, as the seed says;
//! names of files likewise, until their directory is synced. Shared memory and locks die with the processes. The same
//! seed does the same, whatever the machine; only the salts in SQLite's log are drawn for the whole process.
//!
//! ```
//! use loopwright_disk::{Crash, Disk, Plan};
//! use rusqlite::{Connection, OpenFlags};
//! # fn main() -> rusqlite::Result<()> {
//! let disk = Disk::new(7);
//! let open = || Connection::open_with_flags_and_vfs("/a.db", OpenFlags::default(), disk.vfs());
//! let database = open()?;
//! database.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(x)")?;
//! disk.plan(Plan { crash_at: Some(disk.operations() + 2), ..Plan::default() });
//! while database.execute("INSERT INTO t VALUES(1)", []).is_ok() {}
//! drop(database);
//! disk.crash(Crash::Power);
//! assert!(open()?.execute("INSERT INTO t VALUES(2)", []).is_ok());
//! # Ok(())
//! # }
//! ```

mod content; // one file: what is seen, what survives
mod disk; // the handle that tests hold
mod lock; // locks of files and of shared memory
mod names; // the directory
mod plan; // what goes wrong, and when
mod random; // seeded draws
mod shared; // memory shared by connections
mod state; // files, handles, and each operation on them
mod vfs; // the callbacks that SQLite calls: all of this room's unsafe code

pub use disk::{Disk, Image};
pub use plan::{Crash, Fault, Lie, Operation, Plan};
