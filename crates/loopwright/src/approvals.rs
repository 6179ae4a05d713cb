//! What runs ask people, as their journals say: for whoever answers from another process.

use crate::requests::fits;
use loopwright_journal::{Control, Error, Receipt, Store};
use loopwright_protocol::{ApproveRequest, CallKind, Entry, Json, PersonAnswer};
use loopwright_types::{CallId, Code, Diagnostic, Micros, Position, RunId};
use std::collections::BTreeMap;

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

/// Finds questions in the entries of one run.
#[derive(Default)]
struct Search {
    programs: Vec<String>,
    now: Micros,
    open: BTreeMap<CallId, (ApproveRequest, Micros, String, Option<Position>)>,
    over: bool,
}

impl Search {
    fn take(&mut self, entry: &Entry) {
        match entry {
            Entry::RunStarted(start) => self.programs.push(start.program.name.clone()),
            Entry::GuestStarted { program, .. } => self.programs.push(program.name.clone()),
            Entry::Turn(turn) => self.now = self.now.max(turn.now),
            Entry::Called(call) if call.kind == CallKind::Approve => {
                let program = self.programs.get(call.guest.0 as usize).cloned();
                if let Ok(request) = call.request.read() {
                    let program = program.unwrap_or_default();
                    self.open.insert(call.call, (request, self.now, program, call.position));
                }
            }
            Entry::Settled(settled) => drop(self.open.remove(&settled.call)),
            Entry::RunFinished(finish) => self.over = !finish.status.waits(),
            _ => {}
        }
    }
}

/// The questions of a run that wait for answers, oldest first.
///
/// # Errors
/// When there is no such run or its record is damaged.
pub fn approvals(store: &Store, run: &RunId) -> Result<Vec<Approval>, Error> {
    let mut search = Search::default();
    for entry in store.read(run)? {
        search.take(&entry?.1);
    }
    if search.over || search.open.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers = BTreeMap::new();
    for request in store.requests(run)? {
        if let Control::Answer(answer) = &request.control
            && let Ok(answer) = answer.read::<PersonAnswer>()
        {
            answers.insert(answer.call(), answer);
        }
    }
    let approval =
        |(call, (request, since, program, position)): (CallId, (ApproveRequest, _, _, _))| {
            let wait = request.deadline_ms.map(|ms| Micros((ms * 1000.0) as u64));
            Approval {
                run: run.clone(),
                call,
                deadline: wait.map(|wait| Micros::after(since, wait)),
                answer: answers.remove(&call),
                request,
                since,
                program,
                position,
            }
        };
    Ok(search.open.into_iter().map(approval).collect())
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
