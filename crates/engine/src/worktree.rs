//! A task's own git worktree: made before its subagent begins, finished before the task settles.

use crate::engine::Engine;
use crate::steps::Step;
use loopwright_protocol::{
    CallKind, Command, Outcome, TimerId, Work, Worktree, WorktreeReport, WorktreeWork,
};
use loopwright_types::{Attempt, CallId, Code, Failure, Micros, Reason, Usage};

/// How long finishing the worktree of a task that is settled may take. One that takes longer stays as it is, and is
/// found by `loopwright worktrees`.
const LEFT_MAX: Micros = Micros::from_millis(10_000);

impl Engine {
    /// Asks for a worktree; the subagent begins when it is there.
    pub(crate) fn begin_worktree(&mut self, id: CallId) {
        if self.calls[id.0 as usize].started.is_none() {
            // Making it is part of the task's time.
            self.calls[id.0 as usize].started = Some(self.now);
            self.set_deadline(id, self.timeout(id));
        }
        self.worktree_step(id, "create", WorktreeWork::Create);
    }

    fn worktree_step(&mut self, id: CallId, name: &str, work: WorktreeWork) {
        let (name, work) = (name.to_owned(), Work::Worktree(work));
        let step = Step { kind: CallKind::Worktree, turn: 0, name, args: None, work };
        let step = self.enter_step(id, step);
        self.send_step(step);
    }

    /// The subagent is done: its task settles once its worktree is finished.
    pub(crate) fn conclude(&mut self, id: CallId, outcome: Outcome, hidden: Option<Failure>) {
        let own = self.calls[id.0 as usize].task.as_mut().and_then(|task| task.own.as_mut());
        let open = own.filter(|own| own.closing.is_none()).and_then(|own| {
            let worktree = own.worktree.clone()?;
            own.closing = Some(Box::new((outcome.clone(), hidden.clone())));
            Some(worktree)
        });
        match open {
            Some(worktree) => {
                // The answer has to outlive the process while the worktree is being finished.
                if let Some((_, attempt, usage)) = self.ending_of.take_if(|(call, ..)| *call == id)
                {
                    let end = hidden.map_or(outcome, Outcome::Failed);
                    self.attempt_ended(id, attempt, end, usage, None);
                }
                self.worktree_step(id, "finish", WorktreeWork::Finish(worktree));
            }
            None => self.settle_with(id, outcome, hidden),
        }
    }

    /// The task's time is up while its worktree is being finished: the answer stands. Says whether it was so.
    pub(crate) fn conclude_late(&mut self, id: CallId) -> bool {
        let own = self.calls[id.0 as usize].task.as_mut().and_then(|task| task.own.as_mut());
        let Some((own, closing)) = own.and_then(|own| own.closing.take().map(|end| (own, end)))
        else {
            return false;
        };
        own.report = Some(kept(own.worktree.as_ref(), "not looked at in time".to_owned()));
        let (end, hidden) = *closing;
        self.settle_with(id, end, hidden);
        true
    }

    /// A task is settled whose worktree nobody has looked at. What still works in it has to end first; then it is
    /// finished like any other, and the step tells what became of it.
    pub(crate) fn leave_worktree(&mut self, task: CallId, worktree: Worktree, steps: &[CallId]) {
        let calls = std::iter::once(task).chain(steps.iter().copied());
        // One that waits for the disk is dropped when that has it: a restored run cannot tell it from the others.
        let working = calls.filter(|id| self.calls[id.0 as usize].active.is_some()).collect();
        self.left_worktrees.insert(task, (worktree, working));
        self.finish_left(task);
    }

    /// An attempt is over whose call is settled: it may have worked in a worktree that was left, or have made one.
    pub(crate) fn left_by(&mut self, id: CallId, outcome: &Outcome) {
        let call = &self.calls[id.0 as usize];
        let (kind, task) = (call.kind, call.parent().unwrap_or(id));
        if let Some((_, working)) = self.left_worktrees.get_mut(&task) {
            working.retain(|other| *other != id);
            self.finish_left(task);
        } else if let (CallKind::Worktree, Outcome::Done(json)) = (kind, outcome)
            && let Ok(worktree) = json.read::<Worktree>()
        {
            self.leave_worktree(task, worktree, &[]);
        }
    }

    /// The journal says that nobody works in it any more.
    pub(crate) fn finish_told(&mut self, task: CallId) {
        if let Some((_, working)) = self.left_worktrees.get_mut(&task) {
            working.clear();
            self.finish_left(task);
        }
    }

    fn finish_left(&mut self, task: CallId) {
        let is_over = |(_, working): &mut (Worktree, Vec<CallId>)| working.is_empty();
        let left = self.left_worktrees.get_mut(&task).is_some_and(is_over);
        let Some((worktree, _)) = left.then(|| self.left_worktrees.remove(&task)).flatten() else {
            return;
        };
        let (kind, name) = (CallKind::Worktree, "finish".to_owned());
        let work = Work::Worktree(WorktreeWork::Finish(worktree));
        let step = self.enter_step(task, Step { kind, turn: 0, name, args: None, work });
        self.send_step(step);
        self.limit_left(step);
    }

    /// A run that is ending waits for what looks at a worktree that was left, and not for ever.
    pub(crate) fn limit_left(&mut self, step: CallId) {
        let is_over = |task: CallId| self.calls[task.0 as usize].is_settled();
        if self.calls[step.0 as usize].parent().is_some_and(is_over) {
            let at = self.now.after(LEFT_MAX);
            self.out.push(Command::SetTimer { timer: TimerId::Deadline(step), at });
        }
    }

    /// A worktree was made or finished, or could not be.
    pub(crate) fn worktree_answered(&mut self, id: CallId, outcome: Outcome) {
        let own = self.task_loop(id);
        if let Some(closing) = own.closing.take() {
            let (end, hidden) = *closing;
            match outcome {
                Outcome::Done(json) => {
                    own.report = Some(json.read().unwrap_or_else(|error| {
                        kept(own.worktree.as_ref(), format!("its report cannot be read: {error}"))
                    }));
                }
                Outcome::Failed(failure) => {
                    // The answer stands; what became of the worktree is told with it.
                    own.report = Some(kept(own.worktree.as_ref(), failure.message));
                }
            }
            return self.settle_with(id, end, hidden);
        }
        let made = match outcome {
            Outcome::Done(json) => json.read::<Worktree>().map_err(|error| {
                let message = format!("the worktree cannot be read: {error}");
                Failure::new(Reason::Provider, Code::TOOL_FAILED, message)
            }),
            Outcome::Failed(failure) => Err(failure),
        };
        match made {
            Ok(worktree) => {
                own.worktree = Some(worktree);
                // It goes on when it fits beside what has begun meanwhile.
                self.release_slot(id);
                self.enqueue(id);
            }
            Err(failure) => {
                let attempt = Attempt(self.calls[id.0 as usize].attempts);
                self.give_up(id, failure, None, attempt, Usage::default());
            }
        }
    }
}

/// The report of a worktree of which only `why` is known: it stays.
pub(crate) fn kept(worktree: Option<&Worktree>, why: String) -> WorktreeReport {
    WorktreeReport {
        changed: true,
        branch: worktree.map(|worktree| worktree.branch.clone()),
        path: worktree.map(|worktree| worktree.path.clone()),
        diffstat: why,
    }
}
