//! What may have had its effect is looked up where that is possible: what was done is not done again, what was not is
//! sent under the same key, and of the rest a person is asked.

use crate::served::{served, turns};
use crate::simulation;
use loopwright_engine::replay;
use loopwright_protocol::{Decision, Dispatch, Entry, Found, Json, Progress, Tool, Work};
use loopwright_simulator::{
    Crashes, Plan, ScriptedGuests, Simulated, Simulation, Step, Told, subagent,
};
use loopwright_types::{Attempt, CallId, Code, Effects, Failure, Micros, Reason, RunStatus};
use serde_json::{Value, json};

/// How long the work and its lookup take.
const WORK_MS: u64 = 100;
const LOOKUP_MS: u64 = 40;

/// What has effects and can be looked up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A program's tool.
    Tool,
    /// A subagent that a driver serves whole.
    Task,
    /// A tool that a subagent calls whom a model serves.
    Step,
}

const KINDS: [Kind; 3] = [Kind::Tool, Kind::Task, Kind::Step];

impl Kind {
    fn script(self) -> Step {
        match self {
            Self::Tool => Step::tool("write_file"),
            Self::Task => Step::task("a").with("subagent", "external"),
            Self::Step => Step::task("a").with("subagent", "served"),
        }
    }

    /// What the program gets when the work gave this.
    fn gives(self, value: &str) -> Value {
        match self {
            Self::Step => json!(format!("the tool said {value}")),
            _ => json!(value),
        }
    }

    fn simulation(self, lookup: &Plan) -> Simulation {
        let lookup = lookup.clone();
        let plans =
            move |dispatch: &Dispatch, _: &mut loopwright_simulator::Random| match &dispatch.work {
                Work::LookUp(sent) => {
                    assert!(matches!(**sent, Work::Tool { .. } | Work::Task(_)), "{sent:?}");
                    lookup.clone()
                }
                Work::Model(request) if turns(request) == 0 => {
                    Plan::calls(&[("write_file", json!({}))])
                }
                Work::Model(request) => {
                    let said = crate::served::last(request);
                    Plan::says(format!("the tool said {said}"))
                }
                _ => work(),
            };
        let mut external = subagent("external");
        (external.effects, external.lookup) = (Effects::External, true);
        let mut write = Tool::reading("write_file");
        (write.effects, write.lookup) = (Effects::Local, true);
        let mut simulation = served()
            .subagent(external)
            .subagent(crate::served::by_model("served"))
            .set("task.lookup_timeout_ms", "1000")
            .plans(plans);
        simulation.start.tools = vec![write];
        simulation
    }

    fn guests(self) -> ScriptedGuests {
        ScriptedGuests::new().with("main", self.script())
    }

    /// How many entries there are when the work is under way.
    fn sent_at(self) -> u64 {
        under_way(&self.simulation(&Plan::done(1)).run(&mut self.guests()).entries, 0)
    }

    fn through(self, lookup: &Plan, crashes: Crashes) -> Simulated {
        let run = self.simulation(lookup).run_through(crashes, || self.guests()).unwrap();
        replay(run.entries.clone(), &mut self.guests(), 1).unwrap();
        run
    }
}

/// The work: it tells that it has begun, and ends later.
fn work() -> Plan {
    let mut plan = Plan::done("ok").after_ms(WORK_MS);
    plan.progress = vec![(Micros(5), Progress::Process { pid: 77, start_ticks: 5 })];
    plan
}

/// How many entries there are when work is under way, after it was so often before.
fn under_way(entries: &[Entry], before: usize) -> u64 {
    let told = |entry: &Entry| matches!(entry, Entry::Progressed { .. });
    let mut told = entries.iter().enumerate().filter(|(_, entry)| told(entry));
    told.nth(before).unwrap().0 as u64 + 1
}

fn found(found: &Found) -> Plan {
    Plan::found(found).after_ms(LOOKUP_MS)
}

fn done() -> Plan {
    found(&Found::Done(Json::of("found")))
}

/// Attempts at the work, and lookups.
fn counted(run: &Simulated) -> (usize, usize) {
    let lookups = run.books.executions.iter().filter(|it| it.served_by == "lookup").count();
    let work = run.books.executions.iter().filter(|it| it.effects != Effects::None).count();
    (work, lookups)
}

