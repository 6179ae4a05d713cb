//! One turn inside one instance. Whatever comes back from the guest is checked or treated as text.

use super::{Completion, MainState, TurnOutput};
use crate::engine::Vm;
use crate::guest::location;
use crate::{Stop, StopCause, control, outbox};
use loopwright_types::Micros;
use std::time::Duration;
use wasmtime::Trap;

/// Time for finding the author's line after a trap.
const LOCATE: Duration = Duration::from_millis(50);

/// The buffer for `lw_settle`.
pub(crate) fn completions(completions: &[Completion<'_>]) -> Vec<u8> {
    let size = completions.iter().map(|it| it.json.len() + 16).sum();
    let mut buffer = Vec::with_capacity(size);
    for completion in completions {
        let len = u32::try_from(completion.json.len()).unwrap_or(u32::MAX);
        for word in [completion.slot.0, completion.status as u32, len] {
            buffer.extend(word.to_le_bytes());
        }
        buffer.extend(completion.json);
        // At least one NUL, then to a multiple of four.
        buffer.resize((buffer.len() / 4 + 1) * 4, 0);
    }
    buffer
}

pub(crate) fn start(
    vm: &mut Vm,
    name: &str,
    code: &str,
    modules: &[(String, String)],
    config: &str,
    (strict, prefix): (bool, u32),
) -> Result<(), Stop> {
    let functions = vm.functions.clone();
    for (name, code) in modules {
        let (name, at) = (put(vm, name.as_bytes())?, put(vm, code.as_bytes())?);
        let result = functions.lw_add_module.call(&mut vm.store, (name, at, code.len() as u32));
        expect_zero(vm, result)?;
    }
    let at = put(vm, config.as_bytes())?;
    let result = functions.lw_config.call(&mut vm.store, (at, config.len() as u32));
    expect_zero(vm, result)?;
    free(vm, at)?;
    let (at, name) = (put(vm, code.as_bytes())?, put(vm, name.as_bytes())?);
    let arguments = (at, code.len() as u32, name, u32::from(strict), prefix);
    let result = functions.lw_start.call(&mut vm.store, arguments);
    expect_zero(vm, result)?;
    free(vm, at)
}

pub(crate) fn turn(
    vm: &mut Vm,
    now: Micros,
    gas: u64,
    budget: [f64; 6],
    completions: &[u8],
) -> Result<TurnOutput, Stop> {
    let functions = vm.functions.clone();
    let ticks_before = control::read_u64(vm.memory.data(&vm.store), vm.control + control::TICKS);
    vm.write(control::NOW_US, &now.0.to_le_bytes());
    vm.write(control::GAS, &i64::try_from(gas).unwrap_or(i64::MAX).to_le_bytes());
    for (i, figure) in budget.iter().enumerate() {
        vm.write(control::BUDGET + 8 * i, &figure.to_le_bytes());
    }
    if !completions.is_empty() {
        let at = put(vm, completions)?;
        let result = functions.lw_settle.call(&mut vm.store, (at, completions.len() as u32));
        match result.map_err(|error| trapped(vm, &error))? {
            -2 => return Err(Stop::trap("a completion for a call that does not exist")),
            done if done < 0 => return Err(stopped(vm)),
            _ => free(vm, at)?,
        }
    }
    loop {
        let result = functions.lw_pump.call(&mut vm.store, u32::MAX);
        match result.map_err(|error| trapped(vm, &error))? {
            0 => break,
            1 => {}
            _ => return Err(stopped(vm)),
        }
    }
    let records = vm.records().map_err(Stop::trap)?;
    let ticks = control::read_u64(vm.memory.data(&vm.store), vm.control + control::TICKS);
    let ticks = ticks.wrapping_sub(ticks_before);
    functions.lw_out_clear.call(&mut vm.store, ()).map_err(|error| trapped(vm, &error))?;
    let main = match vm.read(control::MAIN_STATE) {
        control::MAIN_FULFILLED => MainState::Fulfilled,
        control::MAIN_REJECTED => MainState::Rejected,
        _ => MainState::Pending,
    };
    Ok(TurnOutput { records, ticks, pending: vm.read(control::PENDING), main })
}

fn put(vm: &mut Vm, bytes: &[u8]) -> Result<u32, Stop> {
    match vm.put(bytes).map_err(|error| trapped(vm, &error))? {
        0 => Err(Stop::new(StopCause::Memory)),
        at => Ok(at),
    }
}

fn free(vm: &mut Vm, at: u32) -> Result<(), Stop> {
    let function = vm.functions.lw_free.clone();
    function.call(&mut vm.store, at).map_err(|error| trapped(vm, &error))
}

fn expect_zero(vm: &mut Vm, result: Result<i32, wasmtime::Error>) -> Result<(), Stop> {
    if result.map_err(|error| trapped(vm, &error))? == 0 {
        return Ok(());
    }
    if vm.read(control::STOP) != 0 || vm.read(control::OOM) != 0 {
        return Err(stopped(vm));
    }
    // Only the prelude runs here, so this is a defect of ours: say what it threw.
    let records = vm.records().unwrap_or_default();
    let thrown = records.last().map(|record| String::from_utf8_lossy(&record.bytes).into_owned());
    Err(Stop::trap(format!("the prelude failed: {}", thrown.unwrap_or_default())))
}

/// The guest says that it stopped for good.
fn stopped(vm: &Vm) -> Stop {
    let cause = match vm.read(control::STOP) {
        control::STOP_GAS => StopCause::Gas,
        control::STOP_INTERRUPT => StopCause::Safety,
        control::STOP_MEMORY => StopCause::Memory,
        control::STOP_OUTPUT => StopCause::Output,
        _ if vm.read(control::OOM) != 0 => StopCause::Memory,
        _ => return Stop::trap("the guest gave up without a reason"),
    };
    let location = location(vm.read(control::STOP_LINE), vm.read(control::STOP_COLUMN));
    Stop { location, logs: logs(vm, cause), ..Stop::new(cause) }
}

/// What the program had logged before one of its own limits stopped it: an author looking for a loop wants it.
fn logs(vm: &Vm, cause: StopCause) -> Vec<outbox::Record> {
    if !matches!(cause, StopCause::Gas | StopCause::Memory) {
        return Vec::new();
    }
    let mut records = vm.records().unwrap_or_default();
    records.retain(|record| record.kind == outbox::RecordKind::Log);
    records
}

/// The guest was stopped by wasmtime, in the middle of something.
fn trapped(vm: &mut Vm, error: &wasmtime::Error) -> Stop {
    let locate = vm.functions.lw_locate.clone();
    let found = vm.guarded(LOCATE, |vm| locate.call(&mut vm.store, ()).is_ok());
    let cause = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => StopCause::Safety,
        Some(Trap::StackOverflow) => StopCause::Stack,
        _ if vm.read(control::OOM) != 0 => StopCause::Memory,
        _ if vm.read(control::STOP) == control::STOP_STACK => StopCause::Stack,
        _ => StopCause::Trap,
    };
    let location = found
        .then(|| location(vm.read(control::STOP_LINE), vm.read(control::STOP_COLUMN)))
        .flatten();
    let detail = if cause == StopCause::Trap { format!("{error:#}") } else { String::new() };
    Stop { location, detail, ..Stop::new(cause) }
}
