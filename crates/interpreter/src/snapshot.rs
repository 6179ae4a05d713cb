//! A waiting guest as bytes: the pages that differ from the ready image. Between turns the guest's stack is empty and
//! its table never changes, so memory is its whole state.
//!
//! Layout, little-endian: magic, digest of guest and prelude, name length u32, size in wasm pages u32, number of pages
//! u32, name, then for each page its index u32 and 4 KiB, and last a SHA-256 of everything before it.

use crate::Error;
use crate::engine::Vm;
use loopwright_types::Digest;

const MAGIC: &[u8; 8] = b"LWSNAP01";
const HEAD: usize = MAGIC.len() + 32 + 12;
const PAGE: usize = 4096;
const WASM_PAGE: usize = 65536;

/// A checked snapshot.
pub(crate) struct Pages<'a> {
    pub(crate) name: &'a str,
    wasm_pages: usize,
    pages: &'a [u8],
}

pub(crate) fn write(memory: &[u8], image: &[u8], hash: &Digest, name: &str) -> Vec<u8> {
    let zero = [0; PAGE];
    let base = |index: usize| image.get(index * PAGE..(index + 1) * PAGE).unwrap_or(&zero);
    let changed =
        || memory.chunks_exact(PAGE).enumerate().filter(|(index, page)| *page != base(*index));
    let count = changed().count();
    let mut bytes = Vec::with_capacity(HEAD + name.len() + count * (4 + PAGE) + 32);
    bytes.extend(MAGIC);
    bytes.extend(hash.0);
    for number in [name.len(), memory.len() / WASM_PAGE, count] {
        bytes.extend((number as u32).to_le_bytes());
    }
    bytes.extend(name.as_bytes());
    for (index, page) in changed() {
        bytes.extend((index as u32).to_le_bytes());
        bytes.extend(page);
    }
    bytes.extend(Digest::of(&bytes).0);
    bytes
}

/// Checks the bytes against damage and against `hash`.
pub(crate) fn read<'a>(bytes: &'a [u8], hash: &Digest) -> Result<Pages<'a>, Error> {
    let damaged = || Error::Snapshot("it is damaged");
    let (body, digest) = bytes.split_last_chunk::<32>().ok_or_else(damaged)?;
    if !body.starts_with(MAGIC) {
        return Err(Error::Snapshot("it is no snapshot"));
    }
    if Digest::of(body).0 != *digest {
        return Err(damaged());
    }
    if body.get(8..40) != Some(&hash.0[..]) {
        return Err(Error::Snapshot("it was made by another version of the guest"));
    }
    let number = |at: usize| crate::control::read_u32(body, at) as usize;
    let rest = body.get(HEAD..).and_then(|rest| rest.split_at_checked(number(40)));
    let (name, pages) = rest.ok_or_else(damaged)?;
    if pages.len() != number(48) * (4 + PAGE) {
        return Err(damaged());
    }
    let name = std::str::from_utf8(name).map_err(|_| damaged())?;
    Ok(Pages { name, wasm_pages: number(44), pages })
}

impl Pages<'_> {
    /// Puts the pages into a fresh instance of the same image.
    pub(crate) fn write_into(&self, vm: &mut Vm) -> Result<(), Error> {
        let have = vm.memory.data_size(&vm.store) / WASM_PAGE;
        if let Some(more) = self.wasm_pages.checked_sub(have) {
            let grown = vm.memory.grow(&mut vm.store, more as u64);
            grown.map_err(|_| Error::Snapshot("it needs more memory than the limit"))?;
        }
        let memory = vm.memory.data_mut(&mut vm.store);
        for page in self.pages.chunks_exact(4 + PAGE) {
            let at = crate::control::read_u32(page, 0) as usize * PAGE;
            if !crate::control::write(memory, at, &page[4..]) {
                return Err(Error::Snapshot("it is damaged"));
            }
        }
        Ok(())
    }
}
