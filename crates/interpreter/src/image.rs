//! The ready image: the guest's memory after engine, intrinsics and prelude are set up, put back into the module as
//! its initial data. All guests then share those pages until they write to them.

use crate::engine::{Runtime, SHADOW_STACK_BYTES, Vm};
use crate::{Error, Prelude, RecordKind, artefact, control};
use std::time::Duration;

/// Memory while the image is made.
const MEMORY_BYTES: usize = 256 << 20;
/// Time for the prelude at image time.
const DEADLINE: Duration = Duration::from_secs(60);
/// Zeros up to this many do not end a run of data.
const GAP_BYTES: usize = 32;

const MEMORY_SECTION: u8 = 5;
const DATA_SECTION: u8 = 11;
const DATA_COUNT_SECTION: u8 = 12;

/// Runs the prelude in a bare guest and gives the module with the resulting memory.
pub(crate) fn ready_module(bare: &Runtime, prelude: &Prelude) -> Result<Vec<u8>, Error> {
    let vm = ready(bare, prelude)?;
    with_memory(artefact::GUEST, vm.memory.data(&vm.store))
        .ok_or_else(|| Error::setup("the module is malformed"))
}

/// A guest set up from nothing.
pub(crate) fn ready(bare: &Runtime, prelude: &Prelude) -> Result<Vm, Error> {
    let mut vm = bare.instantiate(MEMORY_BYTES).map_err(Error::setup)?;
    vm.guarded(DEADLINE, |vm| set_up(vm, prelude)).map_err(Error::setup)??;
    Ok(vm)
}

fn set_up(vm: &mut Vm, prelude: &Prelude) -> Result<Result<(), Error>, wasmtime::Error> {
    let functions = vm.functions.clone();
    let step = functions.lw_init.call(&mut vm.store, SHADOW_STACK_BYTES)?;
    if step != 0 || vm.read(control::ABI) != control::ABI_VERSION {
        return Ok(Err(Error::Setup(format!("the guest did not start ({step})"))));
    }
    for (name, code) in &prelude.modules {
        let (name, at) = (vm.put(name.as_bytes())?, vm.put(code.as_bytes())?);
        functions.lw_add_module.call(&mut vm.store, (name, at, code.len() as u32))?;
    }
    let code = vm.put(prelude.script.as_bytes())?;
    let name = vm.put(artefact::PRELUDE_NAME.as_bytes())?;
    let failed =
        functions.lw_prelude.call(&mut vm.store, (code, prelude.script.len() as u32, name))? != 0;
    if failed {
        let records = vm.records().unwrap_or_default();
        let error = records.into_iter().rev().find(|record| record.kind == RecordKind::Error);
        let text = error.map_or("no error given".into(), |record| {
            String::from_utf8_lossy(&record.bytes).into_owned()
        });
        return Ok(Err(Error::Prelude(text)));
    }
    functions.lw_free.call(&mut vm.store, code)?;
    functions.lw_free.call(&mut vm.store, name)?;
    functions.lw_out_clear.call(&mut vm.store, ())?;
    functions.lw_gc.call(&mut vm.store, ())?;
    Ok(Ok(()))
}

/// The same module, whose memory starts as `image`. Deterministic. `None` when `wasm` is not laid out as expected.
fn with_memory(wasm: &[u8], image: &[u8]) -> Option<Vec<u8>> {
    let runs = runs(image);
    let mut out = wasm.get(..8)?.to_vec();
    let mut at = 8;
    while at < wasm.len() {
        let id = wasm[at];
        at += 1;
        let size = read_number(wasm, &mut at)? as usize;
        let body = wasm.get(at..at.checked_add(size)?)?;
        at += size;
        let body = match id {
            MEMORY_SECTION => memory_section(body, image.len())?,
            DATA_SECTION => data_section(image, &runs),
            DATA_COUNT_SECTION => number(runs.len() as u64),
            _ => body.to_vec(),
        };
        out.push(id);
        out.extend(number(body.len() as u64));
        out.extend(body);
    }
    Some(out)
}

/// Stretches of data that are not all zeros.
fn runs(image: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, _) in image.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        match runs.last_mut() {
            Some(run) if at - run.end < GAP_BYTES => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// One memory with the same flags and maximum, but room for the image.
fn memory_section(body: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let mut at = 0;
    if read_number(body, &mut at)? != 1 {
        return None;
    }
    let flags = *body.get(at)?;
    at += 1;
    read_number(body, &mut at)?;
    let mut section = vec![1, flags];
    section.extend(number((bytes / 65536) as u64));
    section.extend(body.get(at..)?);
    Some(section)
}

fn data_section(image: &[u8], runs: &[std::ops::Range<usize>]) -> Vec<u8> {
    let mut section = number(runs.len() as u64);
    for run in runs {
        section.extend([0, 0x41]); // active, i32.const
        section.extend(signed_number(run.start as i64));
        section.push(0x0b); // end
        section.extend(number(run.len() as u64));
        section.extend(&image[run.clone()]);
    }
    section
}

/// Unsigned LEB128.
fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

/// Signed LEB128 of a number that is not negative.
fn signed_number(value: i64) -> Vec<u8> {
    let mut bytes = number(value as u64);
    let last = bytes.len() - 1;
    if bytes[last] & 0x40 != 0 {
        bytes[last] |= 0x80;
        bytes.push(0);
    }
    bytes
}

fn read_number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_signed_ones_stay_positive() {
        for value in [0, 1, 63, 64, 127, 128, 8191, 8192, 1 << 20, (1 << 31) - 1] {
            assert_eq!(read_number(&number(value), &mut 0), Some(value));
            let signed = signed_number(value as i64);
            assert_eq!(signed[signed.len() - 1] & 0xc0, 0, "{value}");
        }
    }

    #[test]
    fn runs_skip_long_gaps_only() {
        let mut image = vec![0; 200];
        (image[3], image[10], image[100]) = (1, 1, 1);
        assert_eq!(runs(&image), [3..11, 100..101]);
    }
}
