//! What is written down and passed between rooms: journal entries, engine events and commands,
//! guest turns, call requests. The only room that knows their serialised form.
//! Not here: storage (`journal`), decisions (`engine`).

mod answer; // what people answer from other processes
mod command; // what the engine asks of its host
mod entry; // what is journalled
mod event; // what the host tells the engine
mod finish; // how a run ended
mod fork; // where a fork comes from
mod json; // JSON text that is passed on unread
mod model; // what is asked of a model, and its answer
mod request; // what a guest's call asks for
mod resume; // another process goes on with a run
mod subagent; // a subagent definition as plain data
mod tool; // a tool as plain data
mod turn; // one settle-and-pump of one guest
mod worktree; // git worktrees as plain data

pub use answer::PersonAnswer;
pub use command::{Command, Dispatch, Feedback, TaskWork, TimerId, Work};
pub use entry::{
    CallEntry, EndEntry, Entry, FORMAT_VERSION, LogEntry, RunStart, SettleEntry, StartEntry,
    StepEntry, TurnEntry,
};
pub use event::{Event, Outcome, Progress};
pub use finish::RunFinish;
pub use fork::{ForkedFrom, Read, Reused};
pub use json::Json;
pub use model::{
    Block, Finish, Message, Model, ModelReply, ModelRequest, Price, ProviderLimits, ToolResult,
    ToolSpec, Window,
};
pub use request::{
    ApproveRequest, Budget, CallKind, Fallback, Request, SleepRequest, TaskRequest, ToolRequest,
    WorkflowRequest,
};
pub use resume::{DecideEntry, Decision, Found, ResumeEntry};
pub use subagent::Subagent;
pub use tool::Tool;
pub use turn::{
    BUDGET_NONE, Completion, CompletionStatus, GuestStart, MainState, ProgramText, Record,
    RecordKind, TurnInput, TurnReport,
};
pub use worktree::{Worktree, WorktreeReport, WorktreeWork};
