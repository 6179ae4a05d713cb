//! What other processes ask of a run while it is executed here: an end, a pause, answers to its questions.
//!
//! A request is acknowledged only when what follows from it has been handed to the journal, so that none is lost by a
//! crash in between. Answers to questions that are not asked yet wait for them.

use loopwright_journal::{Control, Request};
use loopwright_protocol::{ApproveRequest, Decision, Event, Json, Outcome, PersonAnswer, Progress};
use loopwright_types::{Attempt, CallId, Code, Failure, Micros, Reason, Usage};
use std::collections::{HashMap, HashSet};

/// A question that a person is asked now.
struct Question {
    attempt: Attempt,
    request: ApproveRequest,
}

/// The requests of one run.
#[derive(Default)]
pub(crate) struct Requests {
    open: HashMap<CallId, Question>,
    /// Answers to questions that are not asked yet.
    kept: HashMap<CallId, (u64, PersonAnswer)>,
    /// Questions that ended here.
    over: HashSet<CallId>,
    /// Attempts whose end was told here; the driver's own report of it does not count.
    answered: HashSet<(CallId, Attempt)>,
    /// Requests that were acted on and are not acknowledged yet.
    done: Vec<u64>,
    /// Requests that were taken before the run went on: the journal gives them again.
    seen: HashSet<u64>,
}

impl Requests {
    /// Takes what was asked while no process executed the run, before it goes on; gives the decisions among it. What
    /// was to end or pause an earlier process is over with it: going on is the newer wish.
    pub fn preload(&mut self, requests: Vec<Request>) -> Vec<(CallId, Decision)> {
        let mut decisions: Vec<(CallId, Decision)> = Vec::new();
        for request in requests {
            self.seen.insert(request.number);
            let answer = match request.control {
                Control::Answer(answer) => answer.read::<PersonAnswer>().ok(),
                Control::Cancel | Control::Pause => None,
            };
            match answer {
                Some(PersonAnswer::Decided { call, decision }) => {
                    // As with answers: whoever thinks better of it before the run goes on is heard.
                    decisions.retain(|(older, _)| *older != call);
                    decisions.push((call, decision));
                    self.done.push(request.number);
                }
                Some(answer) => self.keep(request.number, answer),
                None => self.done.push(request.number),
            }
        }
        decisions
    }

    fn keep(&mut self, number: u64, answer: PersonAnswer) {
        if let Some((older, _)) = self.kept.insert(answer.call(), (number, answer)) {
            self.done.push(older);
        }
    }

    /// Takes a request; what follows from it is added to `events`. Gives the question that is answered by it.
    pub fn take(
        &mut self,
        request: Request,
        now: Micros,
        events: &mut Vec<Event>,
    ) -> Option<(CallId, Attempt)> {
        if self.seen.remove(&request.number) {
            return None;
        }
        match request.control {
            Control::Cancel => events.push(Event::CancelRequested { now }),
            Control::Pause => events.push(Event::PauseRequested { now }),
            Control::Answer(answer) => {
                if let Ok(answer) = answer.read::<PersonAnswer>() {
                    return self.answer(request.number, answer, now, events);
                } // something a newer version wrote: nothing here waits for it
            }
        }
        self.done.push(request.number);
        None
    }

    fn answer(
        &mut self,
        number: u64,
        answer: PersonAnswer,
        now: Micros,
        events: &mut Vec<Event>,
    ) -> Option<(CallId, Attempt)> {
        let call = answer.call();
        if let PersonAnswer::Decided { call, decision } = answer {
            events.push(Event::Decided { call, decision, now });
            self.done.push(number);
            return None;
        }
        if self.over.contains(&call) {
            self.done.push(number); // somebody else was faster
            return None;
        }
        let Some(question) = self.open.get(&call) else {
            self.keep(number, answer);
            return None;
        };
        self.done.push(number);
        let attempt = question.attempt;
        let (outcome, said) = outcome(answer, &question.request)?;
        if let Some(said) = said {
            let progress = Progress::Message(said);
            events.push(Event::Progressed { call, attempt, progress, now });
        }
        events.push(Event::Ended { call, attempt, outcome, usage: Usage::default(), now });
        self.answered.insert((call, attempt));
        self.close(call);
        Some((call, attempt))
    }

    /// A question is asked from now on; an answer that waited for it ends it at once, and it need not be asked.
    pub fn ask(
        &mut self,
        call: CallId,
        attempt: Attempt,
        request: &ApproveRequest,
        now: Micros,
        events: &mut Vec<Event>,
    ) -> bool {
        self.over.remove(&call);
        self.open.insert(call, Question { attempt, request: request.clone() });
        let Some((number, answer)) = self.kept.remove(&call) else { return true };
        let answered = self.answer(number, answer, now, events).is_some();
        if answered {
            self.answered.remove(&(call, attempt)); // no driver will tell its end
        }
        !answered
    }

    /// An attempt ended as its driver says. Whether that counts: a question that was answered from elsewhere has ended
    /// before.
    pub fn ended(&mut self, call: CallId, attempt: Attempt) -> bool {
        if self.answered.remove(&(call, attempt)) {
            return false;
        }
        self.close(call);
        true
    }

