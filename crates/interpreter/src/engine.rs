//! wasmtime's configuration and its two stages of interruption.

use crate::{Error, Record, control, outbox};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, Instance, InstanceAllocationStrategy, InstancePre, Linker,
    Memory, Module, ModuleExport, PoolingAllocationConfig, Store, StoreLimits, StoreLimitsBuilder,
    TypedFunc, UpdateDeadline,
};

/// Native stack a guest may use. QuickJS's own limit of [`SHADOW_STACK_BYTES`] comes first, except in a few
/// recursions of its C code that use up to 24 times as much native stack as shadow stack.
pub(crate) const WASM_STACK_BYTES: usize = 8 << 20;
/// Limit of QuickJS's recursion, on the stack inside linear memory.
pub(crate) const SHADOW_STACK_BYTES: u32 = 256 << 10;

/// How often the epoch moves while a guest runs.
const TICK: Duration = Duration::from_millis(5);
/// Ticks between asking a guest to stop and stopping it.
const GRACE_TICKS: u64 = 10;

/// Table entries: the guest's indirect functions, with room.
const TABLE_ELEMENTS: usize = 20_000;

/// A code generator with one way of allocating guests.
pub(crate) fn engine(pooled: Option<u32>) -> Result<Engine, Error> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .async_stack_size(WASM_STACK_BYTES + (1 << 20)) // unused, but checked against the next
        .max_wasm_stack(WASM_STACK_BYTES)
        .memory_init_cow(true)
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false);
    if let Some(guests) = pooled {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_core_instances(guests)
            .total_memories(guests)
            .total_tables(guests)
            .max_memory_size(u32::MAX as usize + 1)
            .table_elements(TABLE_ELEMENTS)
            .linear_memory_keep_resident(2 << 20)
            .max_unused_warm_slots(64)
            .pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    let engine = Engine::new(&config).map_err(Error::setup)?;
    Ticker::get().add(&engine);
    Ok(engine)
}

/// What a store holds besides the guest.
pub(crate) struct State {
    limits: StoreLimits,
    memory: Option<Memory>,
    control: usize,
    asked: bool,
}

/// Compiled code, ready to instantiate.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    instance: InstancePre<State>,
    exports: Exports,
}

macro_rules! functions {
    ($($name:ident: $arguments:ty => $result:ty;)*) => {
        /// Where the functions are in the module.
        struct Exports { memory: ModuleExport, $($name: ModuleExport),* }
        /// The functions of one guest.
        #[derive(Clone)]
        pub(crate) struct Functions { $(pub(crate) $name: TypedFunc<$arguments, $result>),* }

        impl Exports {
            fn of(module: &Module) -> Option<Self> {
                Some(Self {
                    memory: module.get_export_index("memory")?,
                    $($name: module.get_export_index(stringify!($name))?),*
                })
            }
            fn functions(&self, store: &mut Store<State>, instance: &Instance) -> Result<Functions, wasmtime::Error> {
                $(
                    let function = instance.get_module_export(&mut *store, &self.$name).and_then(|it| it.into_func());
                    let $name = function
                        .ok_or_else(|| wasmtime::Error::msg(stringify!($name)))?
                        .typed(&*store)?;
                )*
                Ok(Functions { $($name),* })
            }
        }
    };
}

functions! {
    lw_ctl: () => u32;
    lw_init: u32 => i32;
    lw_limits: (u32, u32) => ();
    lw_alloc: u32 => u32;
    lw_free: u32 => ();
    lw_add_module: (u32, u32, u32) => i32;
    lw_prelude: (u32, u32, u32) => i32;
    lw_config: (u32, u32) => i32;
    lw_start: (u32, u32, u32, u32, u32) => i32;
    lw_settle: (u32, u32) => i32;
    lw_pump: u32 => i32;
    lw_out_clear: () => ();
    lw_gc: () => ();
    lw_mem: () => u32;
    lw_locate: () => ();
}

/// One instance with its memory; the only code that touches wasmtime's store.
pub(crate) struct Vm {
    pub(crate) store: Store<State>,
    pub(crate) memory: Memory,
    pub(crate) functions: Functions,
    pub(crate) control: usize,
    /// Bytes of records that are read at most, whatever the guest says.
    pub(crate) output_max: u32,
}

impl Runtime {
    pub(crate) fn new(engine: Engine, module: &Module) -> Result<Self, Error> {
        let exports = Exports::of(module).ok_or_else(|| Error::setup("an export is missing"))?;
        // No imports: a linker without anything in it.
        let instance = Linker::new(&engine).instantiate_pre(module).map_err(Error::setup)?;
        Ok(Self { engine, instance, exports })
    }

