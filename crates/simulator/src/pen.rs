//! What a scripted guest writes its outbox with: slots, scopes and records as the real guest's C code does.

use loopwright_protocol::{CallKind, Json, MainState, Record, RecordKind, TurnReport};
use loopwright_types::{Diagnostic, Position, ScopeId, Slot};
use serde_json::{Value, json};

/// The native side of one scripted guest.
#[derive(Debug, Default)]
pub struct Pen {
    records: Vec<Record>,
    free: Vec<Slot>,
    slots: u32,
    scopes: u32,
    pending: u32,
    line: u32,
    main: MainState,
    stop: Option<(Diagnostic, bool)>,
}

impl Pen {
    fn write(&mut self, kind: RecordKind, scope: ScopeId, json: &Value) {
        self.line += 1;
        let position = Some(Position { line: self.line, column: 1 });
        self.records.push(Record { kind, scope, position, json: Json::of(json) });
    }

    /// Makes a call; the slot names it until it settles.
    pub fn call(&mut self, scope: ScopeId, kind: CallKind, bits: u32, request: &Value) -> Slot {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            Slot(self.slots - 1)
        });
        self.pending += 1;
        self.write(RecordKind::Call { slot, kind: kind as u32, bits }, scope, request);
        slot
    }

    /// The call in this slot was answered; the slot may name another one now.
    pub fn settled(&mut self, slot: Slot) {
        self.pending -= 1;
        self.free.push(slot);
    }

    /// Makes a scope below another one.
    pub fn scope(&mut self, parent: ScopeId) -> ScopeId {
        self.scopes += 1;
        self.note(&json!({ "note": "scope", "id": self.scopes, "parent": parent }));
        ScopeId(self.scopes)
    }

    /// Cancels a scope and everything below it.
    pub fn cancel(&mut self, scope: ScopeId, reason: &str) {
        self.note(&json!({ "note": "cancel", "scope": scope, "reason": reason }));
    }

    /// Writes a note of any form.
    pub fn note(&mut self, note: &Value) {
        self.write(RecordKind::Note, ScopeId(0), note);
    }

    /// Writes a log line.
    pub fn log(&mut self, text: &str) {
        self.write(RecordKind::Log, ScopeId(0), &json!({ "level": "log", "text": text }));
    }

    /// Reports a rejection that nothing handled.
    pub fn unhandled(&mut self, error: &Value) {
        self.write(RecordKind::Unhandled, ScopeId(0), error);
    }

    /// Ends the main program with a value.
    pub fn fulfil(&mut self, value: &Value) {
        self.main = MainState::Fulfilled;
        self.write(RecordKind::Result, ScopeId(0), value);
    }

    /// Ends the main program with an error.
    pub fn reject(&mut self, error: &Value) {
        self.main = MainState::Rejected;
        self.write(RecordKind::Error, ScopeId(0), error);
    }

    /// The guest cannot go on; `external` when that is no outcome of its own.
    pub fn stop(&mut self, why: Diagnostic, external: bool) {
        self.stop = Some((why, external));
    }

    /// What the turn came to.
    pub(crate) fn report(&mut self) -> TurnReport {
        let (stop, stop_is_external) = match self.stop.take() {
            Some((why, external)) => (Some(why), external),
            None => (None, false),
        };
        TurnReport {
            records: std::mem::take(&mut self.records),
            ticks: 0,
            pending: self.pending,
            main: self.main,
            stop,
            stop_is_external,
        }
    }
}
