//! `approve()` on the terminal.

use crate::progress::Progress;
use crate::terminal::Terminal;
use loopwright::protocol::{ApproveRequest, Json};
use loopwright::view::{escape, escape_lines};
use loopwright::{Answer, Approver};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a question looks whether its answer is still wanted.
const PERIOD: Duration = Duration::from_millis(100);

/// Asks whoever sits at the terminal; nobody does where there is none.
pub struct TerminalApprover {
    terminal: Terminal,
    progress: Progress,
    lines: Mutex<Option<Receiver<String>>>,
}

impl TerminalApprover {
    /// Asks between two pictures of the live view.
    pub fn new(terminal: Terminal, progress: Progress) -> Self {
        Self { terminal, progress, lines: Mutex::new(None) }
    }

    /// Asks until an answer fits. Nothing at the end of input or when the answer is no longer wanted.
    fn answer(
        &self,
        lines: &Receiver<String>,
        request: &ApproveRequest,
        cancelled: &dyn Fn() -> bool,
    ) -> Option<Json> {
        while lines.try_recv().is_ok() {} // typed before the question was there
        self.terminal.tell(&question(request));
        loop {
            let typed = loop {
                match lines.recv_timeout(PERIOD) {
                    Ok(line) => break line,
                    Err(RecvTimeoutError::Disconnected) => return None,
                    Err(RecvTimeoutError::Timeout) if cancelled() => {
                        self.terminal
                            .tell("  no longer asked: answered elsewhere, or not wanted any more");
                        return None;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            };
            match choose(typed.trim(), request.choices.as_deref()) {
                Some(answer) => return Some(answer),
                None => self.terminal.tell(&ways(request)),
            }
        }
    }
}

impl Approver for TerminalApprover {
    fn ask(&self, request: &ApproveRequest, cancelled: &dyn Fn() -> bool) -> Answer {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_none() {
            *lines = keyboard(&self.terminal).map(listen);
        }
        let Some(lines) = lines.as_ref().filter(|_| !cancelled()) else { return Answer::Absent };
        self.progress.pause();
        let answer = self.answer(lines, request, cancelled);
        self.progress.resume();
        answer.map_or(Answer::Absent, Answer::Given)
    }
}

/// What a person types on, where there is one who also sees the question.
fn keyboard(terminal: &Terminal) -> Option<Box<dyn Read + Send>> {
    if !terminal.err_is_terminal() {
        return None;
    }
    if std::io::stdin().is_terminal() {
        return Some(Box::new(std::io::stdin()));
    }
    File::open("/dev/tty").ok().map(|tty| Box::new(tty) as Box<dyn Read + Send>)
}

/// Lines as they are typed, read by a thread: reading cannot be given up half-way.
fn listen(keyboard: Box<dyn Read + Send>) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(keyboard).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn question(request: &ApproveRequest) -> String {
    let mut text = format!("? {}\n", escape_lines(&request.question));
    if let Some(data) = &request.data {
        let value = data.read::<serde_json::Value>();
        let pretty = value.and_then(|value| serde_json::to_string_pretty(&value));
        let pretty = pretty.unwrap_or_else(|_| data.text().to_owned());
        for line in escape_lines(&pretty).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text + &ways(request)
}

/// How it can be answered.
fn ways(request: &ApproveRequest) -> String {
    match &request.choices {
        None => "  answer y or n, then Enter".to_owned(),
        Some(choices) => {
            let numbered = choices.iter().enumerate();
            let rows = numbered.map(|(at, choice)| format!("  {}) {}\n", at + 1, escape(choice)));
            rows.collect::<String>() + "  answer with a number, then Enter"
        }
    }
}

/// The answer that a line means; nothing when it means none.
fn choose(typed: &str, choices: Option<&[String]>) -> Option<Json> {
    let Some(choices) = choices else {
        return match typed.to_lowercase().as_str() {
            "y" | "yes" => Some(Json::of(&true)),
            "n" | "no" => Some(Json::of(&false)),
            _ => None,
        };
    };
    let by_number = typed.parse::<usize>().ok().and_then(|at| choices.get(at.checked_sub(1)?));
    let exact = choices.iter().find(|choice| choice.as_str() == typed);
    exact.or(by_number).map(Json::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_yes_or_no_or_one_of_the_choices() {
        let choices = ["ship".to_owned(), "2".to_owned(), "wait".to_owned()];
        let yes_or_no = [("y", "true"), ("No", "false"), ("", ""), ("maybe", "")];
        let of_choices =
            [("ship", "\"ship\""), ("3", "\"wait\""), ("2", "\"2\""), ("0", ""), ("y", "")];
        for (cases, choices) in [(&yes_or_no[..], None), (&of_choices, Some(&choices[..]))] {
            for (typed, answer) in cases {
                let chosen = choose(typed, choices);
                assert_eq!(chosen.as_ref().map_or("", Json::text), *answer, "{typed}");
            }
        }
    }
}
