//! What providers are asked and what they answer: the same question always has the same answer, whoever asks.

use loopwright_protocol::{
    Block, Dispatch, Finish, Found, Json, Message, ModelReply, ModelRequest, Outcome, Work,
};
use loopwright_simulator::{Plan, Random};
use loopwright_types::{Code, Digest, Effects, Failure, Micros, Reason};
use serde_json::{Value, json};

/// One piece of work, known by what it asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key(pub String);

impl Key {
    /// Of what goes out.
    pub fn of(work: &Work) -> Self {
        Self(match work {
            Work::Task(task) => format!("{} {}", task.prompt, task.subagent),
            Work::Tool { name, args, .. } => format!("{name} {}", args.text()),
            Work::Model(request) => {
                let messages = serde_json::to_vec(&request.messages).unwrap_or_default();
                let prompt = prompt(request);
                format!("{prompt} {} {}", request.model, &Digest::of(&messages).to_string()[..8])
            }
            Work::LoadProgram { name } => format!("load {name}"),
            Work::Approve(approve) => format!("approve {}", approve.question),
            Work::ResolveModel { name } => format!("resolve {name}"),
            Work::Worktree(work) => format!("worktree {work:?}"),
            Work::LookUp(sent) => format!("lookup {}", Self::of(sent).0),
        })
    }

    /// Draws that belong to this work alone.
    pub fn random(&self) -> Random {
        let digest = Digest::of(self.0.as_bytes()).0;
        Random::new(u64::from_le_bytes(*digest.first_chunk().expect("32 bytes")))
    }
}

fn prompt(request: &ModelRequest) -> &str {
    match request.messages.first() {
        Some(Message::User { text }) => text,
        _ => "",
    }
}

/// What may happen when the work is done twice.
pub(super) fn effects(work: &Work) -> Effects {
    match work {
        Work::Task(task) if task.subagent == "external" => Effects::External,
        Work::Tool { name, .. } if name == "write_file" => Effects::Local,
        _ => Effects::None,
    }
}

/// What a lookup tells of work that ended so, if it was sent: now and then it cannot tell, or fails.
pub(super) fn looked_up(ended: Option<&Outcome>, random: &mut Random) -> Outcome {
    let found = match (random.below(8), ended) {
        (0, _) => Found::Unknown("nobody knows".to_owned()),
        (1, _) => {
            let message = "the lookup is overloaded";
            let failure = Failure::new(Reason::Provider, Code::LOOKUP_FAILED, message);
            return Outcome::Failed(failure.retryable());
        }
        (_, Some(Outcome::Done(value))) => Found::Done(value.clone()),
        _ => Found::NotDone,
    };
    Outcome::Done(Json::of(&found))
}

/// The value of what a program asks for under this name; some are large.
pub fn value(id: &str) -> Value {
    let mut random = Key(id.to_owned()).random();
    match random.below(8) {
        0 => json!(format!("{id} {}", "v".repeat(600))),
        1 => json!({ "of": id, "n": random.below(1000) }),
        _ => json!(format!("{id} is {}", random.below(1000))),
    }
}

/// Tasks whose prompt begins so always fail, in a way that is worth a retry where that repeats no effect.
pub(super) const FAILS: &str = "f";

/// How the work ends when it has been asked for this often before and answered.
pub(super) fn outcome(work: &Work, answered: usize) -> Outcome {
    let key = Key::of(work);
    let mut random = key.random();
    let fails = [0, 0, 0, 0, 0, 1, 2][random.below(7) as usize];
    if let Work::Task(task) = work
        && (task.prompt.starts_with(FAILS) || (effects(work) == Effects::None && answered < fails))
    {
        let message = "the provider is overloaded";
        let failure = Failure::new(Reason::Provider, Code::MOCK_FAILURE, message);
        return Outcome::Failed(failure.retryable());
    }
    match work {
        Work::Task(task) => Outcome::Done(Json::of(&value(&task.prompt))),
        Work::Tool { args, .. } => {
            let args: Value = args.read().unwrap_or_default();
            Outcome::Done(Json::of(&value(args["id"].as_str().unwrap_or_default())))
        }
        Work::Approve(_) => Outcome::Done(Json::of(&true)),
        Work::Model(request) => {
            Plan::done(serde_json::to_value(reply(request)).unwrap_or_default()).outcome
        }
        Work::LoadProgram { name } => Outcome::Done(Json::of(&loopwright_simulator::program(name))),
        Work::ResolveModel { .. } | Work::Worktree(_) | Work::LookUp(_) => {
            Outcome::Done(Json::null())
        }
    }
}

/// A model that calls a tool that changes something, once or twice, and then answers.
fn reply(request: &ModelRequest) -> ModelReply {
    let id = prompt(request);
    let turns = Key(id.to_owned()).random().below(3) as usize;
    let said =
        request.messages.iter().filter(|one| matches!(one, Message::Assistant { .. })).count();
    if said < turns {
        let arguments = json!({ "id": format!("{id}.{said}") }).to_string();
        let name = ["write_file", "grep"][said % 2].to_owned();
        let blocks = vec![Block::ToolUse { id: format!("call-{said}"), name, arguments }];
        return ModelReply { blocks, finish: Finish::Tools };
    }
    let text = served_value(id);
    ModelReply { blocks: vec![Block::Text { text }], finish: Finish::End }
}

/// What a model answers, in the end.
pub(super) fn served_value(id: &str) -> String {
    format!("{id} was served")
}

/// How long the work takes.
pub(super) fn latency(dispatch: &Dispatch, seed: u64, life: u64) -> Micros {
    let label = (u64::from(dispatch.call.0) << 32) | u64::from(dispatch.attempt.0) << 8 | life;
    let mut random = Random::new(seed).fork(label);
    match random.below(4) {
        0 => Micros(0),
        1 => Micros::from_millis(50 * random.below(4)),
        _ => Micros(random.exponential(60_000.0) as u64),
    }
}
