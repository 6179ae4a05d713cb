//! Steps of a subagent's loop: calls like the program's, made for a task. Each has its intent, its result and
//! its digest in the journal, so that an interrupted subagent continues its conversation.

use crate::call::{Call, StepState};
use crate::engine::Engine;
use loopwright_protocol::{CallKind, Entry, Json, Outcome, StepEntry, Work};
use loopwright_types::{CallId, Digest, Failure, Slot};

/// What a step is, before it has a number.
pub(crate) struct Step {
    pub kind: CallKind,
    pub turn: u32,
    pub name: String,
    pub args: Option<Json>,
    pub work: Work,
}

impl Engine {
    /// Numbers and journals a step of a task; what sends it is the caller's.
    pub(crate) fn enter_step(&mut self, task: CallId, step: Step) -> CallId {
        let id = CallId(u32::try_from(self.calls.len()).expect("calls are counted in 32 bits"));
        let Step { kind, turn, name, args, work } = step;
        let digest = digest(kind, &name, args.as_ref(), &work);
        let parent = &self.calls[task.0 as usize];
        let guest = parent.guest;
        // Only a request to it has its price: what a tool uses is no business of the model's.
        let own = parent.task.as_ref().filter(|_| kind == CallKind::Model);
        let model = own.and_then(|task| task.own.as_ref()?.model.clone());
        let state =
            StepState { task, work: Some(work), model, gate: None, failures: 0, parked: None };
        let call = Call::new(guest, Slot(0), kind, parent.position);
        self.calls.push(Call { step: Some(Box::new(state)), ..call });
        self.guests[guest.0 as usize].unsettled.insert(id);
        if !self.calls[task.0 as usize].is_settled() {
            self.task_loop(task).open.push(id);
        }
        let now = self.now;
        let entry = StepEntry { call: id, task, now, kind, turn, name, args, digest };
        self.append(Entry::Stepped(Box::new(entry)));
        id
    }

    /// The loop of a task that is not settled.
    pub(crate) fn task_loop(&mut self, task: CallId) -> &mut crate::loops::Loop {
        self.task_mut(task).own.get_or_insert_default()
    }

    /// A step has its outcome: the task's loop goes on, if it still runs.
    pub(crate) fn step_settled(&mut self, id: CallId, outcome: Outcome) {
        let call = &mut self.calls[id.0 as usize];
        let (kind, usage) = (call.kind, call.usage);
        let Some(step) = &mut call.step else { return };
        let (task, gate) = (step.task, step.gate);
        let asked = step.work.take();
        let parent = &mut self.calls[task.0 as usize];
        parent.usage.add(usage);
        let wanted = !parent.is_settled();
        if wanted {
            if let Some(since) = gate.and_then(|gate| self.gates[gate].down_since()) {
                self.excuse_task(task, since);
            }
            // A request that waited for its provider may be over without having gone out.
            self.came_back(task, id);
            self.task_loop(task).open.retain(|open| *open != id);
        }
        match kind {
            CallKind::Resolve => {
                if let Some(Work::ResolveModel { name }) = asked {
                    self.model_resolved(task, name, outcome);
                }
            }
            _ if !wanted => {}
            CallKind::Model => self.model_answered(task, outcome),
            CallKind::Worktree => self.worktree_answered(task, outcome),
            _ => self.tool_answered(task, id, outcome),
        }
    }

    /// The state of a step.
    pub(crate) fn step_state(&self, id: CallId) -> &StepState {
        self.calls[id.0 as usize].step.as_deref().expect("a step has its state")
    }

    /// The same, to change it.
    pub(crate) fn step_state_mut(&mut self, id: CallId) -> &mut StepState {
        self.calls[id.0 as usize].step.as_deref_mut().expect("a step has its state")
    }

    /// Cancels what a task that is being settled has under way.
    pub(crate) fn cancel_steps(&mut self, task: CallId, why: &Failure) {
        let open = match &mut self.calls[task.0 as usize].task {
            Some(task) => task.own.as_mut().map(|own| std::mem::take(&mut own.open)),
            None => return,
        };
        for step in open.unwrap_or_default() {
            self.cancel_call(step, why);
        }
    }
}

/// SHA-256 of kind, name and the whole request.
fn digest(kind: CallKind, name: &str, args: Option<&Json>, work: &Work) -> Digest {
    let request = match work {
        Work::Model(request) => serde_json::to_vec(request).expect("plain data always serialises"),
        Work::Worktree(work) => serde_json::to_vec(work).expect("plain data always serialises"),
        _ => args.map_or(Vec::new(), |args| args.text().as_bytes().to_vec()),
    };
    Digest::of_parts([kind.as_str().as_bytes(), name.as_bytes(), &request])
}
