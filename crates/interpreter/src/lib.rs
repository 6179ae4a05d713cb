//! A sandboxed QuickJS guest in WebAssembly: commands out, completions in, snapshots.
//!
//! [`Interpreter`] holds the compiled guest and a ready image (engine, intrinsics and prelude set up);
//! [`Interpreter::guest`] gives a fresh [`Guest`] from it in microseconds. A guest is driven in turns:
//! [`Guest::turn`] settles completions, runs the program to its next wait and returns what it asked for.
//! The guest has no imports: nothing it does can reach this process, and all of its memory is treated as
//! hostile. The interface is described in `docs/design/bridge.md`.
//!
//! *Not here:* clocks, files of programs, parsing, scheduling, journals. A turn is a pure function of its
//! inputs, except for the wall-clock safety stop.
//!
//! ```no_run
//! use loopwright_interpreter::{Interpreter, Limits, Options, Source, TurnInput};
//! let interpreter = Interpreter::new(Options::default())?;
//! let mut guest = interpreter.guest(&Limits::default())?;
//! guest.start(&Source { code: "1 + 1", ..Source::default() }, "{}")?;
//! let output = guest.turn(&TurnInput::default())?;
//! assert_eq!(&*output.records[0].bytes, b"2");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod artefact; // the committed guest and the prelude
mod big_stack; // threads on which a guest may recurse
mod cache; // compiled code on disk
mod control; // the control block's layout
mod engine; // wasmtime's configuration and its two stages of interruption
mod error; // what can go wrong outside a program
mod guest; // one running program
mod guests; // the guests of one run, for the drive loop
mod image; // the ready image
mod interpreter; // the compiled guest, shared by all
mod limits; // what one guest may use
mod outbox; // records from the guest
mod rest; // guests that wait long, on disk
mod snapshot; // a waiting guest as bytes
mod stop; // why a guest was stopped
mod turn; // inputs and outputs of one turn

pub use artefact::Prelude;
pub use big_stack::{STACK_BYTES, run_on_big_stack};
pub use error::Error;
pub use guest::{Guest, Source};
pub use guests::Guests;
pub use interpreter::{Interpreter, Options};
pub use limits::{GAS_PER_MS, Limits};
pub use outbox::{Record, RecordKind};
pub use stop::{Stop, StopCause};
pub use turn::{Completion, CompletionStatus, MainState, TurnInput, TurnOutput};
