//! Guests that are watched: what they are handed goes through the books first.

use crate::books::Books;
use loopwright_host::Guests;
use loopwright_protocol::{GuestStart, TurnInput, TurnReport};
use loopwright_types::{Diagnostic, GuestId};
use std::cell::RefCell;
use std::rc::Rc;

pub(crate) struct WatchedGuests<'g> {
    guests: &'g mut dyn Guests,
    books: Rc<RefCell<Books>>,
}

impl<'g> WatchedGuests<'g> {
    pub fn new(guests: &'g mut dyn Guests, books: Rc<RefCell<Books>>) -> Self {
        Self { guests, books }
    }
}

impl Guests for WatchedGuests<'_> {
    fn start(&mut self, guest: GuestId, start: &GuestStart) -> Result<(), Diagnostic> {
        self.books.borrow_mut().guest_started(guest);
        self.guests.start(guest, start)
    }

    fn turn(&mut self, guest: GuestId, input: &TurnInput) -> TurnReport {
        self.books.borrow_mut().deliver(guest, input);
        self.guests.turn(guest, input)
    }

    fn end(&mut self, guest: GuestId) {
        self.books.borrow_mut().guest_ended(guest);
        self.guests.end(guest);
    }
}
