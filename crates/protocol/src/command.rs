//! What the engine asks of its host.

use crate::{Entry, GuestStart, Json, TurnInput};
use loopwright_types::{Attempt, CallId, GuestId, Micros, RunId, RunStatus};

/// Names a timer; a host answers with [`crate::Event::Due`]. Setting the same one again moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerId {
    /// A call's deadline.
    Deadline(CallId),
    /// The next attempt of a call after its backoff.
    Retry(CallId),
    /// The lookup of a call in doubt has had its time.
    Lookup(CallId),
    /// A `sleep()` ends.
    Sleep(CallId),
    /// A provider may be asked again: the engine's number for it.
    Provider(u32),
}

/// One command. A host carries them out in order, each once: dispatches are idempotent by (run, call, attempt).
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Append to the journal; the host reports [`crate::Event::Synced`] when it is durable.
    Append(Box<Entry>),
    /// Start an attempt. Given only after its intent is durable.
    Dispatch(Box<Dispatch>),
    /// End an attempt; the host still reports how it ended.
    CancelAttempt {
        /// The call.
        call: CallId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Report [`crate::Event::Due`] at this time.
    SetTimer {
        /// Which.
        timer: TimerId,
        /// When.
        at: Micros,
    },
    /// The timer is no longer wanted; a late report is harmless.
    DropTimer {
        /// Which.
        timer: TimerId,
    },
    /// Make a guest and load its program; its first turn follows.
    StartGuest {
        /// Its name.
        guest: GuestId,
        /// What it runs.
        start: Box<GuestStart>,
    },
    /// Run one turn and report [`crate::Event::Turned`] before anything else.
    Turn {
        /// Whose.
        guest: GuestId,
        /// With what.
        input: Box<TurnInput>,
    },
    /// The guest is no longer needed.
    DropGuest {
        /// Which.
        guest: GuestId,
    },
    /// The run has ended or waits; its last entry is durable.
    Finish {
        /// How it ended.
        status: RunStatus,
    },
}

/// One attempt at a call, for whoever carries it out.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The run.
    pub run: RunId,
    /// The call.
    pub call: CallId,
    /// The attempt.
    pub attempt: Attempt,
    /// The attempt whose idempotency key it goes out under: its own, but where it repeats one that was sent and of
    /// whose result nothing is known, or looks one up.
    pub key: Attempt,
    /// Time left for the task when this was decided; a driver may pass it on, the engine enforces it.
    pub timeout: Option<Micros>,
    /// What to do.
    pub work: Work,
}

impl Dispatch {
    /// The idempotency key as text: what receivers know the work by, however often it is sent.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.run, self.call, self.key)
    }
}

/// What an attempt does.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Ask a subagent.
    Task(Box<TaskWork>),
    /// Call a tool.
    Tool {
        /// The name as the program wrote it.
        name: String,
        /// The arguments.
        args: Json,
        /// The directory it works in, where that is not the workspace: a subagent's worktree.
        root: Option<String>,
        /// The tools that the subagent may call, as its definition writes them; absent for a program's call.
        grant: Option<Vec<String>>,
    },
    /// Find out what a model's name stands for; the value is a [`crate::Model`].
    ResolveModel {
        /// The name as written.
        name: String,
    },
    /// Ask a model once; the value is a [`crate::ModelReply`].
    Model(Box<crate::ModelRequest>),
    /// Make or finish a git worktree; the value is a [`crate::Worktree`] or a [`crate::WorktreeReport`].
    Worktree(crate::WorktreeWork),
    /// Ask a person; the value is the choice, `true` or `false`.
    Approve(crate::ApproveRequest),
    /// Find out what became of work that was sent under the same key; the value is a [`crate::Found`]. A read: it may
    /// be repeated freely.
    LookUp(Box<Work>),
    /// Find a saved program; the value is a [`crate::ProgramText`].
    LoadProgram {
        /// Its name, or a path in the workspace.
        name: String,
    },
}

/// A subagent's task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskWork {
    /// The subagent type.
    pub subagent: String,
    /// What it is asked.
    pub prompt: String,
    /// The response schema.
    pub schema: Option<Json>,
    /// A name for people.
    pub label: Option<String>,
    /// The model, over the definition's.
    pub model: Option<String>,
    /// Tools that the program narrowed the definition to.
    pub tools: Option<Vec<String>>,
    /// Turn limit of the subagent's own loop.
    pub max_turns: Option<u32>,
    /// How hard the model should think.
    pub effort: Option<String>,
    /// The directory it works in, where that is not the workspace: its worktree.
    pub root: Option<String>,
    /// What was wrong with the answer before.
    pub feedback: Option<Feedback>,
}

/// An answer that did not match its schema goes back with this.
#[derive(Clone, Debug, PartialEq)]
pub struct Feedback {
    /// The answer.
    pub answer: Json,
    /// The validator's errors, one a line.
    pub errors: String,
}
