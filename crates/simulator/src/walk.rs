//! A script under way: a tree of steps, of which some wait for calls.

use crate::script::{Step, bits};
use crate::{Pen, script};
use loopwright_protocol::{CallKind, Completion, CompletionStatus, TurnInput, TurnReport};
use loopwright_types::{ScopeId, Slot};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// A value, or the error as the bridge tells it.
type Outcome = Result<Value, Value>;

/// Which step a step reports its end to, and as which of its branches.
#[derive(Clone, Copy, Debug)]
struct Parent {
    node: usize,
    branch: usize,
}

#[derive(Debug)]
enum Wait {
    Root,
    Spawned,
    Call { nullable: bool },
    Seq { rest: VecDeque<Step>, observed: bool },
    All { values: Vec<Value>, left: usize },
    Settle { values: Vec<Value>, left: usize },
    Quorum { k: usize, values: Vec<Value>, left: usize, scopes: Vec<Option<ScopeId>> },
    Deadline { work: ScopeId, timer: ScopeId },
    Catch,
    Over,
}

#[derive(Debug)]
struct Node {
    parent: Parent,
    scope: ScopeId,
    wait: Wait,
}

/// One scripted guest.
#[derive(Debug)]
pub(crate) struct Walk {
    program: Option<Step>,
    nodes: Vec<Node>,
    calls: HashMap<Slot, usize>,
    pen: Pen,
}

const NOWHERE: Parent = Parent { node: 0, branch: 0 };

impl Walk {
    pub fn new(program: Step) -> Self {
        let root = Node { parent: NOWHERE, scope: ScopeId(0), wait: Wait::Root };
        Self {
            program: Some(program),
            nodes: vec![root],
            calls: HashMap::new(),
            pen: Pen::default(),
        }
    }

    /// Settles, then runs until everything waits.
    pub fn turn(&mut self, input: &TurnInput) -> TurnReport {
        let mut settled = Vec::new();
        for completion in &input.completions {
            let node = self.calls.remove(&completion.slot).expect("an open slot is answered");
            self.pen.settled(completion.slot);
            let nullable = matches!(self.nodes[node].wait, Wait::Call { nullable: true });
            settled.push((node, outcome(completion, nullable)));
        }
        for (node, outcome) in settled {
            self.end(node, outcome);
        }
        if let Some(program) = self.program.take() {
            self.begin(program, Parent { node: 0, branch: 0 }, ScopeId(0), false);
        }
        self.pen.report()
    }

    fn node(&mut self, parent: Parent, scope: ScopeId, wait: Wait) -> usize {
        self.nodes.push(Node { parent, scope, wait });
        self.nodes.len() - 1
    }

    fn begin(&mut self, step: Step, parent: Parent, scope: ScopeId, observed: bool) {
        match step {
            Step::Call { kind, request } => {
                let nullable = kind == CallKind::Agent;
                let node = self.node(parent, scope, Wait::Call { nullable });
                let null = if nullable { bits::NULL_ON_FAILURE } else { 0 };
                let seen = if observed { bits::OBSERVED } else { 0 };
                let slot = self.pen.call(scope, kind, null | seen, &request);
                self.calls.insert(slot, node);
            }
            Step::Seq(steps) => {
                let node = self.node(parent, scope, Wait::Seq { rest: steps.into(), observed });
                self.next_of_seq(node, Value::Null);
            }
            Step::All(steps) => {
                let values = vec![Value::Null; steps.len()];
                let node = self.node(parent, scope, Wait::All { values, left: steps.len() });
                self.begin_branches(node, steps, scope, observed);
            }
            Step::Settle(steps) => {
                let values = vec![Value::Null; steps.len()];
                let node = self.node(parent, scope, Wait::Settle { values, left: steps.len() });
                self.begin_branches(node, steps, scope, true);
            }
            Step::Quorum { k, of } => self.begin_quorum(k, of, parent, scope),
            Step::Deadline { ms, step } => {
                let (work, timer) = (self.pen.scope(scope), self.pen.scope(scope));
                let node = self.node(parent, scope, Wait::Deadline { work, timer });
                self.begin(*step, Parent { node, branch: 0 }, work, true);
                if matches!(self.nodes[node].wait, Wait::Deadline { .. }) {
                    self.begin(Step::sleep(ms), Parent { node, branch: 1 }, timer, true);
                }
            }
            Step::Catch(step) => {
                let node = self.node(parent, scope, Wait::Catch);
                self.begin(*step, Parent { node, branch: 0 }, scope, observed);
            }
            Step::Spawn(step) => {
                let node = self.node(NOWHERE, scope, Wait::Spawned);
                self.begin(*step, Parent { node, branch: 0 }, scope, false);
                self.tell(parent, Ok(Value::Null));
            }
            Step::Value(value) => self.tell(parent, Ok(value)),
            Step::Throw(message) => {
                self.tell(parent, Err(json!({ "name": "Error", "message": message })));
            }
            Step::Write(write) => {
                write.to(&mut self.pen);
                self.tell(parent, Ok(Value::Null));
            }
            Step::Never => {}
        }
    }

