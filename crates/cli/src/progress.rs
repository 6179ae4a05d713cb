//! What a person or a tool sees of a run under way: a live view on a terminal, plain lines on a pipe, events as
//! JSON, or nothing.

mod frame; // the live view as rows
mod live; // the live view as a thread
mod printer; // lines in a thread of their own
mod screen; // rows on the terminal
mod summary; // what is left when the live view goes

use crate::hint::typed;
use crate::terminal::Terminal;
use live::Live;
use loopwright::protocol::Entry;
use loopwright::view::{Paint, RunView, event_json, line};
use printer::Printer;
use std::sync::{Arc, Mutex};

/// How a run is shown. Cheap to clone: the run, the signals and the questions hold one each.
#[derive(Clone)]
pub struct Progress(Arc<Mode>);

enum Mode {
    Quiet,
    Lines(Mutex<Option<Printer>>, Paint),
    Events(Mutex<Option<Printer>>),
    Live(Live),
}

impl Progress {
    /// Chooses by the flags and by what stderr is.
    pub fn start(terminal: &Terminal, json: bool, quiet: bool) -> Self {
        let mode = if json {
            Mode::Events(Mutex::new(Some(Printer::start(std::io::stdout()))))
        } else if quiet {
            Mode::Quiet
        } else if terminal.is_live() {
            Mode::Live(Live::start(*terminal))
        } else {
            let printer = Printer::start(std::io::stderr());
            Mode::Lines(Mutex::new(Some(printer)), terminal.paint_err())
        };
        Self(Arc::new(mode))
    }

    /// Plain lines on stderr, whatever it is.
    pub fn lines(terminal: &Terminal) -> Self {
        let printer = Printer::start(std::io::stderr());
        Self(Arc::new(Mode::Lines(Mutex::new(Some(printer)), terminal.paint_err())))
    }

    /// Takes every entry of the run as it is written.
    /// `view` is what the run went through before.
    pub fn observer(&self, mut view: RunView) -> Box<dyn FnMut(&Entry) + Send> {
        let mode = Arc::clone(&self.0);
        match &*self.0 {
            Mode::Quiet => Box::new(|_| {}),
            Mode::Live(live) => {
                live.begin(view);
                Box::new(move |entry| {
                    if let Mode::Live(live) = &*mode {
                        live.apply(entry);
                    }
                })
            }
            Mode::Lines(printer, paint) => {
                let (print, paint) = (sender(printer), *paint);
                Box::new(move |entry| {
                    view.apply(entry);
                    if let Some(text) = line(&view, entry, paint) {
                        print(text);
                    }
                })
            }
            Mode::Events(printer) => {
                let print = sender(printer);
                Box::new(move |entry| {
                    view.apply(entry);
                    if let Some(text) = event_json(&view, entry) {
                        print(text);
                    }
                })
            }
        }
    }

    /// Whether events go to stdout.
    pub fn is_events(&self) -> bool {
        matches!(&*self.0, Mode::Events(_))
    }

    /// Whether nothing but errors is shown.
    pub fn is_quiet(&self) -> bool {
        matches!(&*self.0, Mode::Quiet)
    }

    /// Takes the live view away, so that something else can use the terminal.
    pub fn pause(&self) {
        if let Mode::Live(live) = &*self.0 {
            live.pause();
        }
    }

    /// Brings the live view back.
    pub fn resume(&self) {
        if let Mode::Live(live) = &*self.0 {
            live.resume();
        }
    }

    /// Forgets what is on the terminal: something else has written there.
    pub fn forget_screen(&self) {
        if let Mode::Live(live) = &*self.0 {
            live.forget_screen();
        }
    }

    /// Everything told so far is written; a live view is replaced by its summary. Nothing is shown after it.
    pub fn finish(&self, terminal: &Terminal) {
        match &*self.0 {
            Mode::Quiet => {}
            Mode::Lines(printer, _) | Mode::Events(printer) => {
                if let Some(printer) = lock(printer).take() {
                    printer.finish();
                }
            }
            Mode::Live(live) => {
                let view = live.finish();
                let columns = terminal.columns().unwrap_or(80);
                let at = typed(terminal.data_dir());
                terminal.tell(&summary::summary(&view, terminal.paint_err(), columns, &at));
            }
        }
    }
}

fn sender(printer: &Mutex<Option<Printer>>) -> impl Fn(String) + Send + use<> {
    let sender = lock(printer).as_ref().map(Printer::sender);
    move |text| {
        if let Some(sender) = &sender {
            // A printer that is gone had nobody to print for.
            let _ = sender.send(text);
        }
    }
}

/// What a thread that panicked has left is still the best there is to show.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
