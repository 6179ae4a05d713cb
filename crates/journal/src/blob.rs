//! Large values, stored once each by their SHA-256 and taken out of the records that hold them.
//!
//! Which values are taken out follows from their size alone: the innermost ones that are larger than the
//! limit, and of an array or object whose many small parts make it large, the whole. Where one stood, the
//! body has the text `"sha256:…"`, so that it stays JSON that people can read; what counts is `refs`, which
//! says at which places, so that no text that a model wrote is ever taken for a reference.

use loopwright_types::{Bug, Digest};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::ops::Range;

/// Bytes of one reference: place in the body, length of the value, SHA-256 of it.
pub(crate) const REF_BYTES: usize = 8 + 8 + 32;

/// The longest value there can be: SQLite stores none that are larger.
pub(crate) const VALUE_BYTES_MAX: u64 = 1 << 30;

/// What stands in the body where a value was taken out.
fn placeholder(digest: &Digest) -> String {
    format!("\"sha256:{digest}\"")
}

/// One value that a body leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ref {
    /// Where its placeholder begins in the stored body.
    pub at: usize,
    /// Bytes of the value.
    pub length: u64,
    /// SHA-256 of the value.
    pub digest: Digest,
}

impl Ref {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend((self.at as u64).to_le_bytes());
        to.extend(self.length.to_le_bytes());
        to.extend(self.digest.0);
    }

    /// Reads the column `refs`; `None` when it is none.
    pub fn read_all(bytes: &[u8]) -> Option<Vec<Self>> {
        let (parts, rest) = bytes.as_chunks::<REF_BYTES>();
        let number = |part: &[u8]| part.try_into().map(u64::from_le_bytes).ok();
        let read = |part: &[u8; REF_BYTES]| {
            let at = usize::try_from(number(&part[..8])?).ok()?;
            let digest = Digest(part[16..].try_into().ok()?);
            Some(Self { at, length: number(&part[8..16])?, digest })
        };
        if rest.is_empty() { parts.iter().map(read).collect() } else { None }
    }
}

/// A body without its large values.
pub(crate) struct Packed<'a> {
    pub body: Vec<u8>,
    /// The column `refs`.
    pub refs: Vec<u8>,
    /// The values, in the order of their places.
    pub values: Vec<(Digest, &'a [u8])>,
}

/// Takes the values larger than `max` bytes out of a JSON text; `None` when there are none.
pub(crate) fn pack(body: &[u8], max: usize) -> Option<Packed<'_>> {
    if body.len() <= max {
        return None;
    }
    let large = large_values(body, max);
    if large.is_empty() {
        return None;
    }
    let mut packed = Packed { body: Vec::new(), refs: Vec::new(), values: Vec::new() };
    let mut from = 0;
    for range in large {
        packed.body.extend(&body[from..range.start]);
        from = range.end;
        let value = &body[range];
        let digest = Digest::of(value);
        let reference = Ref { at: packed.body.len(), length: value.len() as u64, digest };
        reference.write(&mut packed.refs);
        packed.body.extend(placeholder(&digest).bytes());
        packed.values.push((digest, value));
    }
    packed.body.extend(&body[from..]);
    Some(packed)
}

/// Puts the values back; says what does not fit. `value` finds one by its digest.
pub(crate) fn unpack<E>(
    body: &[u8],
    refs: &[Ref],
    mut value: impl FnMut(&Ref) -> Result<Vec<u8>, E>,
    misfit: impl Fn() -> E,
) -> Result<Vec<u8>, E> {
    let mut whole = Vec::new();
    let mut from = 0;
    for reference in refs {
        let text = placeholder(&reference.digest);
        let end = reference.at.checked_add(text.len()).filter(|end| *end <= body.len());
        let end =
            end.filter(|end| reference.at >= from && body[reference.at..*end] == *text.as_bytes());
        let end = end.ok_or_else(&misfit)?;
        whole.extend(&body[from..reference.at]);
        whole.extend(value(reference)?);
        from = end;
    }
    whole.extend(&body[from..]);
    Ok(whole)
}

/// An array or object that is open.
struct Frame {
    start: usize,
    /// Values found inside begin here in the list.
    found: usize,
    /// Bytes of the parts that are themselves larger than the limit.
    large: usize,
}

/// The places of the values to take out of a well-formed JSON text, in order.
fn large_values(text: &[u8], max: usize) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open: Vec<Frame> = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = at;
        let ended = match text[at] {
            b'{' | b'[' => {
                open.push(Frame { start, found: found.len(), large: 0 });
                at += 1;
                None
            }
            b'}' | b']' => {
                at += 1;
                open.pop()
            }
            b'"' => {
                at = string_end(text, at);
                // A name of a member is no value.
                let name = text.get(at) == Some(&b':');
                (!name).then_some(Frame { start, found: found.len(), large: 0 })
            }
            b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' => {
                at += 1;
                None
            }
            _ => {
                let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                at += text[at..].iter().position(ends).unwrap_or(text.len() - at);
                Some(Frame { start, found: found.len(), large: 0 })
            }
        };
        let (Some(value), Some(holder)) = (ended, open.last_mut()) else { continue };
        let length = at - value.start;
        if length > max {
            holder.large += length;
            if length - value.large > max || value.large == 0 {
                found.truncate(value.found);
                found.push(value.start..at);
            }
        }
    }
    found
}

