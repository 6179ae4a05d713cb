//! What is known of what an attempt used, while it is under way: whoever ends it, from inside or outside, finds it here.

use crate::wire::{Decoder, Told};
use reqwest::header::HeaderMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// How far an attempt came, as far as money is concerned.
#[derive(Default)]
enum State {
    /// Nothing was sent, or the provider did not take it: it costs nothing.
    #[default]
    Free,
    /// It was sent and nothing came back yet. Whoever gives up now does not know whether the input is paid for.
    Sent,
    /// The provider began to answer: from here on it is paid for.
    Begun(Box<Decoder>),
    /// The reply was read to its end.
    Read(Told, String),
}

/// What an attempt used, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Whether the provider began to answer.
    pub has_begun: bool,
    pub told: Told,
    /// All content that came, where the provider did not tell its tokens.
    pub text: String,
}

/// The account of one attempt.
#[derive(Default)]
pub(crate) struct Account {
    state: Mutex<State>,
    /// Those with which it was sent, for what is asked about it afterwards.
    headers: OnceLock<HeaderMap>,
}

impl Account {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send(&self, headers: HeaderMap) {
        *self.state() = State::Sent;
        self.headers.set(headers).ok();
    }

    pub(super) fn headers(&self) -> Option<HeaderMap> {
        self.headers.get().cloned()
    }

    /// It was not taken, or not sent after all.
    pub(super) fn forgive(&self) {
        *self.state() = State::Free;
    }

    pub(super) fn begin(&self, decoder: Decoder) {
        *self.state() = State::Begun(Box::new(decoder));
    }

    /// Lets the decoder do something; none where no reply is being read.
    pub(super) fn read<T>(&self, with: impl FnOnce(&mut Decoder) -> T) -> Option<T> {
        match &mut *self.state() {
            State::Begun(decoder) => Some(with(decoder)),
            _ => None,
        }
    }

    /// Takes the decoder of a reply that was read to its end.
    pub(super) fn finish(&self) -> Option<Decoder> {
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::Begun(decoder) => {
                *state = State::Read(decoder.told(), untold(&decoder));
                Some(*decoder)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// What was used; none where it costs nothing.
    pub(crate) fn spent(&self) -> Option<Spent> {
        match &*self.state() {
            State::Free => None,
            State::Sent => Some(Spent::default()),
            State::Begun(decoder) => {
                Some(Spent { has_begun: true, told: decoder.told(), text: untold(decoder) })
            }
            State::Read(told, text) => {
                Some(Spent { has_begun: true, told: *told, text: text.clone() })
            }
        }
    }
}

fn untold(decoder: &Decoder) -> String {
    if decoder.told().has_output() { String::new() } else { decoder.text() }
}
