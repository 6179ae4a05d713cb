//! What requests used, held against the books of a fake provider that goes wrong on purpose.

mod support;

use loopwright_fakes::{Billing, FakeProvider, Fault, FaultPlan, Latency, Options, Reply, Wire};
use loopwright_types::Usage;
use serde_json::json;
use std::time::Duration;
use support::{Asker, Ended, request, with_tool};

/// Long enough to be cut in many places.
const LONG: &str = "A reply long enough to be cut in the middle, with 世界 and 🦀 in it; it goes on for a while about \
    harbours and lanterns, and then says what it found: nothing that would matter to anybody but the books.";

fn long(_: &loopwright_fakes::Request) -> Reply {
    Reply::text(LONG).and_call("read_file", &json!({ "path": "src/main.rs and some more of it" }))
}

/// How much of what a provider bills its client can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// All of it, to the token: the provider told.
    Told,
    /// The provider counts it when asked: the input to the token; the text of a reply to one token more, which is the end
    /// of the message in which it is counted.
    Counted,
    /// Nobody counts it: from what the model's tokens were worth in earlier replies.
    Estimated,
    /// What was sent and never came: a reset overtakes it, be it all of it and the headers, too.
    Overtaken,
    /// Whether anything is billed at all: the provider took the request and gave nothing that says so. Here it does not.
    Unknown,
}

/// One request: what went wrong, what it used, what was billed.
struct Row {
    fault: Option<Fault>,
    known: Known,
    used: Usage,
    billed: Usage,
}

impl Row {
    fn is_billed(&self) -> bool {
        self.billed.tokens() > 0
    }
}

/// The usage of an entry of the books, as the protocol has it.
fn booked(usage: loopwright_fakes::Usage) -> Usage {
    Usage {
        input_tokens: usage.prompt(),
        output_tokens: usage.output,
        cache_read_tokens: usage.cache_read,
        cache_write_tokens: usage.cache_write,
        ..Usage::default()
    }
}

fn known(fault: Option<Fault>, wire: Wire, counts: bool) -> Known {
    let untold = if counts { Known::Counted } else { Known::Estimated };
    let Some(fault) = fault else { return Known::Told };
    match (fault.billing(), fault) {
        // The provider took the request: it hung, or it answered 200 with what nobody can read.
        (Billing::Nothing, Fault::StallBeforeFirstByte | Fault::EmptyBody | Fault::FakeGzip) => {
            Known::Unknown
        }
        (Billing::Nothing, _) => Known::Told,
        (Billing::Whole, Fault::MissingUsage | Fault::ZeroUsage) => untold,
        // The event that would have told is the one that is missing.
        (Billing::Whole, Fault::MissingFinishReason) if wire == Wire::Responses => untold,
        // Spoilt, and read to its end.
        (Billing::Whole, _) | (Billing::Sent, Fault::OversizedReply(_)) => Known::Told,
        (Billing::Sent, Fault::ResetMidStream) => Known::Overtaken,
        // Gemini tells with every piece what was used so far; the first one has some 300 bytes.
        (Billing::Sent, Fault::CutAt(at)) if wire == Wire::Gemini && at < 400 => untold,
        (Billing::Sent, _) if wire == Wire::Gemini => Known::Told,
        (Billing::Sent, _) => untold,
    }
}

/// The faults, and cuts all over the reply.
fn faults() -> impl Iterator<Item = Option<Fault>> {
    let faults = Fault::ALL.iter().map(|fault| match fault {
        Fault::OversizedReply(_) => Fault::OversizedReply(2),
        other => *other,
    });
    let cuts = (0..60).map(|step| Fault::CutAt(step * 101));
    faults.chain(cuts).map(Some).chain([None])
}

/// Every fault on a wire, after a few replies from which a client can learn.
fn rows(wire: Wire, counts: bool) -> Vec<Row> {
    let stall = Duration::from_secs(40);
    let options = Options { stall, chat_counts: counts, ..Options::script(long) };
    let fake = FakeProvider::start(options);
    let counting = if counts { "true" } else { "false" };
    let [patient, hasty] =
        ["20000", "400"].map(|ms| Asker::set(&fake, ms, &[("provider.count_untold", counting)]));
    let question = |text: &str| {
        let mut question = with_tool(request(wire, &format!("{text} {}", "long ".repeat(2_000))));
        question.cache = true;
        question
    };
    for number in 0..5 {
        patient.ask(question(&format!("warm {number}")));
        hasty.ask(question(&format!("warm {number} again")));
    }
    let mut rows = Vec::new();
    for fault in faults() {
        fake.set_faults(fault.map_or_else(FaultPlan::none, FaultPlan::always));
        let asker = match fault {
            Some(Fault::StallBeforeFirstByte | Fault::StallBetweenChunks) => &hasty,
            _ => &patient,
        };
        let Ended { usage, .. } = asker.ask(question(&format!("{fault:?}")));
        let entry = fake.report().entries.pop().unwrap();
        let billed = booked(entry.billed);
        rows.push(Row { fault, known: known(fault, wire, counts), used: usage, billed });
    }
    let report = fake.report();
    assert_eq!(report.refused, Vec::<String>::new(), "{wire:?}");
    let refused = report.counts.iter().filter_map(|count| count.refused.clone());
    assert_eq!(refused.collect::<Vec<_>>(), Vec::<String>::new(), "{wire:?}");
    assert_eq!(report.counts.is_empty(), !counts, "{wire:?}");
    rows
}

