//! The driver against a fake provider that goes wrong on purpose and keeps its own books.

mod support;

use loopwright_fakes::{
    Answers, Class, FakeProvider, Fault, FaultPlan, Limits, Options, Reply, ToolLoop, Wire,
};
use loopwright_protocol::{Block, Finish, Message, Progress, ToolResult};
use loopwright_types::FailureClass;
use std::collections::HashSet;
use std::time::Duration;
use support::{Asker, Ended, request, with_schema, with_tool};

const LONG: &str = "A reply long enough to be cut in the middle, with 世界 and 🦀 in it.";

fn long(_: &loopwright_fakes::Request) -> Reply {
    Reply::text(LONG)
}

fn expected(class: Class) -> Option<FailureClass> {
    match class {
        Class::Never => Some(FailureClass::Never),
        Class::Wait => Some(FailureClass::Wait),
        Class::Switch => Some(FailureClass::Switch),
        Class::Park => Some(FailureClass::Park),
        Class::Succeeds => None,
    }
}

/// Asks once under a fault.
fn under(fault: Fault, wire: Wire) -> (FakeProvider, Ended) {
    let fault = if let Fault::OversizedReply(_) = fault { Fault::OversizedReply(2) } else { fault };
    let options = Options::script(long).faults(FaultPlan::always(fault));
    let fake = FakeProvider::start(Options { stall: Duration::from_secs(40), ..options });
    let asker = match fault {
        Fault::ConnectionRefused => Asker::at(&FakeProvider::closed_port, "20000"),
        Fault::StallBeforeFirstByte | Fault::StallBetweenChunks => Asker::new(&fake, "500"),
        _ => Asker::new(&fake, "20000"),
    };
    let mut question = request(wire, "hi");
    match fault {
        Fault::InvalidToolArguments | Fault::DuplicateToolIds => question = with_tool(question),
        Fault::SchemaInvalidAnswer => question = with_schema(question),
        _ => {}
    }
    let ended = asker.ask(question);
    (fake, ended)
}

