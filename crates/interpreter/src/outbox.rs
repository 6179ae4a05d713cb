//! Records from the guest, read out of its memory. Nothing here trusts a length or a pointer.

use crate::control::read_u32;
use loopwright_types::{Position, ScopeId};

/// What a record says; the JSON of each is described in `docs/design/bridge.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A host call.
    Call {
        /// Which operation.
        kind: u32,
        /// How its outcome is delivered.
        bits: u8,
    },
    /// A line of the program's log.
    Log,
    /// A promise was rejected and nobody handled it by the end of the turn.
    Unhandled,
    /// The program's value.
    Result,
    /// The program threw, did not compile, or its value is not JSON.
    Error,
    /// From the prelude to the engine.
    Note,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub kind: RecordKind,
    /// The slot of a call, else 0.
    pub id: u32,
    /// The scope it was written in.
    pub scope: ScopeId,
    /// The author's position; line 0 when there is none.
    pub position: Position,
    /// JSON.
    pub bytes: Box<[u8]>,
}

const HEAD: usize = 28;
const CHUNK_HEAD: usize = 16;

/// Reads the chain of chunks that starts at `first`. At most `max` bytes are read; the error says what does not add up.
pub(crate) fn read(memory: &[u8], first: u32, max: usize) -> Result<Vec<Record>, &'static str> {
    let mut records = Vec::new();
    let mut total = 0;
    let mut next = first as usize;
    while next != 0 {
        let len = read_u32(memory, next.saturating_add(4)) as usize;
        let start = next.saturating_add(CHUNK_HEAD);
        let chunk = start.checked_add(len).and_then(|end| memory.get(start..end));
        let chunk = chunk.ok_or("a chunk outside the memory")?;
        // An empty chunk would make a circular chain endless.
        total += len;
        if len == 0 || total > max {
            return Err("more output than the limit");
        }
        read_chunk(chunk, &mut records)?;
        next = read_u32(memory, next) as usize;
    }
    Ok(records)
}

fn read_chunk(mut chunk: &[u8], records: &mut Vec<Record>) -> Result<(), &'static str> {
    while !chunk.is_empty() {
        let field = |at: usize| read_u32(chunk, at * 4);
        let len = field(6) as usize;
        let padded = len.checked_next_multiple_of(4).and_then(|len| len.checked_add(HEAD));
        let end =
            padded.filter(|end| *end <= chunk.len()).ok_or("a record longer than its chunk")?;
        let kind = match field(0) {
            1 => RecordKind::Call { kind: field(2) >> 8, bits: field(2) as u8 },
            2 => RecordKind::Log,
            3 => RecordKind::Unhandled,
            4 => RecordKind::Result,
            5 => RecordKind::Error,
            6 => RecordKind::Note,
            _ => return Err("a record of an unknown kind"),
        };
        records.push(Record {
            kind,
            id: field(1),
            scope: ScopeId(field(3)),
            position: Position { line: field(4), column: field(5) },
            bytes: chunk[HEAD..HEAD + len].into(),
        });
        chunk = &chunk[end..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(words: &[u32]) -> Vec<u8> {
        let mut memory = vec![0; 64];
        memory.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        memory
    }

    #[test]
    fn a_lying_chain_is_an_error_and_never_a_panic() {
        let record = [4, 0, 0, 0, 1, 1, 2, u32::from_le_bytes(*b"42\0\0")];
        let chunk =
            |next: u32, len: u32, rest: &[u32]| memory(&[&[next, len, 0, 0], rest].concat());
        let cases = [
            ("none", vec![], 0, Ok(0)),
            ("one record", chunk(0, 32, &record), 64, Ok(1)),
            ("pointer past the end", vec![0; 64], 1 << 30, Err("a chunk outside the memory")),
            ("pointer at the very end", vec![0; 64], u32::MAX, Err("a chunk outside the memory")),
            (
                "length past the end",
                chunk(0, u32::MAX, &record),
                64,
                Err("a chunk outside the memory"),
            ),
            ("a circle", chunk(64, 32, &record), 64, Err("more output than the limit")),
            ("an empty circle", chunk(64, 0, &[]), 64, Err("more output than the limit")),
            (
                "unknown kind",
                chunk(0, 28, &[9, 0, 0, 0, 0, 0, 0]),
                64,
                Err("a record of an unknown kind"),
            ),
            (
                "record longer than its chunk",
                chunk(0, 28, &[1, 0, 0, 0, 0, 0, u32::MAX]),
                64,
                Err("a record longer than its chunk"),
            ),
        ];
        for (name, memory, first, expected) in cases {
            let got = read(&memory, first, 1000).map(|records| records.len());
            assert_eq!(got, expected, "{name}");
        }
    }
}
