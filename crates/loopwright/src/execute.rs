//! A prepared run, run to its end.

use crate::approve::Approver;
use crate::clock::Clock;
use crate::host::{Inbox, LocalHost, Message};
use crate::mail::{Mail, Sleeper, on_a_thread};
use crate::prepare::Run;
use crate::requests::Requests;
use crate::services::Services;
use crate::timers::Timers;
use loopwright_engine::{Drive, Engine, Step};
use loopwright_interpreter::Guests;
use loopwright_protocol::{Entry, Event, Json, RunFinish};
use loopwright_subagents::{Drivers, Signal};
use loopwright_types::{Code, Diagnostic, RunId, RunStatus, Usage};
use std::collections::VecDeque;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Sees every journal entry as it is written.
pub type Observer = Box<dyn FnMut(&Entry) + Send>;

/// Told how a run ended, or why it stopped where it is.
pub type WhenOver = Box<dyn FnOnce(Result<RunReport, Diagnostic>) + Send>;

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
    pub(crate) mail: Arc<Mail>,
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
        self.mail.send(Message::Event(Event::CancelRequested { now }));
    }
}

impl Run {
    /// Runs the program to its end; blocks. Every journal entry passes `observer` as it is written.
    ///
    /// # Errors
    /// When the journal cannot be written: the run stops where it is, what was durable before is kept.
    pub fn execute(
        self,
        observer: Observer,
        approver: Arc<dyn Approver>,
    ) -> Result<RunReport, Diagnostic> {
        let (tell, told) = channel();
        self.start(observer, approver, Box::new(move |ended| drop(tell.send(ended))))?;
        // The run's thread has told of its panic itself.
        told.recv().unwrap_or_else(|_| std::panic::resume_unwind(Box::new("the run panicked")))
    }

    /// Starts the run and returns; `over` is called on the run's thread when it has ended, and dropped uncalled if a
    /// defect panics there.
    ///
    /// A run holds a thread while something happens in it. Waiting (on people, timers, a provider that is down, an
    /// attempt that takes long) for `guest.rest_after_ms`, it gives up its thread and its guests' memory until there is
    /// news, so that a process may have very many of them.
    ///
    /// # Errors
    /// When the run cannot be recorded or no thread is to be had.
    pub fn start(
        self,
        observer: Observer,
        approver: Arc<dyn Approver>,
        over: WhenOver,
    ) -> Result<(), Diagnostic> {
        let active = self.active(observer, approver, over)?;
        on_a_thread(move || active.go_on()).map(drop).map_err(|error| no_thread(&error))
    }

    /// The run with everything it needs to go on.
    fn active(
        self,
        observer: Observer,
        approver: Arc<dyn Approver>,
        over: WhenOver,
    ) -> Result<Box<Active>, Diagnostic> {
        let (clock, mail) = (self.clock, self.mail);
        let run = self.start.run.clone();
        let rest_after = self.start.settings.integer("guest.rest_after_ms");
        let now = clock.now();
        let (writer, engine, requests, drive) = match self.taken {
            Some(taken) => (taken.writer, taken.engine, taken.requests, Drive::resume(now)),
            None => {
                let writer = self.store.create(&self.start, synced(&mail, clock, &self.recorded));
                let writer = writer.map_err(|error| error.diagnostic())?;
                let mut engine = Engine::new(self.start, loopwright_interpreter::GAS_PER_MS);
                if let Some(past) = self.past {
                    engine = engine.with_past(past);
                }
                (writer, engine, Requests::default(), Drive::begin(now))
            }
        };
        let asked = Arc::clone(&mail);
        writer.listen(Box::new(move |request| asked.send(Message::Asked(request))));
        let services = Services::new(
            self.subagents,
            self.models,
            self.providers,
            self.tools,
            approver,
            self.workspace,
        );
        let host = LocalHost {
            writer,
            reporter: Arc::new(Inbox { mail: Arc::clone(&mail), clock }),
            mail,
            taken: VecDeque::new(),
            driver: Arc::new(services),
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
        Ok(Box::new(Active {
            run,
            drive,
            engine,
            host,
            guests: self.guests,
            observer,
            finish: None,
            over,
        }))
    }
}

/// A run that is executed by this process.
struct Active {
    run: RunId,
    drive: Drive,
    engine: Engine,
    host: LocalHost,
    guests: Guests,
    observer: Observer,
    /// Its last entry, once there is one.
    finish: Option<Box<RunFinish>>,
    over: WhenOver,
}

impl Sleeper for Active {
    fn go_on(mut self: Box<Self>) {
        loop {
            let (finish, observer) = (&mut self.finish, &mut self.observer);
            let mut observe = |entry: &Entry| {
                if let Entry::RunFinished(last) = entry {
                    *finish = Some(last.clone());
                }
                observer(entry);
            };
            let (engine, host, guests) = (&mut self.engine, &mut self.host, &mut self.guests);
            match self.drive.go_on(engine, host, guests, &mut observe) {
                Ok(Step::Quiet) => {}
                Ok(Step::Ended(_)) => return self.end(Ok(())),
                Err(error) => return self.end(Err(error)),
            }
            self.host.driver.rest();
            let (mail, due) = (Arc::clone(&self.host.mail), self.host.due());
            let clock = self.host.clock;
            match mail.sleep(self, due, clock) {
                None => return,
                Some(awake) => self = awake,
            }
        }
    }
}

impl Active {
    fn end(self: Box<Self>, ended: Result<(), Diagnostic>) {
        let Self { run, mut host, observer, finish, over, engine, guests, .. } = *self;
        host.driver.shutdown();
        host.mail.close();
        host.acknowledge();
        let closed = host.writer.close().map_err(|error| error.diagnostic());
        let ended = ended.and(closed).and_then(|()| {
            let finish = finish.ok_or_else(|| {
                Diagnostic::new(Code::JOURNAL_FAILED, "the run ended without its last entry")
            })?;
            Ok(RunReport::of(run, *finish))
        });
        // Everything that the run holds goes before whoever waits for its end goes on.
        drop((engine, guests, observer, host.driver, host.reporter));
        over(ended);
    }
}

fn no_thread(error: &std::io::Error) -> Diagnostic {
    Diagnostic::new(Code::SANDBOX_SETUP, format!("cannot start a thread for the run: {error}"))
}

/// Runs a loop on a thread whose stack guests may recurse on, and waits for it: a hop for each run instead of one for
/// each turn.
pub(crate) fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Diagnostic> {
    let running = on_a_thread(work).map_err(|error| no_thread(&error))?;
    Ok(running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// What is called once the first entry of this process is durable.
pub(crate) type WhenRecorded = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Tells the run's inbox what is durable.
pub(crate) fn synced(
    mail: &Arc<Mail>,
    clock: Clock,
    recorded: &WhenRecorded,
) -> loopwright_journal::Synced {
    let (mail, recorded) = (Arc::clone(mail), Arc::clone(recorded));
    Box::new(move |durable: Result<u64, loopwright_journal::Error>| {
        if durable.is_ok()
            && let Some(recorded) = recorded.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            recorded();
        }
        mail.send(match durable {
            Ok(count) => Message::Event(Event::Synced { count, now: clock.now() }),
            Err(error) => Message::JournalFailed(error.diagnostic()),
        });
    })
}