#[test]
fn what_a_lookup_says_decides_what_becomes_of_a_call_in_doubt() {
    let failure = Failure::new(Reason::Provider, Code::COMMAND_FAILED, "exit status 3");
    let late = "the lookup failed: no answer within `1000` ms";
    let unknown = Found::Unknown("the day's log is gone".to_owned());
    // What the lookup does; what the work gives or why the run waits; attempts and lookups.
    type Case<'a> = (&'a str, Plan, Result<&'a str, &'a str>, (usize, usize));
    let cases: [Case<'_>; 6] = [
        ("done", done(), Ok("found"), (1, 1)),
        ("not done", found(&Found::NotDone), Ok("ok"), (2, 1)),
        ("unknown", found(&unknown), Err("the day's log is gone"), (1, 1)),
        ("fails", Plan::failed(failure), Err("the lookup failed: exit status 3"), (1, 1)),
        ("says something else", Plan::done("ja"), Err("answer cannot be read"), (1, 1)),
        ("never ends", Plan::done(1).never(), Err(late), (1, 1)),
    ];
    for kind in KINDS {
        for (name, lookup, expected, counts) in &cases {
            let place = format!("{kind:?}, {name}");
            let run = kind.through(lookup, Crashes::at([kind.sent_at()]));
            assert_eq!(counted(&run), *counts, "{place}");
            match expected {
                Ok(value) => {
                    assert_eq!(run.finish().status, RunStatus::Complete, "{place}");
                    assert_eq!(run.result(), kind.gives(value), "{place}");
                }
                Err(why) => {
                    assert_eq!(run.finish().status, RunStatus::Parked, "{place}");
                    let error = run.finish().error.as_ref().unwrap();
                    assert_eq!(error.code, Code::IN_DOUBT, "{place}");
                    assert!(error.message.contains(why), "{place}: {}", error.message);
                }
            }
        }
    }
}

#[test]
fn a_repeat_and_its_lookup_go_under_the_key_of_the_first_attempt() {
    for kind in KINDS {
        let at = kind.sent_at();
        // The process dies again while the repeat is under way.
        let again = found(&Found::NotDone);
        let second = under_way(&kind.through(&again, Crashes::at([at])).entries, 1);
        let run = kind.through(&again, Crashes::at([at, second]));
        assert_eq!(counted(&run), (3, 2), "{kind:?}");
        let sent = run.books.executions.iter();
        let of_work = sent.filter(|it| it.served_by == "lookup" || it.effects != Effects::None);
        let numbers: Vec<(Attempt, Attempt)> = of_work.map(|it| (it.attempt, it.key)).collect();
        let first = Attempt(1);
        assert_eq!(numbers, [1, 2, 3, 4, 5].map(|n| (Attempt(n), first)), "{kind:?}");
        let told = run.entries.iter().filter_map(|entry| match entry {
            Entry::Settled(end) => Some(end.attempts),
            _ => None,
        });
        assert!(told.clone().any(|attempts| attempts == 3), "{kind:?}: lookups are no attempts");
        assert_eq!(told.max(), Some(3), "{kind:?}");
    }
}

#[test]
fn a_request_to_a_model_that_is_sent_again_goes_under_the_same_key_and_is_counted() {
    let kind = Kind::Step;
    let whole = kind.simulation(&done()).run(&mut kind.guests()).entries;
    let model = |entry: &Entry| matches!(entry, Entry::Stepped(it) if it.kind == loopwright_protocol::CallKind::Model);
    let at = whole.iter().position(model).unwrap() as u64 + 2;
    let run = kind.through(&done(), Crashes::at([at]));
    let asked = run.books.of(CallId(1));
    let keys: Vec<(Attempt, Attempt)> = asked.map(|it| (it.attempt, it.key)).collect();
    assert_eq!(keys.last(), Some(&(Attempt(2), Attempt(1))));
    assert_eq!(run.settled(1).unwrap().attempts, 2);
}

#[test]
fn a_process_that_dies_anywhere_in_a_lookup_leaves_it_to_the_next_one() {
    let unknown = found(&Found::Unknown("it cannot tell".to_owned()));
    for kind in KINDS {
        for lookup in [done(), found(&Found::NotDone), unknown.clone()] {
            let at = kind.sent_at();
            let once = kind.through(&lookup, Crashes::at([at]));
            for second in at + 1..once.entries.len() as u64 {
                let run = kind.through(&lookup, Crashes::at([at, second]));
                let place = format!("{kind:?}, {lookup:?}, a crash after {second}");
                assert_eq!(run.finish().status, once.finish().status, "{place}");
                assert_eq!(run.finish().result, once.finish().result, "{place}");
                // Each process that finds it in doubt asks once.
                assert!(counted(&run).1 <= 2, "{place}");
            }
        }
    }
}

#[test]
fn the_next_process_asks_again_what_could_not_be_told() {
    for kind in KINDS {
        let mut crashes = Crashes::at([kind.sent_at()]);
        crashes.reopened = 2;
        let run = kind.through(&found(&Found::Unknown("not yet".to_owned())), crashes);
        assert_eq!((run.finish().status, counted(&run)), (RunStatus::Parked, (1, 3)), "{kind:?}");
    }
}

