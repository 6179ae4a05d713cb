//! Saved programs run inline: `workflow(name, args)`. A nested program is a guest of its own that shares
//! caps, budget and cancellation; while it runs its call holds no slot.

use crate::call::State;
use crate::engine::Engine;
use loopwright_protocol::{Entry, Json, Outcome, ProgramText};
use loopwright_types::{CallId, Code, Diagnostic, Failure, GuestId, Reason};

impl Engine {
    /// Begins a `workflow()` call: checks the depth and asks the host for the program.
    pub(crate) fn begin_workflow(&mut self, id: CallId, name: String) {
        let guest = self.calls[id.0 as usize].guest;
        let depth = self.guests[guest.0 as usize].depth;
        let most = self.options.workflow_depth_max;
        if depth >= most {
            let message = format!("`{name}` is nested {} programs deep (limit {most})", depth + 1);
            let failure = Failure::new(Reason::Limit, Code::WORKFLOW_TOO_DEEP, message)
                .hint("raise `run.workflow_depth_max`, or let the outer program do the work itself")
                .not_sent();
            self.settle(id, Outcome::Failed(failure));
            return;
        }
        let work = loopwright_protocol::Work::LoadProgram { name };
        self.start_attempt(id, None, work, false);
    }

    /// The host found the program: pins it in the journal and runs it.
    pub(crate) fn run_nested(&mut self, id: CallId, program: &Json, args: Option<&Json>) {
        let program: ProgramText = match program.read() {
            Ok(program) => program,
            Err(error) => {
                let message = format!("the saved program cannot be read: {error}");
                let failure = Failure::new(Reason::Program, Code::WORKFLOW_FAILED, message);
                return self.settle(id, Outcome::Failed(failure));
            }
        };
        let call = &self.calls[id.0 as usize];
        let depth = self.guests[call.guest.0 as usize].depth + 1;
        let guest =
            GuestId(u32::try_from(self.guests.len()).expect("calls are counted in 32 bits"));
        let (pinned, given) = (Box::new(program.clone()), args.cloned());
        self.append(Entry::GuestStarted { guest, call: id, program: pinned, args: given });
        let started = self.start_guest(Some(id), depth, program, args);
        assert_eq!(started, guest, "the journal names the guest that runs");
        let call = &mut self.calls[id.0 as usize];
        call.state = State::Waiting;
        call.child = Some(guest);
    }

    /// A guest's main program and all its calls are over.
    pub(crate) fn guest_done(&mut self, id: GuestId) {
        let guest = &mut self.guests[id.0 as usize];
        if let Some(error) = guest.error.take() {
            return self.guest_failed(id, error, false);
        }
        let value = guest.value.take().unwrap_or_else(Json::null);
        guest.ended = true;
        let call = guest.call;
        self.out.push(loopwright_protocol::Command::DropGuest { guest: id });
        match call {
            Some(call) => self.settle(call, Outcome::Done(value)),
            None => self.end_with_result(value),
        }
    }

    /// A guest cannot go on: the run fails, or the nested program's call does. What came from outside a
    /// nested program is no outcome of its call either: it ends the run.
    pub(crate) fn guest_failed(&mut self, id: GuestId, error: Diagnostic, external: bool) {
        if external {
            return self.guest_stopped(id, error);
        }
        let guest = &self.guests[id.0 as usize];
        let Some(call) = guest.call else { return self.end_with_failure(error) };
        let message = format!("`{}` failed: {}", guest.name, error.message);
        let mut failure = Failure::new(Reason::Program, Code::WORKFLOW_FAILED, message);
        failure.hint = error.hint;
        self.end_guest(id, &crate::cancel::failure(Reason::Cancelled));
        self.settle(call, Outcome::Failed(failure));
    }
}