    /// A fresh instance whose memory may grow to `memory_max` bytes.
    pub(crate) fn instantiate(&self, memory_max: usize) -> Result<Vm, wasmtime::Error> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(memory_max)
            .table_elements(TABLE_ELEMENTS)
            .instances(1)
            .tables(1)
            .memories(1)
            .build();
        let state = State { limits, memory: None, control: 0, asked: false };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_epoch_deadline(u64::MAX / 2);
        store.epoch_deadline_callback(|mut store| {
            if store.data().asked {
                return Ok(UpdateDeadline::Interrupt);
            }
            store.data_mut().asked = true;
            let (memory, control) = (store.data().memory, store.data().control);
            if let Some(memory) = memory {
                control::write(
                    memory.data_mut(&mut store),
                    control + control::INTERRUPT,
                    &[1, 0, 0, 0],
                );
            }
            Ok(UpdateDeadline::Continue(GRACE_TICKS))
        });
        let instance = self.instance.instantiate(&mut store)?;
        let memory = instance
            .get_module_export(&mut store, &self.exports.memory)
            .and_then(|it| it.into_memory());
        let memory = memory.ok_or_else(|| wasmtime::Error::msg("no memory"))?;
        let functions = self.exports.functions(&mut store, &instance)?;
        let control = functions.lw_ctl.call(&mut store, ())? as usize;
        store.data_mut().memory = Some(memory);
        store.data_mut().control = control;
        Ok(Vm { store, memory, functions, control, output_max: 1 << 20 })
    }
}

impl Vm {
    /// Runs `work` with a deadline on the wall clock: at it the guest is asked to stop, some time later it traps.
    pub(crate) fn guarded<T>(
        &mut self,
        deadline: Duration,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos());
        self.store.data_mut().asked = false;
        self.store
            .set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 4).saturating_add(1));
        let running = Ticker::get().run();
        let value = work(self);
        drop(running);
        if self.store.data().asked {
            // Asked too late to matter: the next turn must not find the request.
            self.write(control::INTERRUPT, &[0; 4]);
        }
        value
    }

    /// Copies `bytes` and a NUL into the guest's heap; 0 when it is full.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<u32, wasmtime::Error> {
        let Ok(size) = u32::try_from(bytes.len() + 1) else { return Ok(0) };
        let at = self.functions.lw_alloc.call(&mut self.store, size)?;
        let memory = self.memory.data_mut(&mut self.store);
        let end = at as usize + bytes.len();
        if at == 0 {
            return Ok(0);
        }
        if !control::write(memory, at as usize, bytes) || !control::write(memory, end, &[0]) {
            return Err(wasmtime::Error::msg("lw_alloc gave a place outside the memory"));
        }
        Ok(at)
    }

    /// The records that wait in the outbox; the error says what does not add up.
    pub(crate) fn records(&self) -> Result<Vec<Record>, &'static str> {
        let (first, memory) = (self.read(control::OUT_PTR), self.memory.data(&self.store));
        outbox::read(memory, first, self.output_max as usize)
    }

    /// Reads a field of the control block.
    pub(crate) fn read(&self, field: usize) -> u32 {
        control::read_u32(self.memory.data(&self.store), self.control + field)
    }

    /// Writes a field of the control block, whose place was checked when the image was made.
    pub(crate) fn write(&mut self, field: usize, bytes: &[u8]) {
        control::write(self.memory.data_mut(&mut self.store), self.control + field, bytes);
    }
}

/// One thread for the whole process that moves the epoch of all engines, and only while a guest runs.
struct Ticker {
    engines: Mutex<Vec<EngineWeak>>,
    running: AtomicUsize,
    thread: OnceLock<Thread>,
}

struct Running(&'static Ticker);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ticker {
    fn get() -> &'static Self {
        static TICKER: Ticker = Ticker {
            engines: Mutex::new(Vec::new()),
            running: AtomicUsize::new(0),
            thread: OnceLock::new(),
        };
        &TICKER
    }

    fn add(&self, engine: &Engine) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| engine.upgrade().is_some());
        engines.push(engine.weak());
    }

    fn run(&'static self) -> Running {
        let thread = self.thread.get_or_init(|| {
            let thread = std::thread::Builder::new().name("guest-ticker".into());
            let handle =
                thread.spawn(|| self.tick()).expect("the process can start one more thread");
            handle.thread().clone()
        });
        if self.running.fetch_add(1, Ordering::SeqCst) == 0 {
            thread.unpark();
        }
        Running(self)
    }

    fn tick(&self) {
        loop {
            while self.running.load(Ordering::SeqCst) == 0 {
                std::thread::park();
            }
            std::thread::sleep(TICK);
            let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
            for engine in engines.iter().filter_map(EngineWeak::upgrade) {
                engine.increment_epoch();
            }
        }
    }
}
