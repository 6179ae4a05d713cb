//! What runs ask people, as their journals say: for whoever answers from another process.

use crate::requests::fits;
use loopwright_journal::{Control, Error, Receipt, Store};
use loopwright_protocol::{
    ApproveRequest, CallEntry, CallKind, Decision, EndEntry, Entry, Found, Json, Outcome,
    PersonAnswer, Request,
};
use loopwright_types::{
    Attempt, CallId, Code, Diagnostic, Failure, Micros, Position, Reason, RunId,
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A question that waits for its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    /// The run.
    pub run: RunId,
    /// The call.
    pub call: CallId,
    /// What is asked.
    pub request: ApproveRequest,
    /// Since when.
    pub since: Micros,
    /// When it is too late for an answer.
    pub deadline: Option<Micros>,
    /// The program's file, where it asks.
    pub program: String,
    /// The author's line and column.
    pub position: Option<Position>,
    /// An answer that was given and that the run has not taken yet.
    pub answer: Option<PersonAnswer>,
}

/// A call that was sent and of whose result nothing is known, in a run that waits for somebody to say what became of
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct InDoubt {
    /// The run.
    pub run: RunId,
    /// The call.
    pub call: CallId,
    /// The subagent type or the tool.
    pub name: String,
    /// What was asked of it: the task's prompt, the tool's arguments.
    pub request: Option<Json>,
    /// Since when it is in doubt.
    pub since: Micros,
    /// The program's file.
    pub program: String,
    /// The author's line and column.
    pub position: Option<Position>,
    /// What the last lookup said, which did not find out what became of it.
    pub looked_up: Option<String>,
    /// A decision that was made and that the run has not taken yet.
    pub decision: Option<Decision>,
}

/// Everything that a run waits for somebody for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waiting {
    /// Questions, oldest first.
    pub approvals: Vec<Approval>,
    /// Calls in doubt, oldest first.
    pub doubts: Vec<InDoubt>,
}

/// Finds what waits in the entries of one run.
#[derive(Default)]
struct Search {
    programs: Vec<String>,
    open: BTreeMap<CallId, (ApproveRequest, Micros, String, Option<Position>)>,
    /// Attempts that may have done something, sent and without an end, or cut off.
    sent: HashSet<CallId>,
    doubts: BTreeMap<CallId, Micros>,
    /// Lookups of those, and what they said that found nothing out.
    lookups: HashMap<CallId, (Attempt, Option<String>)>,
    made: HashMap<CallId, Made>,
    over: bool,
}

/// A call that may do something.
struct Made {
    name: String,
    request: Option<Json>,
    program: String,
    position: Option<Position>,
}

impl Search {
    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::RunStarted(start) => self.programs.push(start.program.name.clone()),
            Entry::GuestStarted { program, .. } => self.programs.push(program.name.clone()),
            Entry::Called(call) => self.called(call),
            Entry::Stepped(step) => {
                let of = self.made.get(&step.task);
                let (program, position) =
                    of.map(|of| (of.program.clone(), of.position)).unwrap_or_default();
                let (name, request) = (step.name.clone(), step.args.clone());
                self.made.insert(step.call, Made { name, request, program, position });
            }
            Entry::AttemptStarted(start) if start.effects.is_some() => {
                self.sent.insert(start.call);
            }
            Entry::AttemptStarted(start) if start.looks_up.is_some() => {
                self.lookups.insert(start.call, (start.attempt, None));
            }
            Entry::AttemptEnded(end) if self.looked_up(end) => {}
            Entry::AttemptEnded(end) => {
                // One that was cut off may have done what it was sent for.
                let cut = |failure: &Failure| failure.reason == Reason::Cancelled && failure.sent;
                if !matches!(&end.outcome, Outcome::Failed(failure) if cut(failure)) {
                    self.sent.remove(&end.call);
                }
            }
            Entry::Settled(settled) => {
                let call = &settled.call;
                self.open.remove(call);
                self.sent.remove(call);
                self.doubts.remove(call);
                self.made.remove(call);
            }
            Entry::Resumed(resumed) => {
                for call in self.sent.drain() {
                    self.doubts.entry(call).or_insert(resumed.now);
                }
            }
            Entry::Decided(decided) => drop(self.doubts.remove(&decided.call)),
            Entry::RunFinished(finish) => self.over = !finish.status.waits(),
            _ => {}
        }
        if !matches!(entry, Entry::RunFinished(_)) {
            self.over = false; // a run that had stopped goes on
        }
    }

    /// Whether it was a lookup that ended; what was found out is in doubt no more.
    fn looked_up(&mut self, end: &EndEntry) -> bool {
        let Some((attempt, said)) = self.lookups.get_mut(&end.call) else { return false };
        if *attempt != end.attempt {
            return false;
        }
        match Found::of(&end.outcome) {
            // One that was ended with its run is made again.
            _ if matches!(&end.outcome, Outcome::Failed(it) if it.reason == Reason::Cancelled) => {}
            Found::Unknown(why) => *said = Some(why),
            Found::Done(_) | Found::NotDone => drop(self.doubts.remove(&end.call)),
        }
        true
    }

    fn called(&mut self, call: &CallEntry) {
        let program = self.programs.get(call.guest.0 as usize).cloned().unwrap_or_default();
        match (call.kind, Request::read(call.kind, &call.request)) {
            (CallKind::Approve, Ok(Request::Approve(request))) => {
                self.open.insert(call.call, (request, call.now, program, call.position));
            }
            (_, Ok(Request::Tool(tool))) => {
                let (name, request, position) = (tool.name, Some(tool.args), call.position);
                self.made.insert(call.call, Made { name, request, program, position });
            }
            (_, Ok(Request::Task(task))) => {
                let name = call.subagent.clone().unwrap_or_default();
                let (request, position) = (Some(Json::of(&task.prompt)), call.position);
                self.made.insert(call.call, Made { name, request, program, position });
            }
            _ => {}
        }
    }
}

