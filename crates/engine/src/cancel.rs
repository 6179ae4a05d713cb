//! Cancellation: it reaches every descendant, and what is cancelled is charged and journalled.

use crate::engine::Engine;
use loopwright_protocol::{CallKind, Entry, Outcome};
use loopwright_types::{CallId, Code, Failure, GuestId, Reason, ScopeId};

/// The failure of a cancelled call.
pub(crate) fn failure(reason: Reason) -> Failure {
    let (code, message) = match reason {
        Reason::Timeout => (Code::DEADLINE, "the program's deadline for this work passed"),
        _ => (Code::CANCELLED, "cancelled: its result is no longer wanted"),
    };
    Failure::new(reason, code, message)
}

impl Engine {
    /// Cancels a scope of a guest and everything below it.
    pub(crate) fn cancel_scope(&mut self, guest: GuestId, scope: ScopeId, reason: Reason) {
        let scopes = &mut self.guests[guest.0 as usize].scopes;
        let mut reached = vec![scope];
        let mut calls = Vec::new();
        while let Some(next) = reached.pop() {
            let state = scopes.entry(next).or_default();
            if !state.cancelled {
                state.cancelled = true;
                calls.append(&mut state.calls);
                reached.extend_from_slice(&state.children);
            }
        }
        calls.sort_unstable();
        let now = self.now;
        self.append(Entry::ScopeCancelled { guest, scope, now, reason });
        for call in calls {
            self.cancel_call(call, &failure(reason));
        }
    }

    /// Settles a call as cancelled, with what it started.
    pub(crate) fn cancel_call(&mut self, id: CallId, why: &Failure) {
        let call = &self.calls[id.0 as usize];
        if call.is_settled() {
            return;
        }
        if let Some(child) = call.child {
            self.end_guest(child, why);
        }
        self.settle(id, Outcome::Failed(why.clone()));
    }

    /// Takes a guest out of the run: its calls are cancelled and it gets no more turns.
    pub(crate) fn end_guest(&mut self, id: GuestId, why: &Failure) {
        let guest = &mut self.guests[id.0 as usize];
        if guest.ended {
            return;
        }
        guest.ended = true;
        guest.deliverable.clear();
        let calls: Vec<CallId> = guest.unsettled.iter().copied().collect();
        for call in calls {
            // What a settled task left in its worktree is looked at, whatever becomes of the program.
            let it = &self.calls[call.0 as usize];
            let is_over = |task: CallId| self.calls[task.0 as usize].is_settled();
            if it.kind != CallKind::Worktree || !it.parent().is_some_and(is_over) {
                self.cancel_call(call, why);
            }
        }
        let guest = &mut self.guests[id.0 as usize];
        guest.deliverable.clear();
        guest.scopes.clear();
        self.out.push(loopwright_protocol::Command::DropGuest { guest: id });
    }
}
