//! The control block's layout, as `guest/control.c` has it. All numbers are little-endian.

/// Version of the interface that this host speaks.
pub(crate) const ABI_VERSION: u32 = 1;

pub(crate) const NOW_US: usize = 0;
pub(crate) const RNG: usize = 8;
pub(crate) const GAS: usize = 16;
pub(crate) const TICKS: usize = 24;
pub(crate) const BUDGET: usize = 32;
pub(crate) const INTERRUPT: usize = 80;
pub(crate) const OOM: usize = 84;
pub(crate) const OUT_PTR: usize = 88;
pub(crate) const PENDING: usize = 96;
pub(crate) const MAIN_STATE: usize = 100;
pub(crate) const ABI: usize = 104;
pub(crate) const STOP: usize = 108;
pub(crate) const STOP_LINE: usize = 112;
pub(crate) const STOP_COLUMN: usize = 116;
pub(crate) const VALUE_BYTES: usize = 120;
pub(crate) const VALUE_DEPTH: usize = 124;
pub(crate) const VALUE_KEYS: usize = 128;
pub(crate) const OUTPUT_BYTES: usize = 132;

/// Values of [`STOP`].
pub(crate) const STOP_GAS: u32 = 1;
pub(crate) const STOP_INTERRUPT: u32 = 2;
pub(crate) const STOP_MEMORY: u32 = 3;
pub(crate) const STOP_OUTPUT: u32 = 4;
pub(crate) const STOP_STACK: u32 = 6;

/// Values of [`MAIN_STATE`].
pub(crate) const MAIN_FULFILLED: u32 = 1;
pub(crate) const MAIN_REJECTED: u32 = 2;

/// Reads a number; 0 outside the memory, which a corrupted guest may point to.
pub(crate) fn read_u32(memory: &[u8], at: usize) -> u32 {
    let bytes = at.checked_add(4).and_then(|end| memory.get(at..end));
    bytes.map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

/// Reads a number; 0 outside the memory.
pub(crate) fn read_u64(memory: &[u8], at: usize) -> u64 {
    u64::from(read_u32(memory, at)) | u64::from(read_u32(memory, at.saturating_add(4))) << 32
}

/// Writes bytes; false, and nothing written, outside the memory.
pub(crate) fn write(memory: &mut [u8], at: usize, bytes: &[u8]) -> bool {
    let place = at.checked_add(bytes.len()).and_then(|end| memory.get_mut(at..end));
    place.map(|place| place.copy_from_slice(bytes)).is_some()
}
