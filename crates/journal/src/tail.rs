//! The tail mark: a small file beside the database that says how far the last commit went.
//!
//! SQLite drops a damaged end of its write-ahead log without a word, which would look like a run that
//! was killed a little earlier. The mark is written after each commit and before anything is reported,
//! and not synced: after a power failure it may be older than the database, which proves nothing and
//! harms nothing; a mark that is ahead of the database proves that durable records are gone.

use crate::directory;
use crate::error::Error;
use loopwright_types::{Digest, RunId};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of the file; a mark overwrites all of it, so two marks never mix within one page.
const LENGTH: usize = 192;

/// How far one run had come at the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    /// The run.
    pub run: RunId,
    /// Its durable records.
    pub entries: u64,
    /// Its chain after the last of them.
    pub head: Digest,
}

impl Tail {
    fn text(&self) -> String {
        let line = format!("loopwright-tail 1 {} {} {}", self.run, self.entries, self.head);
        let sum = crc32fast::hash(line.as_bytes());
        format!("{line} {sum:08x}")
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let (line, sum) = text.rsplit_once(' ')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(line.as_bytes()) {
            return None;
        }
        let mut words = line.strip_prefix("loopwright-tail 1 ")?.split(' ');
        let run = RunId::parse(words.next()?)?;
        let entries = words.next()?.parse().ok()?;
        let head = Digest::parse(words.next()?)?;
        words.next().is_none().then_some(Self { run, entries, head })
    }

    /// Reads the mark. There is none without a file, nor in one of blanks (no commit yet) or zeros (what a
    /// power failure leaves of a file whose content never reached the disk).
    ///
    /// # Errors
    /// When the file holds something else, or cannot be read.
    pub fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(directory::TAIL);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::from_io(&path, &error)),
        };
        if bytes.iter().all(|byte| matches!(byte, 0 | b' ' | b'\n')) {
            return Ok(None);
        }
        let mark = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
        mark.map(Some).ok_or(Error::DamagedMark { path })
    }
}

/// Writes marks.
pub(crate) struct TailFile(File);

impl TailFile {
    /// Opens the file and gives it its full size, so that later marks need no more room.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(directory::TAIL);
        let open = || {
            let file = directory::private_file().create(true).truncate(false).open(&path)?;
            if file.metadata()?.len() != LENGTH as u64 {
                write(&file, "")?;
                file.set_len(LENGTH as u64)?;
                file.sync_all()?;
            }
            Ok(Self(file))
        };
        open().map_err(|error| Error::from_io(&path, &error))
    }

    /// Overwrites the mark. An error is ignored: the old mark stays, which only proves less.
    pub fn mark(&self, tail: &Tail) {
        let _ = write(&self.0, &tail.text());
    }

    /// Takes the mark away, because its run is about to be deleted.
    pub fn clear(&self) {
        let _ = write(&self.0, "");
    }
}

fn write(file: &File, text: &str) -> std::io::Result<()> {
    let mut bytes = [b' '; LENGTH];
    assert!(text.len() < LENGTH, "an id is at most 64 characters long");
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes[LENGTH - 1] = b'\n';
    file.write_all_at(&bytes, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_a_damaged_one_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = TailFile::open(directory.path()).unwrap();
        assert_eq!(Tail::read(directory.path()), Ok(None));
        let run = RunId::parse(&"r".repeat(64)).unwrap();
        let long = Tail { run, entries: u64::MAX, head: Digest([255; 32]) };
        let short = Tail { run: RunId::parse("r").unwrap(), entries: 0, head: Digest([0; 32]) };
        for tail in [&long, &short] {
            file.mark(tail);
            assert_eq!(Tail::read(directory.path()), Ok(Some(tail.clone())));
        }
        let path = directory.path().join(directory::TAIL);
        std::fs::write(&path, short.text().replacen(" r ", " s ", 1)).unwrap();
        assert_eq!(Tail::read(directory.path()), Err(Error::DamagedMark { path }));
        file.clear();
        assert_eq!(Tail::read(directory.path()), Ok(None));
    }
}
