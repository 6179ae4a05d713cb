//! What serves a run's dispatches: subagents by their own drivers; tools, saved programs and questions to people
//! on threads of this driver, because all of them block. A question that nobody is asked here needs none.

use crate::approve::{Answer, Approver};
use crate::pool::Pool;
use crate::toolbox::{ToolCall, Toolbox, refusal};
use loopwright_host::{Driver, Reporter};
use loopwright_protocol::{Dispatch, Json, Outcome, Progress, Work};
use loopwright_providers::{ModelDriver, Providers};
use loopwright_types::{Attempt, CallId, Code, Failure, Reason, RunId, Usage};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Key = (CallId, Attempt);

/// All drivers of one run behind one.
pub(crate) struct Services {
    subagents: Arc<dyn Driver>,
    models: ModelDriver,
    providers: Providers,
    tools: Arc<Toolbox>,
    approver: Arc<dyn Approver>,
    asking: Arc<Mutex<()>>,
    workspace: PathBuf,
    pool: Pool,
    under_way: Arc<Mutex<HashMap<Key, Arc<AtomicBool>>>>,
    /// Questions whose answers come from elsewhere.
    asked: Mutex<HashMap<Key, Arc<dyn Reporter>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks: a panic elsewhere leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services {
    /// Starts nothing before it is needed.
    pub fn new(
        subagents: Arc<dyn Driver>,
        models: ModelDriver,
        providers: Providers,
        tools: Arc<Toolbox>,
        approver: Arc<dyn Approver>,
        workspace: PathBuf,
    ) -> Self {
        Self {
            subagents,
            models,
            providers,
            tools,
            approver,
            asking: Arc::default(),
            workspace,
            pool: Pool::default(),
            under_way: Arc::default(),
            asked: Mutex::default(),
        }
    }

    /// Runs a blocking piece of work; its end is reported once, also when it was cancelled before.
    fn run(
        &self,
        key: Key,
        reporter: &Arc<dyn Reporter>,
        own_thread: bool,
        work: impl FnOnce(&dyn Fn() -> bool) -> Outcome + Send + 'static,
    ) {
        let cancelled = Arc::new(AtomicBool::new(false));
        locked(&self.under_way).insert(key, Arc::clone(&cancelled));
        let under_way = Arc::clone(&self.under_way);
        let report = Arc::clone(reporter);
        let job = move || {
            // A defect in a tool ends its call, not the run that waits for it.
            let work = AssertUnwindSafe(|| work(&|| cancelled.load(Ordering::Relaxed)));
            let outcome =
                catch_unwind(work).unwrap_or_else(|_| failed("it panicked; please report this"));
            locked(&under_way).remove(&key);
            report.ended(key.0, key.1, outcome, Usage::default());
        };
        let taken = if own_thread {
            std::thread::Builder::new().name("question".to_owned()).spawn(job).is_ok()
        } else {
            self.pool.run(Box::new(job)).is_ok()
        };
        if !taken {
            locked(&self.under_way).remove(&key);
            reporter.ended(
                key.0,
                key.1,
                failed("no thread could be started for it"),
                Usage::default(),
            );
        }
    }
}

impl Services {
    /// Calls a tool, or looks up what became of a call.
    fn tool(
        &self,
        key: Key,
        known_by: String,
        work: Work,
        reporter: &Arc<dyn Reporter>,
        is_lookup: bool,
    ) {
        let Work::Tool { name, args, root, grant } = work else {
            let outcome = failed("only tasks and tools can be looked up");
            return reporter.ended(key.0, key.1, outcome, Usage::default());
        };
        let (tools, tell) = (Arc::clone(&self.tools), teller(key, reporter));
        let may_take_long = Toolbox::may_take_long(&name);
        self.run(key, reporter, may_take_long, move |cancelled| {
            let args = args.read().unwrap_or_default();
            let (root, grant) = (root.as_deref(), grant.as_deref());
            let call = ToolCall { name: &name, args: &args, root, grant, key: &known_by };
            match is_lookup {
                true => tools.look_up(&call, cancelled),
                false => tools.call(&call, cancelled, &tell),
            }
        });
    }
}

/// The end of a call that this driver itself could not carry out.
fn failed(why: &str) -> Outcome {
    Outcome::Failed(Failure::new(
        Reason::Provider,
        Code::TOOL_FAILED,
        format!("the call failed: {why}"),
    ))
}

impl Driver for Services {
    fn dispatch(&self, dispatch: Dispatch, reporter: Arc<dyn Reporter>) {
        let key = (dispatch.call, dispatch.attempt);
        let known_by = dispatch.key();
        match dispatch.work {
            Work::Task(_) => self.subagents.dispatch(dispatch, reporter),
            Work::LookUp(ref sent) if matches!(**sent, Work::Task(_)) => {
                self.subagents.dispatch(dispatch, reporter);
            }
            Work::Tool { .. } => self.tool(key, known_by, dispatch.work, &reporter, false),
            Work::LookUp(sent) => self.tool(key, known_by, *sent, &reporter, true),
            Work::Model(_) => self.models.dispatch(dispatch, reporter),
            Work::ResolveModel { name } => {
                let outcome = resolve(&self.providers, &name);
                reporter.ended(key.0, key.1, outcome, Usage::default());
            }
            Work::Worktree(work) => {
                let (tools, tell) = (Arc::clone(&self.tools), teller(key, &reporter));
                let run: RunId = dispatch.run;
                self.run(key, &reporter, true, move |cancelled| {
                    tools.worktree(&run, key, &work, cancelled, &tell)
                });
            }
            Work::LoadProgram { name } => {
                let workspace = self.workspace.clone();
                self.run(key, &reporter, false, move |_| load_program(&workspace, &name));
            }
            Work::Approve(_) if self.approver.is_elsewhere() => {
                locked(&self.asked).insert(key, reporter);
            }
            Work::Approve(request) => {
                let (approver, asking) = (Arc::clone(&self.approver), Arc::clone(&self.asking));
                self.run(key, &reporter, true, move |cancelled| {
                    let _one_at_a_time = locked(&asking);
                    match approver.ask(&request, cancelled) {
                        Answer::Given(answer) => Outcome::Done(answer),
                        Answer::Absent => nobody(),
                    }
                });
            }
        }
    }

