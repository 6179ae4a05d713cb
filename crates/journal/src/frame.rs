//! The file form of an exported run: a head, then frames, each with its length and checksum.
//!
//! | frame | payload |
//! |---|---|
//! | run | JSON: id, program, time, count of entries, head of the chain |
//! | value | a large value; before the first entry that refers to it |
//! | entry | version (2 bytes), length of the references (4), references, body |
//! | end | count (8), head of the chain (32), SHA-256 of everything before this frame (32) |
//!
//! A frame is its kind (1 byte), the payload's length (8), CRC-32 of both and the payload (4), the payload.
//! All numbers are little-endian.

use crate::blob::VALUE_BYTES_MAX;
use crate::error::Error;
use loopwright_types::Digest;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What the file begins with.
const MAGIC: &[u8; 16] = b"loopwright run\r\n";

/// The version of this form; a larger one is refused.
pub(crate) const EXPORT_VERSION: u32 = 1;

/// The longest payload that is read: more than SQLite can store.
const PAYLOAD_BYTES_MAX: u64 = VALUE_BYTES_MAX;

/// Bytes before a payload.
const HEAD_BYTES: usize = 13;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Run,
    Value,
    Entry,
    End,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Run, Self::Value, Self::Entry, Self::End]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            Self::Run => b'R',
            Self::Value => b'V',
            Self::Entry => b'E',
            Self::End => b'Z',
        }
    }
}

fn head(kind: u8, length: u64, parts: &[&[u8]]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[0] = kind;
    head[1..9].copy_from_slice(&length.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[..9]);
    parts.iter().for_each(|part| hasher.update(part));
    head[9..].copy_from_slice(&hasher.finalize().to_le_bytes());
    head
}

/// Writes frames.
pub(crate) struct FrameWriter<W> {
    to: W,
    hasher: Sha256,
}

impl<W: Write> FrameWriter<W> {
    pub fn new(to: W) -> io::Result<Self> {
        let mut writer = Self { to, hasher: Sha256::new() };
        writer.put(MAGIC)?;
        writer.put(&EXPORT_VERSION.to_le_bytes())?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.to.write_all(bytes)
    }

    /// One frame, its payload in parts.
    pub fn frame(&mut self, kind: Kind, parts: &[&[u8]]) -> io::Result<()> {
        let length = parts.iter().map(|part| part.len() as u64).sum();
        self.put(&head(kind.byte(), length, parts))?;
        parts.iter().try_for_each(|part| self.put(part))
    }

    /// The last frame; gives back what was written to.
    pub fn end(mut self, count: u64, chain: &Digest) -> io::Result<W> {
        let all: [u8; 32] = self.hasher.clone().finalize().into();
        self.frame(Kind::End, &[&count.to_le_bytes(), &chain.0, &all])?;
        Ok(self.to)
    }
}

/// Reads frames.
pub(crate) struct FrameReader<R> {
    from: R,
    path: PathBuf,
    at: u64,
    hasher: Sha256,
    /// What was hashed before the frame that was read last.
    before: Digest,
}

impl<R: Read> FrameReader<R> {
    /// Reads the file's head.
    ///
    /// # Errors
    /// When it is none, or of a newer version.
    pub fn new(from: R, path: &Path) -> Result<Self, Error> {
        let (path, hasher) = (path.to_owned(), Sha256::new());
        let mut reader = Self { from, path, at: 0, hasher, before: Digest([0; 32]) };
        let mut start = [0; 20];
        reader.take(&mut start)?;
        if start[..16] != *MAGIC {
            reader.at = 0;
            return Err(reader.damaged("it is no exported run"));
        }
        let found = u32::from_le_bytes([start[16], start[17], start[18], start[19]]);
        if found > EXPORT_VERSION {
            let (path, known) = (reader.path, EXPORT_VERSION);
            return Err(Error::ExportNewer { path, found, known });
        }
        if found == 0 {
            return Err(reader.damaged("its version is missing"));
        }
        Ok(reader)
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the file ends early, the frame is damaged, or the file cannot be read.
    pub fn frame(&mut self) -> Result<(Kind, Vec<u8>), Error> {
        let start = self.at;
        let path = self.path.clone();
        let misfit = |what: &str| Error::ExportDamaged { path, at: start, what: what.to_owned() };
        self.before = Digest(self.hasher.clone().finalize().into());
        let mut found = [0; HEAD_BYTES];
        self.take(&mut found)?;
        let length = u64::from_le_bytes(found[1..9].try_into().expect("eight bytes"));
        let kind = Kind::of(found[0]).filter(|_| length <= PAYLOAD_BYTES_MAX);
        let Some(kind) = kind else { return Err(misfit("no frame begins here")) };
        // Grows with what is there, whatever the length says.
        let mut payload = Vec::new();
        (&mut self.from)
            .take(length)
            .read_to_end(&mut payload)
            .map_err(|error| file_error(&self.path, &error))?;
        self.at += payload.len() as u64;
        self.hasher.update(&payload);
        if payload.len() as u64 != length {
            return Err(self.damaged("it ends early"));
        }
        if head(found[0], length, &[&payload]) != found {
            return Err(misfit("the checksum does not match"));
        }
        Ok((kind, payload))
    }

    /// Checks the last frame's payload against what was read; nothing may follow it.
    ///
    /// # Errors
    /// When something differs.
    pub fn end(&mut self, payload: &[u8], count: u64, chain: &Digest) -> Result<(), Error> {
        let expected =
            [&count.to_le_bytes(), chain.0.as_slice(), self.before.0.as_slice()].concat();
        if payload != expected {
            return Err(self.damaged("its end does not fit what is before it"));
        }
        let more = self.from.read(&mut [0]).map_err(|error| file_error(&self.path, &error))?;
        if more == 0 { Ok(()) } else { Err(self.damaged("something follows its end")) }
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        match self.from.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                self.hasher.update(bytes);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it ends early"))
            }
            Err(error) => Err(file_error(&self.path, &error)),
        }
    }

    /// How far the file was read, in bytes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Damage, found at the place that was read last.
    pub fn damaged(&self, what: &str) -> Error {
        Error::ExportDamaged { path: self.path.clone(), at: self.at, what: what.to_owned() }
    }
}

/// An error of the file system on a file that holds an export.
pub(crate) fn file_error(path: &Path, error: &io::Error) -> Error {
    match Error::from_io(path, error) {
        full @ Error::DiskFull { .. } => full,
        _ => Error::ExportFile { path: path.to_owned(), cause: error.to_string() },
    }
}
