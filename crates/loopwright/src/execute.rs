//! A prepared run, run to its end.

use crate::approve::Approver;
use crate::clock::Clock;
use crate::host::{Inbox, LocalHost, Message};
use crate::prepare::Run;
use crate::requests::Requests;
use crate::services::Services;
use crate::timers::Timers;
use loopwright_engine::{Engine, drive, drive_resumed};
use loopwright_host::Driver;
use loopwright_protocol::{Entry, Event, Json, RunFinish};
use loopwright_subagents::{Drivers, Signal};
use loopwright_types::{Code, Diagnostic, RunId, RunStatus, Usage};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The run.
    pub run: RunId,
    /// Its status.
    pub status: RunStatus,
    /// The program's value.
    pub result: Option<Json>,
    /// Why there is none, or why the run waits.
    pub error: Option<Diagnostic>,
    /// Work that gave the program nothing, a line each.
    pub failures: Vec<String>,
    /// What all calls used together.
    pub usage: Usage,
    /// Subagent tasks called, and how many gave a value.
    pub tasks: (u32, u32),
}

impl RunReport {
    /// What the run's last entry says.
    pub fn of(run: RunId, finish: RunFinish) -> Self {
        Self {
            run,
            status: finish.status,
            result: finish.result,
            error: finish.error,
            failures: finish.failures,
            usage: finish.usage,
            tasks: (finish.tasks, finish.done),
        }
    }
}

/// Asks a run to end; usable from any thread and signal task, before and after the run as well.
#[derive(Clone)]
pub struct Canceller {
    pub(crate) sender: Sender<Message>,
    pub(crate) clock: Clock,
    pub(crate) subagents: Arc<Drivers>,
}

impl Canceller {
    /// Asks for the end and passes a signal that this process got on to the commands under way.
    pub fn forward(&self, signal: Signal) {
        // First, so that the run knows of its end before it hears of what the signal ended: that was cut off.
        self.cancel();
        self.subagents.signal_all(signal);
    }

    /// Asks for the end: attempts are ended, what they used is recorded, the run ends as cancelled.
    pub fn cancel(&self) {
        let now = self.clock.now();
        // A run that is over has dropped its inbox: there is nothing left to cancel.
        let _ = self.sender.send(Message::Event(Event::CancelRequested { now }));
    }
}

impl Run {
    /// Runs the program to its end; blocks. Every journal entry passes `observer` as it is written.
    ///
    /// # Errors
    /// When the journal cannot be written: the run stops where it is, what was durable before is kept.
    pub fn execute(
        self,
        mut observer: Box<dyn FnMut(&Entry) + Send>,
        approver: Arc<dyn Approver>,
    ) -> Result<RunReport, Diagnostic> {
        let (clock, inbox, sender) = (self.clock, self.inbox, self.sender);
        let run = self.start.run.clone();
        let rest_after = self.start.settings.integer("guest.rest_after_ms");
        let (writer, mut engine, requests, is_resumed) = match self.taken {
            Some(taken) => (taken.writer, taken.engine, taken.requests, true),
            None => {
                let writer = self.store.create(&self.start, synced(&sender, clock, &self.recorded));
                let writer = writer.map_err(|error| error.diagnostic())?;
                let mut engine = Engine::new(self.start, loopwright_interpreter::GAS_PER_MS);
                if let Some(past) = self.past {
                    engine = engine.with_past(past);
                }
                (writer, engine, Requests::default(), false)
            }
        };
        let asked = sender.clone();
        writer.listen(Box::new(move |request| drop(asked.send(Message::Asked(request)))));
        let services = Services::new(
            self.subagents,
            self.models,
            self.providers,
            self.tools,
            approver,
            self.workspace,
        );
        let driver: Arc<dyn Driver> = Arc::new(services);
        let mut host = LocalHost {
            writer,
            inbox,
            reporter: Arc::new(Inbox { sender, clock }),
            driver: Arc::clone(&driver),
            clock,
            timers: Timers::default(),
            under_way: 0,
            gathered: Vec::new(),
            gathering: None,
            rest_after: Duration::from_millis(rest_after),
            quiet_at: None,
            requests,
            told: Vec::new(),
        };
        let mut guests = self.guests;
        let (ended, mut host, finish) = on_own_thread(move || {
            let mut finish: Option<Box<RunFinish>> = None;
            let mut observe = |entry: &Entry| {
                if let Entry::RunFinished(last) = entry {
                    finish = Some(last.clone());
                }
                observer(entry);
            };
            let now = clock.now();
            let drive = if is_resumed { drive_resumed } else { drive };
            let ended = drive(&mut engine, &mut host, &mut guests, now, &mut observe);
            (ended, host, finish)
        })?;
        driver.shutdown();
        ended?;
        host.acknowledge();
        host.writer.close().map_err(|error| error.diagnostic())?;
        let finish = finish.ok_or_else(|| {
            Diagnostic::new(Code::JOURNAL_FAILED, "the run ended without its last entry")
        })?;
        Ok(RunReport::of(run, *finish))
    }
}

/// Runs the loop on a thread whose stack guests may recurse on: a hop for each run instead of one for each turn,
/// and a run that waits for days takes no thread from others.
pub(crate) fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Diagnostic> {
    let thread = std::thread::Builder::new().name("run".to_owned());
    let thread = thread.stack_size(loopwright_interpreter::STACK_BYTES);
    let running = thread.spawn(work).map_err(|error| {
        Diagnostic::new(Code::SANDBOX_SETUP, format!("cannot start a thread for the run: {error}"))
    })?;
    Ok(running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// What is called once the first entry of this process is durable.
pub(crate) type WhenRecorded = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Tells the run's inbox what is durable.
pub(crate) fn synced(
    sender: &Sender<Message>,
    clock: Clock,
    recorded: &WhenRecorded,
) -> loopwright_journal::Synced {
    let (sender, recorded) = (sender.clone(), Arc::clone(recorded));
    Box::new(move |durable: Result<u64, loopwright_journal::Error>| {
        if durable.is_ok()
            && let Some(recorded) = recorded.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            recorded();
        }
        let message = match durable {
            Ok(count) => Message::Event(Event::Synced { count, now: clock.now() }),
            Err(error) => Message::JournalFailed(error.diagnostic()),
        };
        let _ = sender.send(message);
    })
}

/// The sending and receiving ends of a run's inbox.
pub(crate) fn inbox() -> (Sender<Message>, std::sync::mpsc::Receiver<Message>) {
    channel()
}