#[test]
fn every_fault_gets_its_class_on_every_wire() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for &fault in Fault::ALL {
        std::thread::scope(|scope| {
            let runs = Wire::ALL.map(|wire| scope.spawn(move || (wire, under(fault, wire).1)));
            for run in runs {
                let (wire, ended) = run.join().unwrap();
                checked += 1;
                if ended.class() != expected(fault.expected_class(wire)) {
                    wrong.push(format!("{fault:?} {wire:?}: {:?}", ended.outcome));
                }
            }
        });
    }
    println!("{} faults, {checked} cells, {} wrong", Fault::ALL.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wait_is_what_the_provider_asked_for_and_nonsense_is_none() {
    for wire in Wire::ALL {
        let wait = |fault| under(fault, wire).1.failure().unwrap().retry_after.map(|wait| wait.0);
        assert_eq!(wait(Fault::RateLimitSeconds(3)), Some(3_000_000), "{wire:?}");
        let until = wait(Fault::RateLimitDate(30)).unwrap();
        assert!((15_000_000..=31_000_000).contains(&until), "{wire:?} {until}");
        assert!(wait(Fault::RetryAfterHuge).unwrap() <= 86_400_000_000, "{wire:?}");
        for nonsense in [Fault::RateLimitBare, Fault::RetryAfterNegative, Fault::RetryAfterGarbage]
        {
            assert_eq!(wait(nonsense).unwrap_or(0), 0, "{wire:?} {nonsense:?}");
        }
    }
}

#[test]
fn limits_are_told_with_every_reply_and_with_every_refusal() {
    for wire in [Wire::Anthropic, Wire::Chat, Wire::Responses] {
        let limits = Limits { requests: 2, tokens: 100_000, window: Duration::from_secs(60) };
        let fake = FakeProvider::start(Options { limits: Some(limits), ..Options::script(long) });
        let asker = Asker::new(&fake, "20000");
        let ended = [(); 3].map(|()| asker.ask(request(wire, "hi")));
        assert_eq!(
            ended.each_ref().map(|it| it.class()),
            [None, None, Some(FailureClass::Wait)],
            "{wire:?}"
        );
        for (ended, remaining) in ended.iter().zip([1, 0, 0]) {
            let limits = ended.progress.iter().find_map(|news| match news {
                Progress::Limits(limits) => Some(*limits),
                _ => None,
            });
            let limits = limits.unwrap_or_else(|| panic!("{wire:?}: {:?}", ended.progress));
            let requests = limits.requests.unwrap();
            assert_eq!((requests.limit, requests.remaining), (2, remaining), "{wire:?}");
            assert!((1..=61_000_000).contains(&requests.reset.0), "{wire:?} {requests:?}");
            assert_eq!(limits.tokens.unwrap().limit, 100_000, "{wire:?}");
        }
        let wait = ended[2].failure().unwrap().retry_after.unwrap();
        assert!((1_000_000..=60_000_000).contains(&wait.0), "{wire:?} {wait:?}");
    }
}

#[test]
fn what_was_never_sent_says_so() {
    for wire in Wire::ALL {
        let failure = under(Fault::ConnectionRefused, wire).1;
        assert!(!failure.failure().unwrap().sent, "{wire:?}");
        let failure = under(Fault::ResetBeforeResponse, wire).1;
        assert!(failure.failure().unwrap().sent, "{wire:?}");
    }
}

#[test]
fn replies_that_count_are_given_as_the_model_said_them() {
    for wire in Wire::ALL {
        for fault in [Fault::MissingUsage, Fault::ZeroUsage, Fault::UnknownEvents, Fault::SlowDrip]
        {
            let reply = under(fault, wire).1.reply();
            assert_eq!(reply.blocks, [Block::Text { text: LONG.to_owned() }], "{wire:?} {fault:?}");
        }
        let calls = under(Fault::DuplicateToolIds, wire).1.reply().blocks;
        let id = |block: &Block| match block {
            Block::ToolUse { id, .. } => Some(id.clone()),
            _ => None,
        };
        let ids: HashSet<String> = calls.iter().filter_map(id).collect();
        assert_eq!(ids.len(), 2, "{wire:?} {calls:?}");
        if wire != Wire::Gemini {
            let blocks = under(Fault::InvalidToolArguments, wire).1.reply().blocks;
            let raw = |block: &Block| matches!(block, Block::ToolUse { arguments, .. } if arguments == "{\"path\": \"src/ma");
            assert!(blocks.iter().any(raw), "{wire:?} {blocks:?}");
        }
    }
}

#[test]
fn siblings_with_the_same_beginning_read_it_from_the_cache() {
    for wire in Wire::ALL {
        let fake = FakeProvider::start(Options::script(long));
        let asker = Asker::new(&fake, "20000");
        let usages = ["one", "two"].map(|prompt| {
            let mut question = with_tool(request(wire, prompt));
            question.system = "A long system prompt that siblings share. ".repeat(300);
            question.cache = true;
            asker.ask(question).usage
        });
        assert_eq!(usages[0].cache_read_tokens, 0, "{wire:?}");
        assert!(usages[1].cache_read_tokens > 2_900, "{wire:?} {usages:?}");
        assert!(usages[1].cache_read_tokens <= usages[1].input_tokens, "{wire:?} {usages:?}");
        let billed = fake.report().billed;
        assert_eq!(billed.cache_read, usages[1].cache_read_tokens, "{wire:?}");
    }
}

#[test]
fn recorded_streams_cut_on_the_wire_are_never_accepted() {
    let mut cuts = 0;
    for wire in Wire::ALL {
        let fake = FakeProvider::start(Options::script(long));
        let asker = Asker::new(&fake, "20000");
        asker.ask(request(wire, "hi"));
        let whole = fake.report().entries[0].body_bytes;
        // Before the line feed that ends the last event of all, by any rule.
        for at in (0..whole - 1).filter(|at| at % 13 == 0 || *at + 60 > whole) {
            fake.set_faults(FaultPlan::always(Fault::CutAt(at)));
            let ended = asker.ask(request(wire, "hi"));
            assert_eq!(
                ended.class(),
                Some(FailureClass::Wait),
                "{wire:?} cut after {at} of {whole}"
            );
            cuts += 1;
        }
    }
    println!("{cuts} cuts, none accepted");
}

#[test]
fn a_conversation_with_tools_thinking_and_an_answer_is_refused_nowhere() {
    for wire in Wire::ALL {
        let fake = FakeProvider::start(Options::script(ToolLoop { turns: 3, calls: 2 }));
        let asker = Asker::new(&fake, "20000");
        for (effort, cache) in [(None, false), (Some("high"), true)] {
            let mut question = with_tool(request(wire, "go"));
            question.effort = effort.map(str::to_owned);
            question.cache = cache;
            question.output_tokens_max = 20_000;
            for turn in 0..4 {
                let ended = asker.ask(question.clone());
                assert!(ended.failure().is_none(), "{wire:?} {turn}: {:?}", ended.outcome);
                let reply = ended.reply();
                let result = |block: &Block| match block {
                    Block::ToolUse { id, name, .. } => Some(ToolResult {
                        id: id.clone(),
                        name: name.clone(),
                        text: "text".to_owned(),
                        is_error: turn == 1,
                    }),
                    _ => None,
                };
                let results: Vec<ToolResult> = reply.blocks.iter().filter_map(result).collect();
                assert_eq!(
                    (results.len(), reply.finish == Finish::Tools),
                    if turn < 3 { (2, true) } else { (0, false) }
                );
                question.messages.push(Message::Assistant { blocks: reply.blocks });
                question.messages.push(Message::Tools { results });
            }
        }
        assert_eq!(fake.report().refused, Vec::<String>::new(), "{wire:?}");
    }
}

#[test]
fn structured_answers_of_many_schemas_are_asked_for_in_a_form_that_is_taken() {
    let schemas = [
        r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1,"maximum":5}},"required":["a"]}"#,
        r#"{"type":"array","items":{"type":"string","minLength":3},"minItems":2,"maxItems":4}"#,
        r#"{"enum":["yes","no"]}"#,
        r#"{"type":["string","null"]}"#,
        r#"{"type":"object","additionalProperties":{"type":"number"}}"#,
        r##"{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"v":{"type":"string"},"next":{"anyOf":[
            {"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v","next"]}}}"##,
        r#"{"type":"object","properties":{"o":{"type":"string","pattern":"^a"},"p":{"const":3}}}"#,
        r#"{"oneOf":[{"type":"integer"},{"type":"boolean"}]}"#,
        r#"true"#,
    ];
    for wire in Wire::ALL {
        let fake = FakeProvider::start(Options::script(Answers::seeded(3)));
        let asker = Asker::new(&fake, "20000");
        for with_tools in [false, true] {
            for schema in schemas {
                let mut question = request(wire, "judge");
                question.schema = Some(support::json(schema));
                if with_tools {
                    question = with_tool(question);
                }
                let ended = asker.ask(question);
                assert!(ended.failure().is_none(), "{wire:?} {schema}: {:?}", ended.outcome);
            }
        }
        assert_eq!(fake.report().refused, Vec::<String>::new(), "{wire:?}");
    }
}
