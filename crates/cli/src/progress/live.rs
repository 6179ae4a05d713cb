//! The live view: entries fold into a snapshot, a thread draws it a few times a second.

use super::frame::frame;
use super::lock;
use super::screen::Screen;
use crate::clock::now;
use crate::terminal::Terminal;
use loopwright::protocol::Entry;
use loopwright::view::RunView;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two pictures: twelve a second.
const PERIOD: Duration = Duration::from_millis(80);

/// A live view.
pub struct Live {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    terminal: Terminal,
    view: Mutex<RunView>,
    screen: Mutex<Screen>,
    stop: Mutex<bool>,
    wake: Condvar,
}

impl Live {
    /// Starts to draw on stderr.
    pub fn start(terminal: Terminal) -> Self {
        let shared = Arc::new(Shared {
            terminal,
            view: Mutex::default(),
            screen: Mutex::default(),
            stop: Mutex::new(false),
            wake: Condvar::new(),
        });
        let drawn = Arc::clone(&shared);
        let thread = std::thread::spawn(move || drawn.draw());
        Self { shared, thread: Mutex::new(Some(thread)) }
    }

    /// Goes on from what the run went through before.
    pub fn begin(&self, view: RunView) {
        *lock(&self.shared.view) = view;
    }

    /// Takes an entry.
    pub fn apply(&self, entry: &Entry) {
        lock(&self.shared.view).apply(entry);
    }

    /// Takes the picture away and draws no more until [`Self::resume`].
    pub fn pause(&self) {
        lock(&self.shared.screen).pause();
    }

    /// Draws again.
    pub fn resume(&self) {
        lock(&self.shared.screen).resume();
    }

    /// Draws below what is on the terminal now.
    pub fn forget_screen(&self) {
        lock(&self.shared.screen).forget();
    }

    /// Ends the thread, takes the picture away and gives the snapshot back.
    pub fn finish(&self) -> RunView {
        *lock(&self.shared.stop) = true;
        self.shared.wake.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
        self.pause();
        std::mem::take(&mut lock(&self.shared.view))
    }
}

impl Shared {
    fn draw(&self) {
        let mut picture = 0;
        let mut stop = lock(&self.stop);
        while !*stop {
            stop = match self.wake.wait_timeout(stop, PERIOD) {
                Ok((stop, _)) => stop,
                Err(_) => return,
            };
            if !*stop {
                picture += 1;
                let (columns, rows) = self.terminal.size().unwrap_or((80, 24));
                let paint = self.terminal.paint_err();
                let lines = frame(&lock(&self.view), now(), paint, columns, rows, picture);
                lock(&self.screen).draw(lines, columns);
            }
        }
    }
}
