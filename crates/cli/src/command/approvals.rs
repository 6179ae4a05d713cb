//! `approvals`: the questions that runs ask people.

use super::runs::open;
use crate::args::Approvals;
use crate::failure::{Failure, draw};
use crate::hint::typed;
use crate::terminal::Terminal;
use loopwright::journal::{RunRow, Store};
use loopwright::program::frame::Severity;
use loopwright::protocol::{Json, PersonAnswer};
use loopwright::types::{Diagnostic, RunStatus};
use loopwright::view::{Paint, escape, escape_json, escape_lines, timestamp, to_line};
use loopwright::{Approval, InDoubt, waiting};
use serde::Serialize;

/// A question as `--json` prints it: public, stable names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApprovalOut<'a> {
    run: &'a str,
    run_status: &'a str,
    call: u32,
    question: &'a str,
    choices: Option<&'a [String]>,
    data: Option<&'a Json>,
    since: String,
    deadline: Option<String>,
    program: &'a str,
    line: Option<u32>,
    column: Option<u32>,
    answered: bool,
}

/// A call in doubt as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DoubtOut<'a> {
    run: &'a str,
    run_status: &'a str,
    call: u32,
    name: &'a str,
    request: Option<&'a Json>,
    since: String,
    program: &'a str,
    line: Option<u32>,
    column: Option<u32>,
    looked_up: Option<&'a str>,
    decided: bool,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum FoundOut<'a> {
    Question(ApprovalOut<'a>),
    Doubt(DoubtOut<'a>),
}

/// What waits for somebody.
enum Found {
    Question(Approval),
    Doubt(InDoubt),
}

impl Found {
    fn out<'a>(&'a self, how: &'a str) -> FoundOut<'a> {
        match self {
            Self::Question(approval) => FoundOut::Question(out(how, approval)),
            Self::Doubt(doubt) => FoundOut::Doubt(DoubtOut {
                run: doubt.run.as_str(),
                run_status: how,
                call: doubt.call.0,
                name: &doubt.name,
                request: doubt.request.as_ref(),
                since: timestamp(doubt.since),
                program: &doubt.program,
                line: doubt.position.map(|at| at.line),
                column: doubt.position.map(|at| at.column),
                looked_up: doubt.looked_up.as_deref(),
                decided: doubt.decision.is_some(),
            }),
        }
    }

    fn block(&self, paint: Paint, how: &str, at: &str) -> String {
        match self {
            Self::Question(approval) => block(paint, how, approval, at),
            Self::Doubt(doubt) => doubt_block(paint, how, doubt, at),
        }
    }
}

/// Lists them, oldest run last; 1 when some run could not be read, because it may ask something too.
///
/// # Errors
/// When the journal cannot be read, or the run that was named is not there or damaged.
pub fn approvals(terminal: &Terminal, args: &Approvals) -> Result<u8, Failure> {
    let store = open(terminal, args.data_dir.data_dir.as_deref())?;
    let (rows, mut code) = match &args.run {
        Some(run) => (vec![store.find(run).map_err(|error| error.diagnostic())?], 0),
        None => unended(terminal, &store)?,
    };
    let mut found = Vec::new();
    for row in rows {
        match waiting(&store, &row.id) {
            Ok(all) => {
                let questions = all.approvals.into_iter().map(Found::Question);
                let both = questions.chain(all.doubts.into_iter().map(Found::Doubt));
                found.extend(both.map(|it| (how(&row), it)));
            }
            Err(error) if args.run.is_some() => return Err(error.diagnostic().into()),
            Err(error) => {
                warn(terminal, &error.diagnostic());
                code = 1;
            }
        }
    }
    if args.json {
        let out: Vec<FoundOut<'_>> = found.iter().map(|(how, it)| it.out(how)).collect();
        return terminal.out(&(to_line(&out) + "\n")).map(|()| code);
    }
    if found.is_empty() && code == 0 {
        terminal.tell("no run waits for an answer");
        return Ok(0);
    }
    let (paint, at) = (terminal.paint_out(), typed(args.data_dir.data_dir.as_deref()));
    let shown: Vec<String> = found.iter().map(|(how, it)| it.block(paint, how, &at)).collect();
    terminal.out(&shown.join("\n")).map(|()| code)
}

fn warn(terminal: &Terminal, told: &Diagnostic) {
    terminal.tell(&draw(terminal, told, None, Severity::Warning));
}

/// Runs that may wait for somebody, newest first, and the exit code so far.
fn unended(terminal: &Terminal, store: &Store) -> Result<(Vec<RunRow>, u8), Failure> {
    let listing = store.list(usize::MAX).map_err(|error| error.diagnostic())?;
    listing.damage.iter().for_each(|error| warn(terminal, &error.diagnostic()));
    let waits = |row: &RunRow| row.status == RunStatus::Running || row.status.waits();
    let code = u8::from(!listing.damage.is_empty());
    Ok((listing.rows.into_iter().filter(waits).collect(), code))
}

fn how(row: &RunRow) -> &'static str {
    if row.interrupted { "interrupted" } else { row.status.as_str() }
}

