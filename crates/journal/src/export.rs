//! One run as one file.

use crate::blob::{self, Ref};
use crate::directory;
use crate::error::Error;
use crate::frame::{FrameWriter, Kind, file_error};
use crate::reader::{Cursor, Verified};
use crate::record::Content;
use crate::store::Store;
use loopwright_types::{Digest, Micros, RunId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The first frame.
#[derive(Serialize, Deserialize)]
pub(crate) struct Head {
    pub run: RunId,
    pub program: String,
    pub created: Micros,
    pub entries: u64,
    pub head: Digest,
}

impl Store {
    /// Writes a run, as far as it is durable now, into a new file: its entries, their large values, the hash
    /// chain and its head, which it returns. Every record is checked on the way. The file appears under its
    /// name when it is complete and durable.
    ///
    /// # Errors
    /// When there is no such run or it is damaged; when the file is there already or cannot be written.
    pub fn export(&self, run: &RunId, path: &Path) -> Result<Verified, Error> {
        if path.symlink_metadata().is_ok() {
            return Err(Error::FileExists { path: path.to_owned() });
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        // Errors name what was asked for, not the name that the file has until it is complete.
        let verified = self.export_partial(run, &partial, path).and_then(|verified| {
            std::fs::rename(&partial, path)
                .and_then(|()| directory::sync(directory::parent(path)))
                .map_err(|error| file_error(path, &error))?;
            Ok(verified)
        });
        if verified.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        verified
    }

    fn export_partial(&self, run: &RunId, at: &Path, path: &Path) -> Result<Verified, Error> {
        let fail = |error| file_error(path, &error);
        let reader = self.reader(run)?;
        let stored = self.listed(&reader, run)?.stored;
        let row = stored.row.clone();
        let file = directory::private_file().create(true).truncate(true).open(at).map_err(fail)?;
        let mut writer = FrameWriter::new(BufWriter::new(file)).map_err(fail)?;
        let head = Head {
            run: row.id,
            program: row.program,
            created: row.created,
            entries: row.entries,
            head: row.head,
        };
        let text = serde_json::to_vec(&head).expect("it has text keys only");
        writer.frame(Kind::Run, &[&text]).map_err(fail)?;

        let mut cursor = Cursor::new(reader, stored, 0)?;
        let values = self.reader(run)?;
        let mut written = HashSet::new();
        let mut more = true;
        while more {
            more = false;
            cursor.stretch(|_, record| {
                more = true;
                let content = record.content;
                for reference in Ref::read_all(content.refs).unwrap_or_default() {
                    if written.insert(reference.digest) {
                        // It was checked with the record a moment ago; who imports it checks it again.
                        let value = blob::find(values.database(), &reference.digest)
                            .map_err(|error| Error::from_sqlite(&self.0.place.directory, &error))?;
                        let value = value.unwrap_or_default();
                        writer.frame(Kind::Value, &[&value]).map_err(fail)?;
                    }
                }
                write_entry(&mut writer, &content).map_err(fail)
            })?;
        }
        let buffer = writer.end(head.entries, &head.head).map_err(fail)?;
        let file: File = buffer.into_inner().map_err(|error| fail(error.into_error()))?;
        file.sync_all().map_err(fail)?;
        Ok(Verified { count: head.entries, head: head.head })
    }
}

fn write_entry<W: Write>(
    writer: &mut FrameWriter<W>,
    content: &Content<'_>,
) -> std::io::Result<()> {
    let length = u32::try_from(content.refs.len()).expect("references are far smaller than values");
    let (version, length) = (content.version.to_le_bytes(), length.to_le_bytes());
    writer.frame(Kind::Entry, &[&version, &length, content.refs, content.body])
}