    fn begin_branches(&mut self, node: usize, steps: Vec<Step>, scope: ScopeId, observed: bool) {
        if steps.is_empty() {
            return self.end(node, Ok(json!([])));
        }
        for (branch, step) in steps.into_iter().enumerate() {
            self.begin(step, Parent { node, branch }, scope, observed);
        }
    }

    fn begin_quorum(&mut self, k: usize, of: Vec<Step>, parent: Parent, scope: ScopeId) {
        let scopes: Vec<_> = of.iter().map(|_| Some(self.pen.scope(scope))).collect();
        let (left, branches) = (of.len(), scopes.clone());
        let node = self.node(parent, scope, Wait::Quorum { k, values: Vec::new(), left, scopes });
        for (branch, (step, scope)) in of.into_iter().zip(branches).enumerate() {
            if matches!(self.nodes[node].wait, Wait::Over) {
                return; // the branches before sufficed
            }
            let scope = scope.expect("a branch that has not begun has its scope");
            self.begin(step, Parent { node, branch }, scope, true);
        }
    }

    fn next_of_seq(&mut self, node: usize, last: Value) {
        let scope = self.nodes[node].scope;
        let Wait::Seq { rest, observed } = &mut self.nodes[node].wait else { return };
        let observed = *observed;
        match rest.pop_front() {
            Some(step) => self.begin(step, Parent { node, branch: 0 }, scope, observed),
            None => self.end(node, Ok(last)),
        }
    }

    /// The step is over.
    fn end(&mut self, node: usize, outcome: Outcome) {
        let wait = std::mem::replace(&mut self.nodes[node].wait, Wait::Over);
        if !matches!(wait, Wait::Over) {
            self.tell(self.nodes[node].parent, outcome);
        }
    }

    /// A branch tells its parent how it ended.
    fn tell(&mut self, to: Parent, outcome: Outcome) {
        let Parent { node, branch } = to;
        match (&mut self.nodes[node].wait, outcome) {
            (Wait::Root, Ok(value)) => self.pen.fulfil(&value),
            (Wait::Root, Err(error)) => self.pen.reject(&error),
            (Wait::Spawned, Err(error)) => self.pen.unhandled(&error),
            (Wait::Seq { .. }, Ok(value)) => self.next_of_seq(node, value),
            (Wait::All { values, left }, Ok(value)) => {
                values[branch] = value;
                *left -= 1;
                if *left == 0 {
                    let values = std::mem::take(values);
                    self.end(node, Ok(values.into()));
                }
            }
            (Wait::Settle { values, left }, outcome) => {
                values[branch] = outcome.unwrap_or_else(|error| script::caught(&error));
                *left -= 1;
                if *left == 0 {
                    let values = std::mem::take(values);
                    self.end(node, Ok(values.into()));
                }
            }
            (Wait::Quorum { .. }, outcome) => self.tell_quorum(node, branch, outcome),
            (Wait::Deadline { work, timer }, outcome) => {
                let (scope, reason) =
                    if branch == 0 { (*timer, "cancelled") } else { (*work, "timeout") };
                self.pen.cancel(scope, reason);
                self.end(node, outcome);
            }
            (Wait::Catch, Err(error)) => self.end(node, Ok(script::caught(&error))),
            (Wait::Over | Wait::Spawned, _) => {}
            (Wait::Call { .. }, _) => unreachable!("a call has no branches"),
            (_, outcome) => self.end(node, outcome),
        }
    }

    fn tell_quorum(&mut self, node: usize, branch: usize, outcome: Outcome) {
        let Wait::Quorum { k, values, left, scopes } = &mut self.nodes[node].wait else { return };
        scopes[branch] = None;
        *left -= 1;
        let failed = outcome.as_ref().err().cloned();
        values.extend(outcome.ok());
        let end = if values.len() >= *k {
            Ok(std::mem::take(values).into())
        } else if values.len() + *left < *k {
            Err(failed.unwrap_or_default())
        } else {
            return;
        };
        for scope in std::mem::take(scopes).into_iter().flatten() {
            self.pen.cancel(scope, "cancelled");
        }
        self.end(node, end);
    }
}

/// What the promise of a call becomes; dialect B gets `null` for some failures.
fn outcome(completion: &Completion, nullable: bool) -> Outcome {
    let json: Value = completion.json.read().expect("a completion is JSON");
    match completion.status {
        CompletionStatus::Done => Ok(json),
        CompletionStatus::DoneTracked => Ok(json["value"].clone()),
        CompletionStatus::Failed => match json["reason"].as_str() {
            Some("provider" | "timeout" | "cancelled") if nullable => Ok(Value::Null),
            _ => Err(json),
        },
    }
}
