//! Guests that are watched: what they are handed must be the answer to what they asked.

use super::host::World;
use super::work::{served_value, value};
use loopwright_host::Guests;
use loopwright_protocol::{
    CallKind, Completion, CompletionStatus, GuestStart, Json, RecordKind, TurnInput, TurnReport,
};
use loopwright_types::{Diagnostic, GuestId, Slot};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

pub(super) struct Watched<'g> {
    pub inner: &'g mut dyn Guests,
    pub world: Rc<RefCell<World>>,
    pub asked: HashMap<(GuestId, Slot), (u32, Json)>,
    /// Whether a failure may be an answer.
    pub races: bool,
}

impl Watched<'_> {
    fn completed(&mut self, guest: GuestId, completion: &Completion) {
        let Some((kind, request)) = self.asked.remove(&(guest, completion.slot)) else {
            let text = format!("guest {guest} is answered in slot {} unasked", completion.slot.0);
            self.world.borrow_mut().books.broken.push(text);
            return;
        };
        let request: Value = request.read().unwrap_or_default();
        let prompt = request["prompt"].as_str();
        let id = prompt.or(request["args"]["id"].as_str()).or(request["question"].as_str());
        let Some(id) = id else { return };
        let expected = match CallKind::from_number(kind) {
            Some(CallKind::Approve) => Value::Bool(true),
            _ if request["subagent"] == "served" => Value::String(served_value(id)),
            _ => value(id),
        };
        let books = &mut self.world.borrow_mut().books;
        match completion.status {
            CompletionStatus::Done => {
                let found: Value = completion.json.read().unwrap_or_default();
                books.demand(found == expected, || format!("`{id}` was answered {found}"));
                books.handed(id);
            }
            _ => books.demand(self.races, || format!("`{id}`: {}", completion.json.text())),
        }
    }
}

impl Guests for Watched<'_> {
    fn start(&mut self, guest: GuestId, start: &GuestStart) -> Result<(), Diagnostic> {
        self.world.borrow_mut().books.guest_started(guest, start);
        self.inner.start(guest, start)
    }

    fn turn(&mut self, guest: GuestId, input: &TurnInput) -> TurnReport {
        self.world.borrow_mut().books.turn(guest, input);
        for completion in &input.completions {
            self.completed(guest, completion);
        }
        let report = self.inner.turn(guest, input);
        for record in &report.records {
            if let RecordKind::Call { slot, kind, .. } = record.kind {
                self.asked.insert((guest, slot), (kind, record.json.clone()));
            }
        }
        report
    }

    fn end(&mut self, guest: GuestId) {
        self.inner.end(guest);
    }
}
