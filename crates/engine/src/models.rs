//! Requests to models: what one may cost, when it goes, what follows from how it ended.

use crate::budget::Admission as Money;
use crate::call::State;
use crate::engine::Engine;
use crate::gate::{Admission, Change, Gate, asked_wait};
use crate::steps::Step;
use loopwright_protocol::{
    CallKind, Command, Entry, Json, Model, Outcome, Progress, TimerId, Work,
};
use loopwright_types::{Attempt, CallId, Code, Digest, Failure, FailureClass, Micros, Usage};
use std::sync::Arc;

/// Bytes per token when the input of a request is reserved: on the safe side of what text in any language takes.
const BYTES_PER_TOKEN_LEAST: u64 = 3;
/// Fewest output tokens that are worth asking for when a budget is nearly spent.
const OUTPUT_TOKENS_MIN: u64 = 64;

impl Engine {
    /// Asks the task's model for its next reply.
    pub(crate) fn ask(&mut self, id: CallId) {
        let turn = self.turn(id);
        let effort = self.task(id).request.effort.clone();
        let most = self.options.output_tokens_max;
        let own = self.task_loop(id);
        let (Some(model), Some(talk)) = (&own.model, &own.talk) else {
            unreachable!("a model is asked in a conversation")
        };
        let output =
            if most == 0 { model.output_tokens_max } else { most.min(model.output_tokens_max) };
        let request = Box::new(talk.request(&model.name, output.max(1), effort));
        let prefix = (turn == 1).then(|| prefix(model, talk));
        let name = model.name.clone();
        let (kind, args, work) = (CallKind::Model, None, Work::Model(request));
        let step = self.enter_step(id, Step { kind, turn, name, args, work });
        self.calls[step.0 as usize].state = State::Queued;
        self.gate_of(step); // what waits for a sibling waits for the provider too
        let least = self.options.cache_prefix_bytes;
        match prefix {
            // What went out when is known already where a run is restored.
            Some((prefix, bytes)) if bytes as u64 >= least && self.past.is_none() => {
                let calls = &self.calls;
                let leads = |leader: CallId| {
                    let call = &calls[leader.0 as usize];
                    let task = call.parent().map(|task| &calls[task.0 as usize]);
                    call.active.is_some() || task.is_some_and(|task| task.lane.is_some())
                };
                if self.prefixes.may_go(prefix, step, self.now, leads) {
                    self.queue_model(step);
                }
            }
            _ => self.queue_model(step),
        }
    }

    /// Puts a request into its provider's queue.
    pub(crate) fn queue_model(&mut self, step: CallId) {
        self.calls[step.0 as usize].state = State::Queued;
        let gate = self.gate_of(step);
        if self.past.is_none() && !self.wait_apart(step, gate) {
            self.gates[gate].push(step);
        }
    }

    fn model_of(&self, step: CallId) -> Arc<Model> {
        Arc::clone(self.step_state(step).model.as_ref().expect("a request has its model"))
    }

    fn gate_of(&mut self, step: CallId) -> usize {
        let provider = match self.step_state(step).gate {
            Some(gate) => return gate,
            None => self.model_of(step).provider.clone(),
        };
        let found = self.gates.iter().position(|gate| gate.name == provider);
        let gate = found.unwrap_or_else(|| {
            let options = &self.options;
            let own = self.model_of(step).concurrency.map_or(usize::MAX, |own| own as usize);
            self.gates.push(Gate::new(
                &provider,
                options.concurrency_per_provider.min(own.max(1)),
                options.breaker_failures,
                options.probe_max,
            ));
            self.gates.len() - 1
        });
        self.step_state_mut(step).gate = Some(gate);
        gate
    }