    fn cancel(&self, call: CallId, attempt: Attempt) {
        let asked = locked(&self.asked).remove(&(call, attempt));
        if let Some(reporter) = asked {
            return reporter.ended(call, attempt, nobody(), Usage::default());
        }
        match locked(&self.under_way).get(&(call, attempt)) {
            Some(cancelled) => cancelled.store(true, Ordering::Relaxed),
            None => {
                self.models.cancel(call, attempt);
                self.subagents.cancel(call, attempt);
            }
        }
    }

    fn shutdown(&self) {
        for cancelled in locked(&self.under_way).values() {
            cancelled.store(true, Ordering::Relaxed);
        }
        let asked = std::mem::take(&mut *locked(&self.asked));
        for ((call, attempt), reporter) in asked {
            reporter.ended(call, attempt, nobody(), Usage::default());
        }
        self.models.shutdown();
        self.subagents.shutdown();
        self.tools.shutdown();
    }

    fn rest(&self) {
        self.models.rest();
        self.subagents.rest();
    }
}

/// The end of a question that nobody answered.
fn nobody() -> Outcome {
    let message = "nobody is there to approve";
    Outcome::Failed(Failure::new(Reason::Policy, Code::PARKED, message))
}

/// Passes lines on as an attempt's progress.
fn teller(key: Key, reporter: &Arc<dyn Reporter>) -> impl Fn(String) + Send + 'static {
    let reporter = Arc::clone(reporter);
    move |line| reporter.progressed(key.0, key.1, Progress::Message(line))
}