fn out<'a>(how: &'a str, approval: &'a Approval) -> ApprovalOut<'a> {
    ApprovalOut {
        run: approval.run.as_str(),
        run_status: how,
        call: approval.call.0,
        question: &approval.request.question,
        choices: approval.request.choices.as_deref(),
        data: approval.request.data.as_ref(),
        since: timestamp(approval.since),
        deadline: approval.deadline.map(timestamp),
        program: &approval.program,
        line: approval.position.map(|at| at.line),
        column: approval.position.map(|at| at.column),
        answered: approval.answer.is_some(),
    }
}

/// A question with all that a person needs to answer it, and how.
fn block(paint: Paint, how: &str, approval: &Approval, at: &str) -> String {
    let Approval { run, call, request, since, deadline, program, position, answer } = approval;
    let day = |time| timestamp(time)[..19].replace('T', " ");
    let place = position.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
    let mut text = format!("{}  call {call}  {}\n", paint.bold(run.as_str()), paint.yellow(how));
    text.push_str(&format!("  since {} UTC", day(*since)));
    if let Some(deadline) = deadline {
        text.push_str(&format!(", until {} UTC", day(*deadline)));
    }
    text.push_str(&format!(", {}{place}\n", escape(program)));
    text.push_str(&format!(
        "  {}\n",
        paint.bold(&format!("? {}", escape_lines(&request.question)))
    ));
    if let Some(data) = &request.data {
        for line in escape_lines(&pretty(data)).lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    if let Some(answer) = answer {
        let answer = match answer {
            PersonAnswer::Given { value, .. } => escape_json(value.text()).into_owned(),
            PersonAnswer::Rejected { .. } | PersonAnswer::Decided { .. } => "rejected".to_owned(),
        };
        text.push_str(&format!("  answered {answer}: taken when the run goes on\n"));
        return text + &format!("  {}\n", paint.dim(&format!("loopwright resume {run}{at}")));
    }
    let choices = request.choices.as_deref().unwrap_or_default();
    for choice in choices {
        let line = format!("loopwright approve {run} {call}{at} --choice {}", quoted(choice));
        text.push_str(&format!("  {}\n", paint.dim(&line)));
    }
    if choices.is_empty() {
        text.push_str(&format!(
            "  {}\n",
            paint.dim(&format!("loopwright approve {run} {call}{at}"))
        ));
    }
    text + &format!("  {}\n", paint.dim(&format!("loopwright reject {run} {call}{at}")))
}

/// A call in doubt, and what can be said of it.
fn doubt_block(paint: Paint, how: &str, doubt: &InDoubt, at: &str) -> String {
    let InDoubt { run, call, name, request, since, program, position, looked_up, decision } = doubt;
    let day = timestamp(*since)[..19].replace('T', " ");
    let place = position.map_or_else(String::new, |at| format!(":{}:{}", at.line, at.column));
    let mut text = format!("{}  call {call}  {}\n", paint.bold(run.as_str()), paint.yellow(how));
    text.push_str(&format!("  since {day} UTC, {}{place}\n", escape(program)));
    let head = format!("! in doubt: {} was sent, and nothing is known of its result", escape(name));
    text.push_str(&format!("  {}\n", paint.bold(&head)));
    if let Some(request) = request {
        text.push_str(&format!("    {}\n", escape(&loopwright::view::preview_json(request, 300))));
    }
    if let Some(said) = looked_up {
        text.push_str(&format!("  looked up: {}\n", escape(said)));
    }
    if decision.is_some() {
        text.push_str("  decided: taken when the run goes on\n");
        return text + &format!("  {}\n", paint.dim(&format!("loopwright resume {run}{at}")));
    }
    for (option, meaning) in [
        ("--repeat", "it was not done"),
        ("--value JSON", "it was, with this result"),
        ("--fail", "give it up"),
    ] {
        let line = format!("loopwright decide {run} {call}{at} {option}");
        text.push_str(&format!("  {}  {meaning}\n", paint.dim(&line)));
    }
    text
}

/// JSON as people read it.
fn pretty(json: &Json) -> String {
    let value = json.read::<serde_json::Value>();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
    pretty.unwrap_or_else(|_| json.text().to_owned())
}

/// A text as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let text = escape(text);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