    /// Sends waiting requests while providers and budgets have room; says whether slots became free.
    pub(crate) fn schedule_models(&mut self) -> bool {
        let mut freed = false;
        for gate in 0..self.gates.len() {
            while let Some(step) = {
                let calls = &self.calls;
                self.gates[gate].oldest(|id| calls[id.0 as usize].state == State::Queued)
            } {
                if let Some(failure) = self.spent(gate, step) {
                    self.quota_spent(step, failure);
                    freed = true;
                    continue;
                }
                // What was cancelled and has not ended yet is under way too.
                let under_way: usize = self.gates.iter().map(Gate::in_flight).sum();
                if under_way >= self.options.concurrency {
                    break;
                }
                let (input, output) = (self.input_tokens(step), self.output_tokens(step));
                match self.gates[gate].admit(input, output, self.now) {
                    Admission::Go => {}
                    Admission::Wait => break,
                    Admission::At(at) => {
                        self.set_gate_timer(gate, at);
                        break;
                    }
                }
                match self.afford(step, input, output) {
                    Ok(output) => self.send_request(step, gate, input, output),
                    Err(Money::Later) => break,
                    Err(Money::OperatorSpent) => {
                        self.park_step(step, None);
                        freed = true;
                    }
                    Err(_) => {
                        let spent = crate::task::budget_spent("of the program or the task");
                        self.settle(step, Outcome::Failed(spent));
                        freed = true;
                    }
                }
            }
        }
        freed
    }

    fn send_request(&mut self, step: CallId, gate: usize, input: u64, output: u64) {
        let Work::Model(mut request) = self.step_work(step) else {
            unreachable!("only requests to models wait here")
        };
        request.output_tokens_max = output;
        self.came_back(self.step_state(step).task, step);
        self.gates[gate].go(input, output);
        self.start_attempt(step, None, Work::Model(request), false);
    }

    /// A provider is looked at again at this time, unless that is arranged already.
    pub(crate) fn set_gate_timer(&mut self, gate: usize, at: Micros) {
        if self.gates[gate].timer.replace(at) == Some(at) {
            return;
        }
        let timer = TimerId::Provider(gate as u32);
        // A timer that was due too early by the host's clock is set again by as much later.
        let early = self.gates[gate].rung == Some(at);
        let at = if early { at.after(at.since(self.now)) } else { at };
        self.out.push(Command::SetTimer { timer, at });
    }

    /// Why nothing is to be had of the request's model before a person acts, where that is known.
    fn spent(&self, gate: usize, step: CallId) -> Option<Failure> {
        let model = self.step_state(step).model.as_ref()?;
        self.gates[gate].spent.get(&model.name).cloned()
    }

    /// The request's quota is spent: another subagent or value stands in, or a person has to act.
    fn quota_spent(&mut self, step: CallId, failure: Failure) {
        match self.task(self.step_state(step).task).request.fallback {
            Some(_) => self.settle(step, Outcome::Failed(failure)),
            None => self.park_step(step, Some(failure)),
        }
    }

    /// A request waits for what only a person can change: it holds up neither a slot nor its siblings.
    fn park_step(&mut self, step: CallId, why: Option<Failure>) {
        self.step_state_mut(step).parked = why;
        self.calls[step.0 as usize].state = State::Parked;
        self.parked += 1;
        self.release_slot(self.step_state(step).task);
        self.model_gave_nothing(step);
    }

    /// Most output tokens that the request wants.
    fn output_tokens(&self, step: CallId) -> u64 {
        match &self.step_state(step).work {
            Some(Work::Model(request)) => request.output_tokens_max,
            _ => unreachable!("only requests to models wait here"),
        }
    }

    /// Input tokens that the request may have, on the safe side.
    fn input_tokens(&self, step: CallId) -> u64 {
        let own = self.task(self.step_state(step).task).own.as_ref();
        let talk = own.and_then(|own| own.talk.as_ref()).expect("a request has its conversation");
        (talk.bytes() as u64).div_ceil(BYTES_PER_TOKEN_LEAST)
    }

    /// Sets aside what the request may cost at the worst. Gives the output tokens that are affordable, fewer than
    /// wanted where a budget is nearly spent.
    fn afford(&mut self, step: CallId, input: u64, output: u64) -> Result<u64, Money> {
        let model = self.model_of(step);
        let own = self.own_budget(self.step_state(step).task);
        let worst = |output: u64| {
            let usage = Usage {
                input_tokens: input,
                output_tokens: output,
                cache_write_tokens: input,
                ..Usage::default()
            };
            let plain = Usage { cache_write_tokens: 0, ..usage };
            let price = |usage| model.price.as_ref().map_or(0, |price| price.of(usage));
            let usd = price(usage).max(price(plain));
            [output as f64, (input + output) as f64, usd as f64 / 1e6]
        };
        let fits = |engine: &Self, output: u64| {
            let wanted = worst(output);
            match wanted.iter().zip(own).all(|(wanted, left)| *wanted <= left) {
                true => engine.ledger.admit(wanted),
                false => Money::ProgramSpent,
            }
        };
        let verdict = fits(self, output);
        let affordable = match verdict {
            Money::Fits => output,
            Money::Later => return Err(Money::Later),
            Money::ProgramSpent | Money::OperatorSpent => {
                // The largest that fits, found by halving: the figures are sums and prices.
                let (mut low, mut high) = (0, output);
                while low + 1 < high {
                    let middle = low + (high - low) / 2;
                    match fits(self, middle) {
                        Money::Fits | Money::Later => low = middle,
                        _ => high = middle,
                    }
                }
                let least = OUTPUT_TOKENS_MIN.min(output);
                match fits(self, low.max(least)) {
                    Money::Fits => low.max(least),
                    verdict => return Err(verdict), // of the least that is worth asking for
                }
            }
        };
        let wanted = worst(affordable);
        self.ledger.reserve(wanted);
        self.calls[step.0 as usize].reserved = Some(wanted);
        Ok(affordable)
    }

