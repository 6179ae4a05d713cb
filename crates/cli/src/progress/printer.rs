//! Lines written by a thread of their own, as many at once as are there: the run does not wait for each write,
//! and a reader sees a line as soon as there is no next one.

use std::io::{BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Lines that may wait for a slow reader before the run waits for it too.
const LINES_WAITING_MAX: usize = 16_384;

/// A thread that prints.
pub struct Printer {
    sender: SyncSender<String>,
    thread: JoinHandle<()>,
}

impl Printer {
    /// Starts printing to a stream.
    pub fn start(to: impl Write + Send + 'static) -> Self {
        let (sender, lines) = sync_channel(LINES_WAITING_MAX);
        let thread = std::thread::spawn(move || {
            // Nobody reads any more: the run goes on without being seen.
            let _ = print(BufWriter::new(to), &lines);
            lines.iter().for_each(drop);
        });
        Self { sender, thread }
    }

    /// Where lines are given, without a line feed.
    pub fn sender(&self) -> SyncSender<String> {
        self.sender.clone()
    }

    /// Waits until everything is written. All other senders must be gone.
    pub fn finish(self) {
        drop(self.sender);
        let _ = self.thread.join();
    }
}

fn print(mut to: impl Write, lines: &Receiver<String>) -> std::io::Result<()> {
    while let Ok(line) = lines.recv() {
        writeln!(to, "{line}")?;
        while let Ok(line) = lines.try_recv() {
            writeln!(to, "{line}")?;
        }
        to.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let out = Shared::default();
        let printer = Printer::start(out.clone());
        let sender = printer.sender();
        (0..50_000).for_each(|n| sender.send(n.to_string()).unwrap());
        drop(sender);
        printer.finish();
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert!(text.lines().map(str::parse).eq((0..50_000).map(Ok)));
    }

    #[test]
    fn a_reader_that_went_away_stops_nobody() {
        let printer = Printer::start(Closed);
        let sender = printer.sender();
        (0..50_000).for_each(|n| sender.send(n.to_string()).unwrap());
        drop(sender);
        printer.finish();
    }
}