/// Where the string that begins here ends, its quotes included.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Stores a value that run number `run` needs; inside a transaction. One that is there is compared, and
/// written again where it is damaged.
pub(crate) fn store(
    database: &Connection,
    run: u64,
    digest: &Digest,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let find = "SELECT number, bytes = ?2 FROM blobs WHERE hash = ?1";
    let found: Option<(i64, bool)> = database
        .prepare_cached(find)?
        .query_row(params![digest.0.as_slice(), bytes], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let number = match found {
        Some((number, true)) => number,
        Some((number, false)) => {
            let update = "UPDATE blobs SET bytes = ?2 WHERE number = ?1";
            database.prepare_cached(update)?.execute(params![number, bytes])?;
            number
        }
        None => {
            let insert = "INSERT INTO blobs(hash, bytes) VALUES(?1, ?2)";
            database.prepare_cached(insert)?.execute(params![digest.0.as_slice(), bytes])?;
            database.last_insert_rowid()
        }
    };
    let uses = "INSERT OR IGNORE INTO uses(run, blob) VALUES(?1, ?2)";
    database.prepare_cached(uses)?.execute([run.cast_signed(), number]).map(drop)
}

/// The value, if it is there; not checked.
pub(crate) fn find(database: &Connection, digest: &Digest) -> rusqlite::Result<Option<Vec<u8>>> {
    let query = "SELECT bytes FROM blobs WHERE hash = ?1";
    let mut statement = database.prepare_cached(query)?;
    // Whatever type it has: what it is not, its digest shows.
    let read = |row: &Row<'_>| Ok(row.get_ref(0)?.as_bytes()?.to_vec());
    statement.query_row([digest.0.as_slice()], read).optional()
}

/// Forgets what a deleted run needed, up to so many values at a time, and the values that no other run
/// needs; returns how many it was.
pub(crate) fn release(database: &Connection, run: u64, limit: usize) -> rusqlite::Result<usize> {
    let query = "SELECT blob FROM uses WHERE run = ?1 LIMIT ?2";
    let blobs: Vec<i64> = database
        .prepare_cached(query)?
        .query_map(params![run.cast_signed(), limit as i64], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for blob in &blobs {
        let forget = "DELETE FROM uses WHERE run = ?1 AND blob = ?2";
        database.prepare_cached(forget)?.execute([run.cast_signed(), *blob])?;
        let mut delete = "DELETE FROM blobs WHERE number = ?1 \
                          AND NOT EXISTS (SELECT 1 FROM uses WHERE blob = ?1)";
        if Bug::DeleteSharedBlobs.is_on() {
            delete = "DELETE FROM blobs WHERE number = ?1";
        }
        database.prepare_cached(delete)?.execute([*blob])?;
    }
    Ok(blobs.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str, max: usize) -> Vec<String> {
        let packed = pack(text.as_bytes(), max);
        let packed = packed.map(|packed| {
            let refs = Ref::read_all(&packed.refs).unwrap();
            assert!(serde_json::from_slice::<serde_json::Value>(&packed.body).is_ok());
            let find = |reference: &Ref| {
                let found = packed.values.iter().find(|(digest, _)| *digest == reference.digest);
                Ok(found.unwrap().1.to_vec())
            };
            let whole = unpack(&packed.body, &refs, find, || ()).unwrap();
            assert_eq!(String::from_utf8(whole).unwrap(), text);
            packed.values
        });
        let text = |(_, value): (Digest, &[u8])| String::from_utf8(value.to_vec()).unwrap();
        packed.unwrap_or_default().into_iter().map(text).collect()
    }

    #[test]
    fn the_innermost_large_values_are_taken_out_and_of_many_small_ones_the_whole() {
        let long = format!("\"{}\"", "x".repeat(20));
        let many = format!("[{}1]", "1,".repeat(12));
        let cases = [
            (r#"{"a":1}"#.to_owned(), vec![]),
            (format!(r#"{{"a":{{"b":{long},"c":1}}}}"#), vec![long.clone()]),
            (format!(r#"{{"a":{{"b":{long},"c":[{long}]}}}}"#), vec![long.clone(), long.clone()]),
            (format!(r#"{{"a":{many}}}"#), vec![many.clone()]),
            (format!(r#"{{"a":[{long},{many}]}}"#), vec![long.clone(), many.clone()]),
            // Large by its small parts: the large one inside goes with it.
            (
                format!(r#"{{"a":[{long},1,2,3,4,5,6,7,8,9,10]}}"#),
                vec![format!("[{long},1,2,3,4,5,6,7,8,9,10]")],
            ),
            // The name of a member is not taken out; the text outside everything neither.
            (format!(r#"{{"a":{{{long}:1}}}}"#), vec![format!("{{{long}:1}}")]),
            (long.clone(), vec![]),
            (format!(r#"{{"a":{}}}"#, "1".repeat(30)), vec!["1".repeat(30)]),
            (
                r#"{"a":"\"\\\",]}0123456789abcdef"}"#.to_owned(),
                vec![r#""\"\\\",]}0123456789abcdef""#.to_owned()],
            ),
        ];
        for (text, values) in cases {
            assert_eq!(taken(&text, 16), values, "{text}");
        }
    }

    #[test]
    fn a_text_that_looks_like_a_reference_is_none() {
        let text = format!(r#"{{"a":{}}}"#, placeholder(&Digest::of(b"x")));
        assert!(pack(text.as_bytes(), 1000).is_none());
        assert_eq!(unpack(text.as_bytes(), &[], |_| Err(()), || ()), Ok(text.into_bytes()));
    }
}