    /// What a model's usage costs.
    pub(crate) fn priced(&self, step: CallId, usage: Usage) -> Usage {
        let state = self.calls[step.0 as usize].step.as_ref();
        let price = state.and_then(|step| step.model.as_ref()?.price.as_ref());
        if usage.usd_micros > 0 || price.is_none() {
            return usage;
        }
        Usage { usd_micros: price.map_or(0, |price| price.of(usage)), ..usage }
    }

    /// An attempt at a request ended.
    pub(crate) fn model_ended(
        &mut self,
        step: CallId,
        attempt: Attempt,
        outcome: Outcome,
        usage: Usage,
    ) {
        match outcome {
            Outcome::Done(reply) => {
                self.model_succeeded(step);
                self.settle(step, Outcome::Done(reply));
            }
            Outcome::Failed(failure) => {
                self.gate_failed(step, &failure);
                self.model_failed(step, attempt, failure, usage);
            }
        }
    }

    /// A request was answered, wanted or not.
    pub(crate) fn model_succeeded(&mut self, step: CallId) {
        self.model_began(step);
        let gate = self.step_state(step).gate.expect("what was sent has its gate");
        let name = self.model_of(step).name.clone();
        self.gates[gate].spent.remove(&name);
        let change = self.gates[gate].succeeded(self.now);
        self.gate_changed(gate, change, None);
    }

    /// What a failed request says of its provider.
    pub(crate) fn gate_failed(&mut self, step: CallId, failure: &Failure) {
        let gate = self.step_state(step).gate.expect("what was sent has its gate");
        let now = self.now;
        let change = match failure.class {
            Some(FailureClass::Wait) if failure.code == Code::RATE_LIMITED => {
                self.gates[gate].refused(now);
                if let Some(asked) = asked_wait(failure) {
                    self.gates[gate].asked_to_wait(now.after(asked));
                }
                self.gates[gate].answered()
            }
            // What cannot be read is an answer: a server that always answers so is broken and not away.
            Some(FailureClass::Wait)
                if failure.code != Code::REPLY_MALFORMED || self.gates[gate].is_down() =>
            {
                self.gates[gate].failed(now)
            }
            Some(_) if failure.sent => {
                self.gates[gate].ended();
                self.gates[gate].answered()
            }
            _ => {
                self.gates[gate].ended();
                Change::None
            }
        };
        self.gate_changed(gate, change, Some(failure));
    }

    /// A request that was not sent after all.
    pub(crate) fn gate_dropped(&mut self, step: CallId) {
        let step = self.calls[step.0 as usize].step.as_ref();
        if let Some(gate) = step.filter(|step| step.model.is_some()).and_then(|step| step.gate) {
            self.gates[gate].ended();
        }
    }

    fn gate_changed(&mut self, gate: usize, change: Change, failure: Option<&Failure>) {
        let (now, provider) = (self.now, self.gates[gate].name.clone());
        match (change, failure) {
            (Change::WentDown, Some(failure)) => {
                let failure = failure.clone();
                self.append(Entry::ProviderDown { now, provider, failure });
                self.all_rest(gate);
            }
            (Change::CameUp(since), _) => {
                self.append(Entry::ProviderUp { now, provider });
                self.excuse(gate, since);
                self.all_back(gate);
            }
            _ => {}
        }
    }