/// What a model's name stands for, with a key to ask it with.
fn resolve(providers: &Providers, name: &str) -> Outcome {
    let model = providers.resolve(name).and_then(|model| {
        providers.check_key(&model.provider)?;
        Ok(model)
    });
    model.map_or_else(
        |error| Outcome::Failed(refusal(error)),
        |model| Outcome::Done(Json::of(&model)),
    )
}

/// A saved program by its name, read and parsed.
pub(crate) fn load_program(workspace: &std::path::Path, name: &str) -> Outcome {
    let found = crate::saved::find(workspace, name).map_err(|error| {
        let mut failure = Failure::new(Reason::Policy, error.code, error.message).not_sent();
        failure.hint = error.hint;
        failure
    });
    let loaded = found.and_then(|path| {
        let shown = path.strip_prefix(workspace).unwrap_or(&path).display().to_string();
        crate::modules::load(workspace, &path, &shown).map_err(|report| {
            let message =
                report.diagnostics.first().map_or_else(String::new, |first| first.message.clone());
            let message = format!("the saved program `{name}` cannot run: {message}");
            Failure::new(Reason::Program, Code::WORKFLOW_FAILED, message)
                .hint(format!("`loopwright check {shown}` shows the place"))
                .not_sent()
        })
    });
    match loaded {
        Ok((_, text)) => Outcome::Done(Json::of(&text)),
        Err(failure) => Outcome::Failed(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approve::Unattended;
    use loopwright_protocol::{ApproveRequest, Progress};
    use loopwright_types::{RunId, Settings};
    use std::sync::mpsc::{Sender, channel};

    struct Ends(Sender<Outcome>);

    impl Reporter for Ends {
        fn ended(&self, _: CallId, _: Attempt, outcome: Outcome, _: Usage) {
            self.0.send(outcome).unwrap();
        }
        fn progressed(&self, _: CallId, _: Attempt, _: Progress) {}
    }

    struct Panics;

    impl Approver for Panics {
        fn ask(&self, _: &ApproveRequest, _: &dyn Fn() -> bool) -> Answer {
            panic!("a defect of the approver, on purpose")
        }
    }

    struct NoSubagents;

    impl Driver for NoSubagents {
        fn dispatch(&self, _: Dispatch, _: Arc<dyn Reporter>) {}
        fn cancel(&self, _: CallId, _: Attempt) {}
        fn shutdown(&self) {}
    }

    #[test]
    fn a_question_that_panics_or_finds_nobody_still_ends_its_call() {
        let approvers: [(Arc<dyn Approver>, Code); 2] =
            [(Arc::new(Panics), Code::TOOL_FAILED), (Arc::new(Unattended), Code::PARKED)];
        for (approver, code) in approvers {
            let directory = tempfile::tempdir().unwrap();
            let workspace = directory.path().to_owned();
            let settings = Settings::default();
            let (tools, _) = Toolbox::open(&workspace, &workspace, &settings).unwrap();
            let providers = Providers::read(&toml::Table::new(), |_| None).unwrap();
            let models = ModelDriver::new(providers.clone(), &settings);
            let subagents = Arc::new(NoSubagents);
            let services =
                Services::new(subagents, models, providers, Arc::new(tools), approver, workspace);
            let (sender, ends) = channel();
            let request = Json::parse(r#"{"question":"go on?"}"#.to_owned()).unwrap();
            services.dispatch(
                Dispatch {
                    run: RunId::parse("test").unwrap(),
                    call: CallId(0),
                    attempt: Attempt(1),
                    key: Attempt(1),
                    timeout: None,
                    work: Work::Approve(request.read().unwrap()),
                },
                Arc::new(Ends(sender)),
            );
            let Outcome::Failed(failure) = ends.recv().unwrap() else { panic!("nobody answered") };
            assert_eq!(failure.code, code);
        }
    }
}
