//! The pure half of the mock.

use super::*;

const SCHEMA: &str = r#"{"type":"object","required":["score","why"],"additionalProperties":false,
    "properties":{"score":{"type":"integer","minimum":0,"maximum":10},"why":{"type":"string"}}}"#;

fn work(prompt: &str, schema: Option<&str>) -> TaskWork {
    TaskWork {
        subagent: "general-purpose".into(),
        prompt: prompt.into(),
        schema: schema.map(|text| Json::parse(text.to_owned()).unwrap()),
        label: None,
        model: None,
        tools: None,
        max_turns: None,
        effort: None,
        root: None,
        feedback: None,
    }
}

fn settings(values: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (name, value) in values {
        settings.set(name, value).unwrap();
    }
    settings
}

/// The answers to these prompts, in this order of calls.
fn answers(values: &[(&str, &str)], prompts: &[&str]) -> Vec<MockAnswer> {
    let mut mock = MockAnswers::new(&settings(values));
    let definition = Definition::general_purpose();
    let numbered = prompts.iter().zip(0..);
    let answer = |(prompt, call): (&&str, u32)| {
        mock.answer(&definition, &work(prompt, Some(SCHEMA)), CallId(call), Attempt(1))
    };
    numbered.map(answer).collect()
}

fn text(answer: &MockAnswer) -> &str {
    match &answer.outcome {
        Outcome::Done(json) => json.text(),
        Outcome::Failed(failure) => &failure.message,
    }
}

#[test]
fn answers_depend_on_the_task_and_not_on_the_order_of_other_tasks() {
    let spread = [("mock.latency_ms", "10"), ("mock.latency_spread_ms", "50")];
    let forth = answers(&spread, &["a", "b", "b", "c"]);
    let back = answers(&spread, &["c", "b", "a", "b"]);
    let again = [&back[2], &back[1], &back[3], &back[0]];
    assert_eq!(forth.iter().collect::<Vec<_>>(), again);
    assert_ne!(forth[1], forth[2], "equal tasks differ by their number");
    assert_ne!(answers(&[("mock.seed", "2")], &["a"])[0].outcome, forth[0].outcome);
    assert!(forth.iter().all(|it| (10_000..=60_000).contains(&it.latency.0)));
}

#[test]
fn a_later_attempt_draws_anew_and_keeps_the_number_of_its_call() {
    let definition = Definition::general_purpose();
    let mut mock = MockAnswers::new(&settings(&[]));
    let mut ask = |call, attempt| {
        let answer =
            mock.answer(&definition, &work("p", Some(SCHEMA)), CallId(call), Attempt(attempt));
        text(&answer).to_owned()
    };
    let [first, other, second] = [ask(0, 1), ask(1, 1), ask(0, 2)];
    assert!(first != other && first != second && other != second);
    assert_eq!([ask(0, 1), ask(1, 1), ask(0, 2)], [first, other, second]);
}

#[test]
fn rates_are_kept_and_failures_are_typed() {
    let prompts: Vec<String> = (0..4000).map(|i| format!("prompt {i}")).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let rates = [("mock.failure_rate", "0.25"), ("mock.null_rate", "0.25")];
    let all = answers(&rates, &prompts);
    let failed = all.iter().filter(|it| {
        matches!(&it.outcome, Outcome::Failed(failure)
        if failure.code == Code::MOCK_FAILURE && failure.retryable && failure.sent)
    });
    let null = all.iter().filter(|it| text(it) == "null");
    assert!((900..1100).contains(&failed.count()));
    assert!((900..1100).contains(&null.count()));
}

#[test]
fn answers_fit_their_schema_unless_they_are_meant_not_to() {
    let prompts: Vec<String> = (0..300).map(|i| format!("prompt {i}")).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let schema = compile(&serde_json::from_str(SCHEMA).unwrap(), &Limits::default()).unwrap();
    let fit = |rates: &[(&str, &str)]| {
        let all = answers(rates, &prompts);
        all.iter()
            .filter(|it| schema.check(&serde_json::from_str(text(it)).unwrap()).is_ok())
            .count()
    };
    assert_eq!(fit(&[]), 300);
    assert_eq!(fit(&[("mock.invalid_rate", "1")]), 0);
    assert_eq!(fit(&[("mock.null_rate", "1")]), 0);
}

#[test]
fn hostile_answers_are_json_of_every_kind() {
    let prompts: Vec<String> = (0..300).map(|i| format!("prompt {i}")).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let all = answers(&[("mock.hostile_rate", "1")], &prompts);
    for part in
        ["\"__proto__\":", "\\u001b", "\\u0000", "AAAA", "<script>", "[[[[[[[[", "\"then\":"]
    {
        let part = part.replace("AAAA", "A\u{10FFFF}A");
        assert!(all.iter().any(|it| text(it).contains(&part)), "{part}");
    }
    assert!(all.iter().all(|it| text(it).len() < 1_000_000));
}

#[test]
fn a_schema_that_admits_nothing_is_a_failure_with_a_cause() {
    let mut mock = MockAnswers::new(&settings(&[]));
    let work = work("p", Some(r#"{"type":"string","minLength":5,"maxLength":2}"#));
    let answer = mock.answer(&Definition::general_purpose(), &work, CallId(0), Attempt(1));
    let Outcome::Failed(failure) = answer.outcome else { panic!() };
    assert_eq!((failure.code, failure.sent), (Code::MOCK_FAILURE, false));
    assert!(failure.message.contains("cannot make up an answer: "), "{}", failure.message);
}

#[test]
fn without_a_schema_the_answer_is_short_text_and_tokens_are_a_quarter_of_the_bytes() {
    let mut mock = MockAnswers::new(&settings(&[]));
    let definition = Definition { system_prompt: String::new(), ..Definition::general_purpose() };
    let answer = mock.answer(&definition, &work("12345", None), CallId(0), Attempt(1));
    let prose: String = serde_json::from_str(text(&answer)).unwrap();
    expect_test::expect!["Mock answer 66f5. The first part repeats the earlier finding. The first part covers what was asked. The remaining work explains a smaller change."].assert_eq(&prose);
    let output_tokens = (text(&answer).len() as u64).div_ceil(4);
    assert_eq!(
        answer.usage,
        Usage { input_tokens: 2, output_tokens, usd_micros: 0, ..Usage::default() }
    );
    let mut fixed = MockAnswers::new(&settings(&[("mock.output_tokens", "7")]));
    let answer = fixed.answer(&definition, &work("p", None), CallId(0), Attempt(1));
    assert_eq!(answer.usage.output_tokens, 7);
}

#[test]
fn a_definition_may_fix_its_answers_and_script_its_attempts() {
    let fixed = |text: &str| Json::parse(text.to_owned()).unwrap();
    let mut definition = Definition::general_purpose();
    definition.mock.answer = Some(fixed("{\"a\":1}"));
    definition.mock.latency_ms = Some(5);
    let mut mock = MockAnswers::new(&settings(&[]));
    let mut ask = |definition: &Definition, attempt| {
        mock.answer(definition, &work("p", Some(SCHEMA)), CallId(0), Attempt(attempt))
    };
    let answer = ask(&definition, 1);
    assert_eq!((text(&answer), answer.latency), ("{\"a\":1}", Micros::from_millis(5)));
    definition.mock.script =
        vec![MockStep::Error("down".into(), false), MockStep::Answer(fixed("2"))];
    let told = [1, 2, 3].map(|attempt| text(&ask(&definition, attempt)).to_owned());
    assert_eq!(told, ["down", "2", "2"]);
}
