//! Programs as data: enough of the program API's shapes for tests of the engine, without a sandbox.

use crate::Pen;
use loopwright_protocol::CallKind;
use loopwright_types::Diagnostic;
use serde_json::{Value, json};
use std::fmt;
use std::rc::Rc;

/// The bridge's bits of a call (`docs/design/bridge.md`).
pub(crate) mod bits {
    pub const NULL_ON_FAILURE: u32 = 1;
    pub const OBSERVED: u32 = 4;
}

/// One step of a scripted program. A step ends with a value or fails with an error, as a promise does.
#[derive(Clone)]
pub enum Step {
    /// A call; its value is the answer.
    Call {
        /// Its kind.
        kind: CallKind,
        /// The request in the bridge's form.
        request: Value,
    },
    /// One after the other; the value of the last, the first failure.
    Seq(Vec<Step>),
    /// All at once, like `Promise.all`: a failure fails it, the others go on.
    All(Vec<Step>),
    /// All at once, like `settle`: never fails; an item is the value, or `{"reason"}`.
    Settle(Vec<Step>),
    /// The first `k` that succeed, like `quorum`: the others are cancelled.
    Quorum {
        /// How many are wanted.
        k: usize,
        /// The branches.
        of: Vec<Step>,
    },
    /// Like `withDeadline`: when the time is over the step is cancelled with reason `timeout`, the value is `null`.
    Deadline {
        /// Milliseconds.
        ms: u64,
        /// What must be done by then.
        step: Box<Step>,
    },
    /// A failure becomes `{"reason"}`.
    Catch(Box<Step>),
    /// Begins it and goes on; its failure is a rejection that nothing handles.
    Spawn(Box<Step>),
    /// This value.
    Value(Value),
    /// Fails with this message.
    Throw(String),
    /// Writes anything to the outbox.
    Write(Write),
    /// Never ends.
    Never,
}

/// A closure that writes to a guest's outbox.
#[derive(Clone)]
pub struct Write(Rc<dyn Fn(&mut Pen)>);

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Write")
    }
}

impl Write {
    pub(crate) fn to(&self, pen: &mut Pen) {
        (self.0)(pen);
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { kind, request } => write!(f, "{}({request})", kind.as_str()),
            Self::Seq(steps) => f.debug_tuple("Seq").field(steps).finish(),
            Self::All(steps) => f.debug_tuple("All").field(steps).finish(),
            Self::Settle(steps) => f.debug_tuple("Settle").field(steps).finish(),
            Self::Quorum { k, of } => f.debug_tuple("Quorum").field(k).field(of).finish(),
            Self::Deadline { ms, step } => f.debug_tuple("Deadline").field(ms).field(step).finish(),
            Self::Catch(step) => f.debug_tuple("Catch").field(step).finish(),
            Self::Spawn(step) => f.debug_tuple("Spawn").field(step).finish(),
            Self::Value(value) => write!(f, "{value}"),
            Self::Throw(message) => write!(f, "throw {message:?}"),
            Self::Write(_) => f.write_str("write"),
            Self::Never => f.write_str("never"),
        }
    }
}

impl Step {
    /// `task({description})`.
    pub fn task(prompt: &str) -> Self {
        Self::Call { kind: CallKind::Task, request: json!({ "prompt": prompt }) }
    }

    /// `agent(prompt)`.
    pub fn agent(prompt: &str) -> Self {
        Self::Call { kind: CallKind::Agent, request: json!({ "prompt": prompt }) }
    }

    /// `tools.<name>()`.
    pub fn tool(name: &str) -> Self {
        Self::Call { kind: CallKind::Tool, request: json!({ "name": name, "args": {} }) }
    }

    /// `sleep(ms)`.
    pub fn sleep(ms: u64) -> Self {
        Self::Call { kind: CallKind::Sleep, request: json!({ "ms": ms }) }
    }

    /// `approve(question)`.
    pub fn approve(question: &str) -> Self {
        Self::Call { kind: CallKind::Approve, request: json!({ "question": question }) }
    }

    /// `workflow(name)`.
    pub fn workflow(name: &str) -> Self {
        Self::Call { kind: CallKind::Workflow, request: json!({ "name": name }) }
    }

    /// The same call with one more field of its request.
    ///
    /// # Panics
    /// When it is not a call.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let Self::Call { request, .. } = &mut self else { panic!("only calls have fields") };
        request[field] = value.into();
        self
    }

    /// One after the other.
    pub fn seq(steps: impl IntoIterator<Item = Self>) -> Self {
        Self::Seq(steps.into_iter().collect())
    }

    /// All at once; see [`Step::All`].
    pub fn all(steps: impl IntoIterator<Item = Self>) -> Self {
        Self::All(steps.into_iter().collect())
    }

    /// All at once; see [`Step::Settle`].
    pub fn settle(steps: impl IntoIterator<Item = Self>) -> Self {
        Self::Settle(steps.into_iter().collect())
    }

    /// The first `k`; see [`Step::Quorum`].
    pub fn quorum(k: usize, of: impl IntoIterator<Item = Self>) -> Self {
        Self::Quorum { k, of: of.into_iter().collect() }
    }

    /// With a deadline; see [`Step::Deadline`].
    pub fn deadline(ms: u64, step: Self) -> Self {
        Self::Deadline { ms, step: Box::new(step) }
    }

    /// With its failure caught.
    pub fn catch(step: Self) -> Self {
        Self::Catch(Box::new(step))
    }

    /// Begun and not awaited.
    pub fn spawn(step: Self) -> Self {
        Self::Spawn(Box::new(step))
    }

    /// Gives this value.
    pub fn value(value: impl Into<Value>) -> Self {
        Self::Value(value.into())
    }

    /// Fails with this message.
    pub fn throw(message: &str) -> Self {
        Self::Throw(message.to_owned())
    }

    /// Writes to the outbox.
    pub fn write(write: impl Fn(&mut Pen) + 'static) -> Self {
        Self::Write(Write(Rc::new(write)))
    }

    /// Writes a log line.
    pub fn log(text: &'static str) -> Self {
        Self::write(move |pen| pen.log(text))
    }

    /// The guest cannot go on.
    pub fn stop(why: Diagnostic, external: bool) -> Self {
        Self::write(move |pen| pen.stop(why.clone(), external))
    }
}

/// What a program sees of an error it caught.
pub(crate) fn caught(error: &Value) -> Value {
    match error.get("reason") {
        Some(reason) => json!({ "reason": reason, "code": error["code"] }),
        None => json!({ "reason": "program" }),
    }
}
