//! One running program.

use crate::engine::Vm;
use crate::snapshot::Pages;
use crate::turn::run;
use crate::{
    Error, Interpreter, Limits, Stop, TurnInput, TurnOutput, big_stack::run_on_big_stack, control,
    snapshot,
};
use loopwright_types::{Location, Position};

/// A program as the guest gets it.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The file name that errors and stack traces show.
    pub name: &'a str,
    /// The text, types already removed.
    pub code: &'a str,
    /// Whether it is strict code from its first line.
    pub strict: bool,
    /// Modules it may import besides the prelude's, by name.
    pub modules: Vec<(String, String)>,
    /// Characters put in front of the author's first line.
    pub prefix_columns: u32,
}

impl Default for Source<'_> {
    /// An empty sloppy program named `program.js`.
    fn default() -> Self {
        Self { name: "program.js", code: "", strict: false, modules: Vec::new(), prefix_columns: 0 }
    }
}

/// One running program in its own instance. Can move between threads between turns.
pub struct Guest {
    interpreter: Interpreter,
    limits: Limits,
    name: String,
    /// Given up at the first stop: whatever state the guest is in then, nothing runs on it.
    vm: Result<Box<Vm>, Stop>,
    /// Linear memory at the end of the last turn.
    memory_bytes: usize,
}

impl Guest {
    pub(crate) fn new(interpreter: Interpreter, vm: Vm, limits: &Limits) -> Result<Self, Error> {
        let name = Source::default().name.to_owned();
        let mut guest =
            Self { interpreter, limits: *limits, name, vm: Ok(Box::new(vm)), memory_bytes: 0 };
        guest.apply_limits().map_err(Error::setup)?;
        Ok(guest)
    }

    pub(crate) fn restore(
        interpreter: Interpreter,
        vm: Vm,
        limits: &Limits,
        found: &Pages<'_>,
    ) -> Result<Self, Error> {
        let mut vm = vm;
        found.write_into(&mut vm)?;
        let mut guest = Self::new(interpreter, vm, limits)?;
        guest.name = found.name.to_owned();
        Ok(guest)
    }

    fn apply_limits(&mut self) -> Result<(), wasmtime::Error> {
        let (limits, vm) = (self.limits, self.vm.as_mut().expect("a new guest runs"));
        vm.output_max = limits.output();
        for (field, value) in [
            (control::VALUE_BYTES, limits.value_bytes),
            (control::VALUE_DEPTH, limits.value_depth),
            (control::VALUE_KEYS, limits.value_keys),
            (control::OUTPUT_BYTES, limits.output()),
        ] {
            vm.write(field, &value.to_le_bytes());
        }
        let function = vm.functions.lw_limits.clone();
        function.call(&mut vm.store, (limits.heap(), crate::engine::SHADOW_STACK_BYTES))
    }

    /// Loads a program: registers its modules, hands `config` to the prelude and compiles it. None of its code runs
    /// before the first turn, which also reports a text that does not compile.
    ///
    /// # Errors
    /// A [`Stop`] when that takes too much memory or time.
    pub fn start(&mut self, source: &Source<'_>, config: &str) -> Result<(), Stop> {
        self.name = source.name.to_owned();
        let (name, code) = (source.name.to_owned(), source.code.to_owned());
        let (modules, strict, prefix) =
            (source.modules.clone(), source.strict, source.prefix_columns);
        let config = config.to_owned();
        self.run(move |vm| run::start(vm, &name, &code, &modules, &config, (strict, prefix)))
    }

    /// Settles the completions in order, then runs the program to its next wait.
    ///
    /// # Errors
    /// A [`Stop`]; the guest cannot be used after it, and what the turn had written is lost.
    pub fn turn(&mut self, input: &TurnInput<'_>) -> Result<TurnOutput, Stop> {
        let completions = run::completions(input.completions);
        let (now, gas, budget) = (input.now, input.gas, input.budget);
        self.run(move |vm| run::turn(vm, now, gas, budget, &completions))
    }

    fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Vm) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Stop> {
        let limits = self.limits;
        let lost = Err(Stop::trap("the host failed in an earlier turn"));
        let mut vm = std::mem::replace(&mut self.vm, lost)?;
        let (vm, result) = run_on_big_stack(move || {
            let result = vm.guarded(limits.safety, work);
            (vm, result)
        });
        let name = &self.name;
        let result = result.map_err(|mut stop| {
            if let Some(at) = &mut stop.location {
                at.file.clone_from(name);
            }
            stop
        });
        self.memory_bytes = vm.memory.data_size(&vm.store);
        self.vm = match &result {
            Ok(_) => Ok(vm),
            Err(stop) => Err(stop.clone()),
        };
        result
    }

    /// Seeds the program's `Math.random`. Before the first turn.
    pub fn set_seed(&mut self, seed: u64) {
        // SplitMix64: neighbouring seeds give unrelated states, and none is zero for long.
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if let Ok(vm) = &mut self.vm {
            vm.write(control::RNG, &(mixed ^ (mixed >> 31)).max(1).to_le_bytes());
        }
    }

    /// Linear memory in bytes, most of which may never have been touched. After a stop: what it was then.
    pub fn memory_bytes(&self) -> usize {
        self.vm.as_ref().map_or(self.memory_bytes, |vm| vm.memory.data_size(&vm.store))
    }

    /// Bytes of the guest's heap in use; 0 after a stop.
    pub fn heap_bytes(&mut self) -> u32 {
        let Ok(vm) = &mut self.vm else { return 0 };
        vm.functions.lw_mem.call(&mut vm.store, ()).unwrap_or(0)
    }

    /// Digest of the whole memory: two guests with the same one behave the same from here on.
    ///
    /// # Errors
    /// The [`Stop`] that ended this guest.
    pub fn memory_hash(&self) -> Result<loopwright_types::Digest, Stop> {
        let vm = self.vm.as_ref().map_err(Stop::clone)?;
        Ok(loopwright_types::Digest::of(vm.memory.data(&vm.store)))
    }

    /// The waiting guest as bytes, for [`Interpreter::restore`]: the pages that differ from the ready image. The
    /// guest is not changed and runs on as before.
    ///
    /// # Errors
    /// The [`Stop`] that ended this guest, or one that says that there was no room for the image.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, Stop> {
        let vm = self.vm.as_ref().map_err(Stop::clone)?;
        let image = self.interpreter.image().map_err(|error| Stop::trap(error.to_string()))?;
        Ok(snapshot::write(vm.memory.data(&vm.store), image, &self.interpreter.hash(), &self.name))
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest")
            .field("name", &self.name)
            .field("memory_bytes", &self.memory_bytes())
            .finish()
    }
}

/// A place in the program, whose name [`Guest::run`] fills in.
pub(crate) fn location(line: u32, column: u32) -> Option<Location> {
    let position = Position { line, column };
    (line > 0).then(|| Location { file: String::new(), position, length: 1 })
}