fn check(row: &Row, place: &str) {
    let Row { used, billed, .. } = row;
    if used.estimated_tokens == 0 && row.known != Known::Overtaken {
        assert_eq!(used, billed, "{place}");
        return;
    }
    let near = |used: u64, billed: u64, share: u64, more: u64| {
        used.abs_diff(billed) <= billed * share / 100 + more
    };
    match row.known {
        Known::Told => panic!("{place}: all of it was told"),
        Known::Counted => {
            assert_eq!(used.input_tokens, billed.input_tokens, "{place}");
            let more = used.output_tokens.checked_sub(billed.output_tokens);
            assert!(more.is_some_and(|more| more <= 1), "{place}");
        }
        Known::Estimated => {
            assert!(near(used.input_tokens, billed.input_tokens, 2, 1), "{place}");
            assert!(near(used.output_tokens, billed.output_tokens, 20, 2), "{place}");
        }
        Known::Overtaken => {
            let is_near = near(used.input_tokens, billed.input_tokens, 2, 1);
            assert!(is_near || used.is_zero(), "{place}");
            assert!(used.output_tokens <= billed.output_tokens * 6 / 5 + 2, "{place}");
        }
        Known::Unknown => {
            assert_eq!(billed.tokens(), 0, "{place}");
            assert!(used.input_tokens > 0 && used.output_tokens == 0, "{place}");
        }
    }
}

#[test]
fn every_billed_request_is_accounted_told_and_counted_ones_to_the_token_on_every_wire() {
    for counts in [true, false] {
        let mut all = (Usage::default(), Usage::default());
        std::thread::scope(|scope| {
            let runs = Wire::ALL.map(|wire| scope.spawn(move || (wire, rows(wire, counts))));
            for run in runs {
                let (wire, rows) = run.join().unwrap();
                for row in &rows {
                    let Row { fault, known, used, billed } = row;
                    let place =
                        format!("{wire:?} counts {counts} {fault:?} {known:?} {used:?} {billed:?}");
                    check(row, &place);
                    let is_accounted = !row.is_billed() || used.tokens() > 0;
                    assert!(is_accounted || *known == Known::Overtaken, "unaccounted: {place}");
                }
                let sum = |of: &dyn Fn(&Row) -> Usage, rows: &mut dyn Iterator<Item = &Row>| {
                    // A reply of two MiB would make up for all others.
                    let rows =
                        rows.filter(|row| !matches!(row.fault, Some(Fault::OversizedReply(_))));
                    rows.fold(Usage::default(), |mut sum, row| {
                        sum.add(of(row));
                        sum
                    })
                };
                let used = sum(&|row| row.used, &mut rows.iter().filter(|row| row.is_billed()));
                let billed = sum(&|row| row.billed, &mut rows.iter());
                let free = sum(&|row| row.used, &mut rows.iter().filter(|row| !row.is_billed()));
                let share = |used: u64, billed: u64| used as f64 * 100.0 / billed as f64;
                let of = |known| rows.iter().filter(|row| row.known == known).count();
                println!(
                    "{wire:?}, counts {counts}: told {}, counted {}, estimated {}, overtaken {}, unknown {}",
                    of(Known::Told),
                    of(Known::Counted),
                    of(Known::Estimated),
                    of(Known::Overtaken),
                    of(Known::Unknown),
                );
                println!(
                    "{wire:?}, counts {counts}: {} requests, {} billed, all accounted; input {:.2} %, output {:.2} %, all \
                     {:.2} %; {} tokens of what was not billed",
                    rows.len(),
                    rows.iter().filter(|row| row.is_billed()).count(),
                    share(used.input_tokens, billed.input_tokens),
                    share(used.output_tokens, billed.output_tokens),
                    share(used.tokens(), billed.tokens()),
                    free.tokens(),
                );
                all.0.add(used);
                all.1.add(billed);
            }
        });
        let share = all.0.tokens() as f64 * 100.0 / all.1.tokens() as f64;
        println!("counts {counts}: {share:.2} % of {} billed tokens", all.1.tokens());
        assert!((99.0..=101.0).contains(&share), "counts {counts}: {share}");
    }
}

