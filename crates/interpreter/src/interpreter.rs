//! The compiled guest, shared by all.

use crate::engine::{Runtime, Vm, engine};
use crate::{Error, Guest, Limits, Prelude, artefact, cache, image, snapshot};
use loopwright_types::Digest;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use wasmtime::Engine;

/// How an [`Interpreter`] is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where compiled code is kept between processes (made with mode 0700); `None` compiles each time, which takes
    /// seconds. Default: `loopwright` in the user's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// Guests alive at once that get a place in the pool; more are allocated one by one. Each place reserves
    /// address space, no memory.
    pub pool: u32,
    /// What runs at image time.
    pub prelude: Prelude,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_dir: cache::default_dir(), pool: 1000, prelude: Prelude::default() }
    }
}

/// A compiled guest and its ready image. Cheap to clone; one serves a whole process.
#[derive(Clone)]
pub struct Interpreter {
    shared: Arc<Shared>,
}

struct Shared {
    hash: Digest,
    cache_dir: Option<PathBuf>,
    prelude: Prelude,
    pooled: Option<Runtime>,
    /// Guests one by one: when there is no pool, or no place in it.
    single: Mutex<Option<Arc<Runtime>>>,
    image: OnceLock<Vec<u8>>,
    bare: OnceLock<Option<Runtime>>,
}

impl Interpreter {
    /// Loads the compiled guest, or compiles it: milliseconds against some 3 s of processor time.
    ///
    /// # Errors
    /// [`Error::Setup`] when the machine refuses, [`Error::Prelude`] when the prelude throws.
    pub fn new(options: Options) -> Result<Self, Error> {
        let hash = options.prelude.hash();
        let mut shared = Shared {
            hash,
            cache_dir: options.cache_dir,
            prelude: options.prelude,
            pooled: None,
            single: Mutex::new(None),
            image: OnceLock::new(),
            bare: OnceLock::new(),
        };
        // Without room for the pool's address space (`ulimit -v`), guests are allocated one by one.
        match engine(Some(options.pool.max(1))) {
            Ok(engine) => shared.pooled = Some(shared.runtime(engine)?),
            Err(_) => drop(shared.single()?),
        }
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Digest of the guest's code and the prelude. Snapshots are bound to it.
    pub fn hash(&self) -> Digest {
        self.shared.hash
    }

    /// A fresh guest, ready for [`Guest::start`].
    ///
    /// # Errors
    /// [`Error::Setup`] when there is no room for one more.
    pub fn guest(&self, limits: &Limits) -> Result<Guest, Error> {
        let vm = self.shared.instantiate(limits.linear_memory())?;
        Guest::new(self.clone(), vm, limits)
    }

    /// The guest that [`Guest::snapshot`] wrote, in this process or another, under `limits`.
    ///
    /// # Errors
    /// [`Error::Snapshot`] when the bytes are damaged or belong to another guest; [`Error::Setup`] when there is no
    /// room.
    pub fn restore(&self, bytes: &[u8], limits: &Limits) -> Result<Guest, Error> {
        let found = snapshot::read(bytes, &self.shared.hash)?;
        let vm = self.shared.instantiate(limits.linear_memory())?;
        Guest::restore(self.clone(), vm, limits, &found)
    }

    /// Sets a guest up from nothing, as every guest would be without the ready image. For comparison only.
    ///
    /// # Errors
    /// As [`Interpreter::new`].
    #[doc(hidden)]
    pub fn cold_start(&self) -> Result<(), Error> {
        let bare = self.shared.bare.get_or_init(|| self.shared.bare_runtime().ok());
        let bare = bare.as_ref().ok_or_else(|| Error::setup("the bare guest does not compile"))?;
        image::ready(bare, &self.shared.prelude).map(drop)
    }

    /// The memory of a guest that has not started.
    pub(crate) fn image(&self) -> Result<&[u8], Error> {
        if let Some(image) = self.shared.image.get() {
            return Ok(image);
        }
        let vm = self.shared.instantiate(usize::MAX)?;
        let image = vm.memory.data(&vm.store).to_vec();
        Ok(self.shared.image.get_or_init(|| image))
    }
}

impl Shared {
    fn runtime(&self, engine: Engine) -> Result<Runtime, Error> {
        let dir = self.cache_dir.as_deref();
        let module = cache::module(&engine, dir, &self.hash, || {
            image::ready_module(&self.bare(&engine)?, &self.prelude)
        })?;
        Runtime::new(engine, &module)
    }

    /// The committed guest as it is, without a prelude.
    fn bare(&self, engine: &Engine) -> Result<Runtime, Error> {
        let hash = Digest::of(artefact::GUEST);
        let module = cache::module(engine, self.cache_dir.as_deref(), &hash, || {
            Ok(artefact::GUEST.to_vec())
        })?;
        Runtime::new(engine.clone(), &module)
    }

    fn bare_runtime(&self) -> Result<Runtime, Error> {
        self.bare(&self.pooled.as_ref().map_or_else(|| engine(None), |it| Ok(it.engine.clone()))?)
    }

    fn single(&self) -> Result<Arc<Runtime>, Error> {
        let mut single = self.single.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*single {
            return Ok(runtime.clone());
        }
        let runtime = Arc::new(self.runtime(engine(None)?)?);
        Ok(single.insert(runtime).clone())
    }

    fn instantiate(&self, memory_max: usize) -> Result<Vm, Error> {
        if let Some(Ok(vm)) = self.pooled.as_ref().map(|pooled| pooled.instantiate(memory_max)) {
            return Ok(vm);
        }
        self.single()?.instantiate(memory_max).map_err(Error::setup)
    }
}
