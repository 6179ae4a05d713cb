//! Guests made of steps: [`Guests`] without a sandbox.

use crate::script::Step;
use crate::walk::Walk;
use loopwright_host::Guests;
use loopwright_protocol::{GuestStart, ProgramText, TurnInput, TurnReport};
use loopwright_types::{Code, Diagnostic, Digest, GuestId};
use std::collections::HashMap;

/// Scripts by the name of the program that stands for them.
#[derive(Debug, Default)]
pub struct ScriptedGuests {
    scripts: HashMap<String, Step>,
    walks: HashMap<GuestId, Walk>,
}

impl ScriptedGuests {
    /// No scripts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Programs of this name do this.
    #[must_use]
    pub fn with(mut self, name: &str, script: Step) -> Self {
        self.scripts.insert(name.to_owned(), script);
        self
    }
}

impl Guests for ScriptedGuests {
    fn start(&mut self, guest: GuestId, start: &GuestStart) -> Result<(), Diagnostic> {
        let name = &start.program.name;
        let script = self.scripts.get(name).ok_or_else(|| {
            Diagnostic::new(Code::SANDBOX_SETUP, format!("there is no script named `{name}`"))
        })?;
        self.walks.insert(guest, Walk::new(script.clone()));
        Ok(())
    }

    fn turn(&mut self, guest: GuestId, input: &TurnInput) -> TurnReport {
        self.walks.get_mut(&guest).expect("a guest that was started").turn(input)
    }

    fn end(&mut self, guest: GuestId) {
        self.walks.remove(&guest);
    }
}

/// A program text that stands for the script of this name.
pub fn program(name: &str) -> ProgramText {
    ProgramText {
        name: name.to_owned(),
        source: String::new(),
        digest: Digest::of(name.as_bytes()),
        code: String::new(),
        strict: false,
        prefix_columns: 0,
        modules: Vec::new(),
        meta: None,
    }
}