    /// A failed request: again later, or the subagent's failure.
    fn model_failed(&mut self, step: CallId, attempt: Attempt, failure: Failure, usage: Usage) {
        let gate = self.step_state(step).gate.expect("what was sent has its gate");
        let task = self.step_state(step).task;
        if failure.class == Some(FailureClass::Park) {
            let name = self.model_of(step).name.clone();
            self.gates[gate].spent.insert(name, failure.clone());
            if self.task(task).request.fallback.is_none() {
                let outcome = Outcome::Failed(failure.clone());
                self.attempt_ended(step, attempt, outcome, usage, None);
            }
            return self.quota_spent(step, failure);
        }
        if failure.class != Some(FailureClass::Wait) {
            return self.settle(step, Outcome::Failed(failure));
        }
        if self.gates[gate].is_down() {
            // The provider's trouble, not the request's: it waits, no shorter than told, and uses up no tries.
            let Some(asked) = asked_wait(&failure) else {
                self.attempt_ended(step, attempt, Outcome::Failed(failure), usage, None);
                return self.queue_model(step);
            };
            let wait = self.within_time(task, asked);
            return self.back_off(step, attempt, failure, usage, wait);
        }
        let most = self.task(task).request.retries.unwrap_or(self.options.provider_retries);
        let state = self.step_state_mut(step);
        state.failures += 1;
        if state.failures > most {
            return self.settle(step, Outcome::Failed(failure));
        }
        let wait = self.retry_wait(step, task, gate, &failure);
        self.back_off(step, attempt, failure, usage, wait);
    }

    /// The response to a request began: siblings that share its prefix may go.
    pub(crate) fn model_began(&mut self, step: CallId) {
        for sibling in self.prefixes.warmed(step, self.now) {
            if !self.calls[sibling.0 as usize].is_settled() {
                self.queue_model(sibling);
            }
        }
    }

    /// A request settled without a response: another writes the prefix.
    pub(crate) fn model_gave_nothing(&mut self, step: CallId) {
        let calls = &self.calls;
        let next = self.prefixes.failed(step, |id| !calls[id.0 as usize].is_settled());
        if let Some(next) = next {
            self.queue_model(next);
        }
    }

    /// What a request under way tells of its provider. Gives back what belongs into the journal.
    pub(crate) fn model_progressed(
        &mut self,
        step: CallId,
        progress: Progress,
    ) -> Option<Progress> {
        match progress {
            Progress::Began => self.model_began(step),
            Progress::Limits(limits) => {
                if let Some(gate) = self.step_state(step).gate {
                    self.gates[gate].told(&limits, self.now);
                }
            }
            told => return Some(told),
        }
        None
    }

    /// An answer that does not match goes back to the model with the errors, in the same conversation.
    pub(crate) fn reask(&mut self, id: CallId, errors: &str) {
        let failure = crate::task::answer_invalid(errors);
        if self.own_budget(id).contains(&0.0) {
            return self.loop_failed(id, crate::task::budget_spent("of the task"));
        }
        let task = self.task_mut(id);
        if task.reasks_left == 0 {
            return self.loop_failed(id, failure);
        }
        task.reasks_left -= 1;
        let talk = self.task_loop(id).talk.as_mut();
        talk.expect("an answer belongs to a conversation").correct(errors);
        self.ask(id);
    }

    /// The subagent has an answer: it counts when it matches its schema.
    pub(crate) fn loop_answered(&mut self, id: CallId, value: Json) {
        match self.validate(id, &value) {
            Ok(()) => self.conclude(id, Outcome::Done(value), None),
            Err(errors) => self.reask(id, &errors),
        }
    }

    /// The subagent has failed for good; its slot is free for others.
    pub(crate) fn loop_failed(&mut self, id: CallId, failure: Failure) {
        let salvage = self.last_text(id).to_owned();
        let attempt = Attempt(self.calls[id.0 as usize].attempts);
        let own = self.task_loop(id);
        own.salvage = (!salvage.is_empty()).then_some(salvage);
        (own.talk, own.model) = (None, None);
        self.give_up(id, failure, None, attempt, Usage::default());
    }
}

/// What identifies the part of a request that siblings share, and its bytes.
fn prefix(model: &Model, talk: &loopwright_agent::Conversation) -> (Digest, usize) {
    let (system, tools) = talk.prefix();
    let tools = serde_json::to_vec(tools).expect("plain data always serialises");
    let digest = Digest::of_parts([model.name.as_bytes(), system.as_bytes(), &tools]);
    (digest, system.len() + tools.len())
}