/// The questions of a run that wait for answers, and its calls in doubt.
///
/// # Errors
/// When there is no such run or its record is damaged.
pub fn waiting(store: &Store, run: &RunId) -> Result<Waiting, Error> {
    let mut search = Search::default();
    for entry in store.read(run)? {
        search.take(&entry?.1);
    }
    if search.over || (search.open.is_empty() && search.doubts.is_empty()) {
        return Ok(Waiting::default());
    }
    let mut answers = BTreeMap::new();
    for request in store.requests(run)? {
        if let Control::Answer(answer) = &request.control
            && let Ok(answer) = answer.read::<PersonAnswer>()
        {
            answers.insert(answer.call(), answer);
        }
    }
    let mut waiting = Waiting::default();
    for (call, since) in search.doubts {
        let Some(made) = search.made.remove(&call) else { continue };
        let decision = match answers.get(&call) {
            Some(PersonAnswer::Decided { decision, .. }) => Some(decision.clone()),
            _ => None,
        };
        let Made { name, request, program, position } = made;
        let looked_up = search.lookups.remove(&call).and_then(|(_, said)| said);
        let doubt = InDoubt {
            run: run.clone(),
            call,
            name,
            request,
            since,
            program,
            position,
            looked_up,
            decision,
        };
        waiting.doubts.push(doubt);
    }
    for (call, (request, since, program, position)) in search.open {
        // A cast from float saturates: a deadline beyond time is none that passes.
        let wait = request.deadline_ms.map(|ms| Micros((ms * 1000.0) as u64));
        waiting.approvals.push(Approval {
            run: run.clone(),
            call,
            deadline: wait.map(|wait| since.after(wait)),
            answer: answers.remove(&call),
            request,
            since,
            program,
            position,
        });
    }
    Ok(waiting)
}

impl Approval {
    /// Gives an answer: `true`, `false`, or one of the choices.
    ///
    /// # Errors
    /// When the answer does not fit the question; when the run has ended or the journal cannot be written.
    pub fn answer(
        &self,
        store: &Store,
        value: Json,
        said: Option<String>,
    ) -> Result<Receipt, Diagnostic> {
        if !fits(&value, self.request.choices.as_deref()) {
            let message = format!("`{}` does not answer `{}`", value.text(), self.request.question);
            let hint = match &self.request.choices {
                None => "it is a question for yes or no".to_owned(),
                Some(choices) => format!("the choices are `{}`", choices.join("`, `")),
            };
            return Err(Diagnostic::new(Code::ANSWER_UNFIT, message).hint(hint));
        }
        self.send(store, &PersonAnswer::Given { call: self.call, value, said })
    }

    /// Rejects: `false` where yes or no is asked; where there are choices, the call fails and the program is told why.
    ///
    /// # Errors
    /// When the run has ended or the journal cannot be written.
    pub fn reject(&self, store: &Store, said: Option<String>) -> Result<Receipt, Diagnostic> {
        let call = self.call;
        let answer = match &self.request.choices {
            None => PersonAnswer::Given { call, value: Json::of(&false), said },
            Some(_) => PersonAnswer::Rejected { call, said },
        };
        self.send(store, &answer)
    }

    fn send(&self, store: &Store, answer: &PersonAnswer) -> Result<Receipt, Diagnostic> {
        store
            .request(&self.run, Control::Answer(Json::of(answer)))
            .map_err(|error| error.diagnostic())
    }
}
