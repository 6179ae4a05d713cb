//! Calls that belong together: those of a `phase()`, or else those that one line of the program made in one turn.

use super::Counts;
use loopwright_types::{CallId, GuestId, TurnId};
use std::sync::Arc;

/// What a group is named after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupName {
    /// A phase of the program.
    Phase(Arc<str>),
    /// A line of the program.
    Wave {
        /// The line, from 1; 0 where the call has no place in the author's text.
        line: u32,
        /// Which time that line made calls, from 1.
        wave: u32,
        /// The line's text, shortened.
        text: Box<str>,
    },
}

/// A group of calls.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// The guest whose calls they are.
    pub guest: GuestId,
    /// Its name.
    pub name: GroupName,
    /// What `meta.phases` says about it.
    pub detail: Option<Box<str>>,
    /// Subagent tasks by status.
    pub tasks: Counts,
    /// Tool calls, questions and nested programs by status.
    pub others: Counts,
    /// Its calls in the order in which they were made; tool calls that went well are counted only.
    pub calls: Vec<CallId>,
}

/// What makes two calls members of one group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum GroupKey {
    Phase(GuestId, Arc<str>),
    Wave(GuestId, u32, TurnId),
}

impl GroupView {
    pub(super) fn new(guest: GuestId, name: GroupName) -> Self {
        let (tasks, others) = (Counts::default(), Counts::default());
        Self { guest, name, detail: None, tasks, others, calls: Vec::new() }
    }

    /// The name as people read it, not escaped: a phase's title, or `line 12, wave 2: the line's text`.
    pub fn title(&self) -> String {
        match &self.name {
            GroupName::Phase(title) => title.to_string(),
            GroupName::Wave { line, wave, text } => {
                let mut title =
                    if *line == 0 { "program".to_owned() } else { format!("line {line}") };
                if *wave > 1 {
                    title.push_str(&format!(", wave {wave}"));
                }
                if !text.is_empty() {
                    title.push_str(": ");
                    title.push_str(text);
                }
                title
            }
        }
    }
}