#[test]
fn a_call_that_is_not_wanted_any_more_takes_its_lookup_with_it() {
    for kind in KINDS {
        let slow = Plan::found(&Found::Done(Json::of("found"))).after_ms(900);
        let other = Step::seq([Step::sleep(WORK_MS + 50), Step::value("other")]);
        let race = Step::quorum(1, [kind.script(), other]);
        let guests = || ScriptedGuests::new().with("main", race.clone());
        let whole = kind.simulation(&slow).run(&mut guests()).entries;
        let at = under_way(&whole, 0);
        let run = kind.simulation(&slow).run_through(Crashes::at([at]), guests).unwrap();
        assert_eq!(run.result(), json!(["other"]), "{kind:?}");
        assert_eq!(counted(&run), (1, 1), "{kind:?}");
        let lookup = run.books.executions.iter().find(|it| it.served_by == "lookup").unwrap();
        assert!(lookup.cancelled.is_some(), "{kind:?}");
    }
}

#[test]
fn a_run_that_is_cancelled_or_paused_during_a_lookup_asks_again_or_takes_the_answer() {
    for kind in KINDS {
        for (told, lookups) in [(Told::Cancel, 2), (Told::Pause, 1)] {
            let mut crashes = Crashes::at([kind.sent_at()]);
            crashes.reopened = 1;
            crashes.told = vec![(1, Micros::from_millis(LOOKUP_MS / 2), told.clone())];
            let run = kind.through(&done(), crashes);
            assert_eq!(run.result(), kind.gives("found"), "{kind:?}, {told:?}");
            assert_eq!(counted(&run), (1, lookups), "{kind:?}, {told:?}");
        }
    }
}

#[test]
fn what_a_person_says_during_a_lookup_counts_once_the_lookup_has_ended() {
    let said = |decision: &Decision, call| {
        let told = Told::Decided(call, decision.clone());
        vec![(1, Micros::from_millis(LOOKUP_MS / 2), told)]
    };
    for kind in KINDS {
        let call = if kind == Kind::Step { CallId(2) } else { CallId(0) };
        let cases = [(Decision::Repeat, "ok", 2), (Decision::Done(Json::of("said")), "said", 1)];
        for (decision, value, sent) in cases {
            let mut crashes = Crashes::at([kind.sent_at()]);
            crashes.told = said(&decision, call);
            let once = kind.through(&done(), crashes);
            let place = format!("{kind:?}, {decision:?}");
            assert_eq!(once.result(), kind.gives(value), "{place}");
            assert_eq!(counted(&once), (sent, 1), "{place}");
            // Written down, it stands, wherever the process dies.
            let decided = |entry: &Entry| matches!(entry, Entry::Decided(_));
            let from = once.entries.iter().position(decided).unwrap() as u64 + 1;
            for second in from..once.entries.len() as u64 {
                let mut crashes = Crashes::at([kind.sent_at(), second]);
                crashes.told = said(&decision, call);
                let run = kind.through(&found(&Found::Done(Json::of("found"))), crashes);
                // A repeat that died is in doubt anew, and is looked up.
                let values = [kind.gives(value), kind.gives("found")];
                assert!(values.contains(&run.result()), "{place}, {second}: {}", run.result());
            }
        }
    }
}

#[test]
fn a_result_that_was_looked_up_is_held_to_the_schema_and_not_asked_for_again() {
    let lookup = done();
    let script = |fallback: Value| {
        let step = Kind::Task.script().with("schema", json!({ "type": "integer" }));
        Step::settle([step.with("fallback", fallback)])
    };
    let cases = [
        (json!(null), json!([{ "reason": "schema", "code": "LW0404" }])),
        (json!({ "value": 7 }), json!([7])),
    ];
    for (fallback, result) in cases {
        let guests = || ScriptedGuests::new().with("main", script(fallback.clone()));
        let crashes = Crashes::at([Kind::Task.sent_at()]);
        let run = Kind::Task.simulation(&lookup).run_through(crashes, guests).unwrap();
        assert_eq!(run.result(), result, "{fallback}");
        assert_eq!(counted(&run), (1, 1), "{fallback}");
    }
}

#[test]
fn what_has_no_lookup_waits_for_a_person_as_ever() {
    let plans = |_: &Dispatch, _: &mut loopwright_simulator::Random| work();
    let simulation = || {
        let mut write = Tool::reading("write_file");
        write.effects = Effects::Local;
        let mut simulation = simulation().plans(plans);
        simulation.start.tools = vec![write];
        simulation
    };
    let guests = || ScriptedGuests::new().with("main", Step::tool("write_file"));
    let whole = simulation().run(&mut guests()).entries;
    let at = under_way(&whole, 0);
    let run = simulation().run_through(Crashes::at([at]), guests).unwrap();
    assert_eq!((run.finish().status, counted(&run)), (RunStatus::Parked, (1, 0)));
}
