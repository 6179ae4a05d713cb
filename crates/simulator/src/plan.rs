//! How mock subagents, tools and people behave: one plan for each dispatch.

use crate::Random;
use loopwright_protocol::{
    Block, Dispatch, Finish, Found, Json, ModelReply, Outcome, Progress, Work,
};
use loopwright_types::{Code, Failure, Micros, Reason, Usage};

/// What one attempt will do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Time from dispatch to end; `None` never ends by itself.
    pub latency: Option<Micros>,
    /// How it ends.
    pub outcome: Outcome,
    /// What it uses.
    pub usage: Usage,
    /// What it tells, and how long after its dispatch; told only while it runs.
    pub progress: Vec<(Micros, Progress)>,
    /// What a cancellation does to it.
    pub on_cancel: OnCancel,
    /// The same end is reported again this long after the first time: a host's defect that an engine bears.
    pub repeats: Vec<Micros>,
}

/// What a cancellation does to an attempt under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnCancel {
    /// It ends this much later as cancelled, having used this much.
    Ends {
        /// From the cancellation.
        after: Micros,
        /// What it used until then.
        usage: Usage,
    },
    /// It goes on to its planned end; one without an end never ends.
    Ignored,
}

impl Plan {
    /// Gives this value at once.
    pub fn done(value: impl Into<serde_json::Value>) -> Self {
        Self::ending(Outcome::Done(Json::of(&value.into())))
    }

    /// A lookup that found this out.
    pub fn found(found: &Found) -> Self {
        Self::ending(Outcome::Done(Json::of(found)))
    }

    /// A model's reply: this text, done.
    pub fn says(text: impl Into<String>) -> Self {
        Self::replies(vec![Block::Text { text: text.into() }], Finish::End)
    }

    /// A model's reply that wants these tools called, each with its arguments.
    pub fn calls(tools: &[(&str, serde_json::Value)]) -> Self {
        let block = |(number, (name, arguments)): (usize, &(&str, serde_json::Value))| {
            let (id, name) = (format!("call-{number}"), (*name).to_owned());
            Block::ToolUse { id, name, arguments: arguments.to_string() }
        };
        Self::replies(tools.iter().enumerate().map(block).collect(), Finish::Tools)
    }

    /// A model's reply.
    pub fn replies(blocks: Vec<Block>, finish: Finish) -> Self {
        Self::ending(Outcome::Done(Json::of(&ModelReply { blocks, finish })))
    }

    /// Fails at once.
    pub fn failed(failure: Failure) -> Self {
        Self::ending(Outcome::Failed(failure))
    }

    /// Fails at once with a provider's failure that is worth a retry.
    pub fn retryable() -> Self {
        let message = "the mock provider is overloaded";
        Self::failed(Failure::new(Reason::Provider, Code::MOCK_FAILURE, message).retryable())
    }

    /// Fails at once with a provider's failure that is final.
    pub fn broken() -> Self {
        let message = "the mock subagent failed on purpose";
        Self::failed(Failure::new(Reason::Provider, Code::MOCK_FAILURE, message))
    }

    fn ending(outcome: Outcome) -> Self {
        let on_cancel = OnCancel::Ends { after: Micros(0), usage: Usage::default() };
        Self {
            latency: Some(Micros(0)),
            outcome,
            usage: Usage::default(),
            progress: Vec::new(),
            on_cancel,
            repeats: Vec::new(),
        }
    }

    /// The same, this long after the dispatch.
    #[must_use]
    pub fn after(mut self, latency: Micros) -> Self {
        self.latency = Some(latency);
        self
    }

    /// The same, this many milliseconds after the dispatch.
    #[must_use]
    pub fn after_ms(self, ms: u64) -> Self {
        self.after(Micros::from_millis(ms))
    }

    /// The same, but it ends only when it is cancelled.
    #[must_use]
    pub fn never(mut self) -> Self {
        self.latency = None;
        self
    }

    /// The same with this usage.
    #[must_use]
    pub fn using(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// The same, answering a cancellation like this.
    #[must_use]
    pub fn on_cancel(mut self, on_cancel: OnCancel) -> Self {
        self.on_cancel = on_cancel;
        self
    }
}

/// Decides what each dispatch does. Any closure of this form is one.
pub trait Plans {
    /// The plan of one attempt; `random` draws for this attempt alone, whatever else is under way.
    fn plan(&mut self, dispatch: &Dispatch, random: &mut Random) -> Plan;

    /// The same for plans that depend on the time of the dispatch: outages, limits.
    fn plan_at(&mut self, dispatch: &Dispatch, _now: Micros, random: &mut Random) -> Plan {
        self.plan(dispatch, random)
    }
}

/// Plans that depend on the time.
pub(crate) struct Timed<F>(pub F);

impl<F: FnMut(&Dispatch, Micros, &mut Random) -> Plan> Plans for Timed<F> {
    fn plan(&mut self, dispatch: &Dispatch, random: &mut Random) -> Plan {
        (self.0)(dispatch, Micros(0), random)
    }

    fn plan_at(&mut self, dispatch: &Dispatch, now: Micros, random: &mut Random) -> Plan {
        (self.0)(dispatch, now, random)
    }
}

impl<F: FnMut(&Dispatch, &mut Random) -> Plan> Plans for F {
    fn plan(&mut self, dispatch: &Dispatch, random: &mut Random) -> Plan {
        self(dispatch, random)
    }
}

/// The plans of a simulation that names none: every attempt ends at once, a task with its prompt, a tool
/// with its arguments, an approval with `true`.
pub fn echo(dispatch: &Dispatch, _random: &mut Random) -> Plan {
    match &dispatch.work {
        Work::Task(task) => Plan::done(task.prompt.as_str()),
        Work::Tool { args, .. } => Plan::done(args.read::<serde_json::Value>().unwrap_or_default()),
        Work::Approve(_) => Plan::done(true),
        Work::LoadProgram { name } => Plan::failed(unknown_program(name)),
        Work::Model(request) => Plan::says(request.messages.len().to_string()),
        Work::ResolveModel { name } => Plan::failed(unknown_model(name)),
        Work::Worktree(_) => Plan::done(serde_json::Value::Null),
        Work::LookUp(_) => Plan::found(&Found::Unknown("nobody knows".to_owned())),
    }
}

/// What a host answers when no saved program has the name.
pub(crate) fn unknown_program(name: &str) -> Failure {
    let message = format!("no saved program is named `{name}`");
    Failure::new(Reason::Policy, Code::WORKFLOW_UNKNOWN, message).not_sent()
}

/// What a host answers when no provider has the model.
fn unknown_model(name: &str) -> Failure {
    let message = format!("no model is named `{name}`");
    Failure::new(Reason::Policy, Code::MODEL_UNKNOWN, message).not_sent()
}

/// How long attempts take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Always this long.
    Fixed(Micros),
    /// Evenly between the two.
    Even(Micros, Micros),
    /// Exponentially distributed with this mean.
    Exponential(Micros),
}

impl Latency {
    /// One latency.
    pub fn draw(self, random: &mut Random) -> Micros {
        match self {
            Self::Fixed(latency) => latency,
            Self::Even(least, most) => Micros(least.0 + random.below(most.0 - least.0 + 1)),
            Self::Exponential(mean) => Micros(random.exponential(mean.0 as f64).round() as u64),
        }
    }
}