    fn close(&mut self, call: CallId) {
        if self.open.remove(&call).is_some() {
            self.over.insert(call);
        }
    }

    /// Requests whose consequences were handed to the journal since.
    pub fn done(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.done)
    }
}

/// What the program gets, and what the person said; nothing for an answer that does not fit the question.
fn outcome(answer: PersonAnswer, request: &ApproveRequest) -> Option<(Outcome, Option<String>)> {
    match answer {
        PersonAnswer::Given { value, said, .. } => {
            fits(&value, request.choices.as_deref()).then_some((Outcome::Done(value), said))
        }
        PersonAnswer::Rejected { said, .. } => {
            let why = said.as_deref().map_or_else(String::new, |said| format!(": {said}"));
            let message = format!("rejected{why}");
            let failure = Failure::new(Reason::Policy, Code::APPROVAL_REJECTED, message);
            Some((Outcome::Failed(failure), None))
        }
        PersonAnswer::Decided { .. } => None,
    }
}

/// Whether a value answers a question: one of its choices, or yes or no.
pub(crate) fn fits(value: &Json, choices: Option<&[String]>) -> bool {
    match choices {
        None => matches!(value.text(), "true" | "false"),
        Some(choices) => value.read::<String>().is_ok_and(|value| choices.contains(&value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = Micros(5);

    fn given(number: u64, call: u32, value: &str) -> Request {
        let answer = PersonAnswer::Given {
            call: CallId(call),
            value: Json::parse(value.to_owned()).unwrap(),
            said: None,
        };
        Request { number, at: NOW, control: Control::Answer(Json::of(&answer)) }
    }

    fn question(choices: Option<&[&str]>) -> ApproveRequest {
        ApproveRequest {
            question: "go on?".to_owned(),
            choices: choices.map(|all| all.iter().map(|one| (*one).to_owned()).collect()),
            data: None,
            deadline_ms: None,
        }
    }

    fn ends(events: &[Event]) -> usize {
        events.iter().filter(|event| matches!(event, Event::Ended { .. })).count()
    }

    #[test]
    fn the_first_answer_counts_wherever_it_comes_from() {
        let (call, attempt) = (CallId(3), Attempt(1));
        let (mut requests, mut events) = (Requests::default(), Vec::new());
        assert!(requests.ask(call, attempt, &question(None), NOW, &mut events));
        assert_eq!(
            requests.take(given(1, 3, "true"), NOW, &mut events),
            Some((call, attempt)),
            "the question is taken back where it is shown"
        );
        assert_eq!(requests.take(given(2, 3, "false"), NOW, &mut events), None);
        assert_eq!(ends(&events), 1);
        assert!(!requests.ended(call, attempt), "what the terminal says then comes too late");
        assert_eq!(requests.done(), [1, 2]);

        let (mut requests, mut events) = (Requests::default(), Vec::new());
        requests.ask(call, attempt, &question(None), NOW, &mut events);
        assert!(requests.ended(call, attempt));
        assert_eq!(requests.take(given(1, 3, "true"), NOW, &mut events), None);
        assert_eq!((ends(&events), requests.done()), (0, vec![1]));
    }

    #[test]
    fn an_answer_that_comes_before_its_question_is_kept_for_it() {
        let (mut requests, mut events) = (Requests::default(), Vec::new());
        requests.take(given(1, 0, "\"a\""), NOW, &mut events);
        requests.take(given(2, 0, "\"b\""), NOW, &mut events);
        assert_eq!(requests.done(), [1], "the later one counts; this one is not acknowledged yet");
        let choices = question(Some(&["a", "b"]));
        assert!(!requests.ask(CallId(0), Attempt(2), &choices, NOW, &mut events));
        assert_eq!((ends(&events), requests.done()), (1, vec![2]));
    }

    #[test]
    fn of_decisions_that_were_kept_the_newest_counts() {
        let decided = |number, call, decision| {
            let answer = PersonAnswer::Decided { call: CallId(call), decision };
            Request { number, at: NOW, control: Control::Answer(Json::of(&answer)) }
        };
        let mut requests = Requests::default();
        let done = Decision::Done(Json::of(&"by hand"));
        let decisions = requests.preload(vec![
            decided(1, 0, Decision::Repeat),
            decided(2, 1, Decision::Fail),
            decided(3, 0, done.clone()),
        ]);
        assert_eq!(decisions, [(CallId(1), Decision::Fail), (CallId(0), done)]);
        assert_eq!(requests.done(), [1, 2, 3]);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_dropped_and_the_question_stays() {
        let (mut requests, mut events) = (Requests::default(), Vec::new());
        requests.ask(CallId(0), Attempt(1), &question(Some(&["a"])), NOW, &mut events);
        for (number, wrong) in [(1, "true"), (2, "\"z\""), (3, "{}")] {
            assert_eq!(requests.take(given(number, 0, wrong), NOW, &mut events), None);
        }
        assert_eq!((events.len(), requests.done()), (0, vec![1, 2, 3]));
        assert!(requests.take(given(4, 0, "\"a\""), NOW, &mut events).is_some());
    }
}