#[test]
fn a_first_estimate_is_on_the_safe_side_and_what_is_learnt_is_kept_apart_by_model() {
    for wire in [Wire::Chat, Wire::Responses] {
        let fake = FakeProvider::start(Options::script(long));
        let asker = Asker::set(&fake, "20000", &[("provider.count_untold", "false")]);
        let cut = |model: &str| {
            fake.set_faults(FaultPlan::always(Fault::CutAt(3_000)));
            let mut question = with_tool(request(wire, &"word ".repeat(1_000)));
            question.model = format!("{}:{model}", support::name(wire));
            let used = asker.ask(question).usage;
            (used.input_tokens, booked(fake.report().entries.pop().unwrap().billed).input_tokens)
        };
        let (first, billed) = cut("one");
        assert!(first > billed && first < billed * 3 / 2, "{wire:?} {first} {billed}");
        fake.set_faults(FaultPlan::none());
        let mut question = request(wire, &"word ".repeat(4_000));
        question.model = format!("{}:one", support::name(wire));
        assert_eq!(asker.ask(question).usage.estimated_tokens, 0);
        let (second, _) = cut("one");
        assert!(second.abs_diff(billed) <= billed / 20, "{wire:?} {second} {billed}");
        assert_eq!(cut("two").0, first, "{wire:?}: another model's tokens are its own");
    }
}

#[test]
fn a_provider_is_asked_to_count_only_what_it_did_not_tell_and_only_when_it_can() {
    let ask = |options: Options, wire: Wire, fault: Fault, count: &str, times: usize| {
        let fake = FakeProvider::start(options.faults(FaultPlan::always(fault)));
        let asker = Asker::set(&fake, "20000", &[("provider.count_untold", count)]);
        let used: Vec<Usage> =
            (0..times).map(|_| asker.ask(with_tool(request(wire, "hi"))).usage).collect();
        (fake.report().counts.len(), used.last().unwrap().estimated_tokens)
    };
    let plain = || Options::script(long);
    let cut = Fault::InvalidChunkFraming;
    for wire in Wire::ALL {
        // All is told, or nothing is billed: nothing is asked.
        for fault in [Fault::UnknownEvents, Fault::CorruptEvent, Fault::ServerError, Fault::NotHttp]
        {
            assert_eq!(ask(plain(), wire, fault, "true", 2), (0, 0), "{wire:?} {fault:?}");
        }
        assert_eq!(ask(plain(), wire, cut, "false", 2).0, 0, "{wire:?}: switched off");
    }
    // Anthropic tells its input at the start: the text is counted, and once what a message adds to it.
    assert_eq!(ask(plain(), Wire::Anthropic, cut, "true", 3).0, 4);
    assert_eq!(ask(plain(), Wire::Responses, cut, "true", 3).0, 7);
    // Gemini tells as it goes: only where nothing came is anything left to count.
    assert_eq!(ask(plain(), Wire::Gemini, cut, "true", 3).0, 0);
    assert_eq!(ask(plain(), Wire::Gemini, Fault::CutAt(0), "true", 3).0, 3);
    // A server that has no such thing is not asked again, and one that fails at it not for long.
    let (asked, estimated) = ask(plain(), Wire::Chat, cut, "true", 5);
    assert!(asked <= 3 && estimated > 0, "{asked}");
    let failing = || Options { count_fault: Some(Fault::ServerError), ..plain() };
    let (asked, estimated) = ask(failing(), Wire::Responses, cut, "true", 9);
    assert!(asked == 9 && estimated > 0, "three times three: {asked}");
    // One that does not answer keeps nobody waiting for long.
    let silent = Options {
        count_fault: Some(Fault::StallBeforeFirstByte),
        stall: Duration::from_secs(600),
        ..plain()
    };
    let (asked, estimated) = ask(silent, Wire::Anthropic, cut, "true", 1);
    assert!(asked == 2 && estimated > 0, "{asked}");
}

#[test]
fn who_hangs_up_counts_the_input_and_what_came_and_asks_nobody() {
    for wire in Wire::ALL {
        let latency = Latency { first_byte: Duration::from_millis(600), ..Latency::default() };
        let fake = FakeProvider::start(Options { latency, ..Options::script(long) });
        let question = || with_tool(request(wire, "a question that is paid for"));
        let late = Asker::new(&fake, "200").ask(question());
        let asker = Asker::new(&fake, "20000");
        let cancelled = asker.ask_until(question(), || fake.report().requests == 2);
        for ended in [late, cancelled] {
            let used = ended.usage;
            assert!(used.input_tokens > 0 && used.output_tokens == 0, "{wire:?} {ended:?}");
            assert_eq!(used.estimated_tokens, used.input_tokens, "{wire:?}");
        }
        while fake.report().entries.iter().any(|entry| entry.ended.is_none()) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let report = fake.report();
        assert!(report.counts.is_empty(), "{wire:?}");
        assert!(report.entries.iter().all(|entry| entry.billed.prompt() > 0), "{wire:?}");
        // In the middle of a reply.
        fake.set_faults(FaultPlan::always(Fault::StallBetweenChunks));
        let begun = |at: usize| fake.report().entries.get(at).is_some_and(|it| it.body_bytes > 500);
        let cancelled = asker.ask_until(question(), || begun(2));
        let used = cancelled.usage;
        let report = fake.report();
        let billed = booked(report.entries[2].billed);
        assert!(report.counts.is_empty(), "{wire:?}");
        let is_told = used.estimated_tokens == 0 && used.input_tokens == billed.input_tokens;
        assert!(is_told || used.input_tokens >= billed.input_tokens, "{wire:?} {cancelled:?}");
    }
}
