//! Runs, slots, branches and directories. A slot is the name of one worktree of a run: its call, `7`, or, where an
//! earlier attempt of that call left something behind, the call and a number, `7-2`.

use crate::failures::{branch as refused, printable};
use loopwright_types::{CallId, Failure, RunId};
use std::path::{Path, PathBuf};

/// Every branch of ours begins so.
pub(crate) const PREFIX: &str = "loopwright/";
/// Numbers tried for one call before giving up.
pub(crate) const SLOTS_MAX: u32 = 1000;

/// Names one worktree: run and slot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) run: RunId,
    pub(crate) slot: String,
}

impl Name {
    /// The `number`th slot of a call, counted from 1.
    pub(crate) fn of(run: &RunId, call: CallId, number: u32) -> Self {
        let slot = if number == 1 { call.to_string() } else { format!("{call}-{number}") };
        Self { run: run.clone(), slot }
    }

    /// From a run's and a slot's text, as found in a directory or a branch.
    pub(crate) fn parse(run: &str, slot: &str) -> Option<Self> {
        let is_number =
            |text: &str| text.parse::<u32>().is_ok_and(|number| number.to_string() == text);
        let (call, number) = slot.split_once('-').unwrap_or((slot, "2"));
        let fits = is_number(call) && is_number(number) && number != "0" && number != "1";
        Some(Self { run: RunId::parse(run)?, slot: fits.then(|| slot.to_owned())? })
    }

    /// From a branch's name, with or without `refs/heads/`.
    ///
    /// # Errors
    /// For every branch that is not exactly `loopwright/<run>/<slot>`.
    pub(crate) fn of_branch(branch: &str) -> Result<Self, Failure> {
        let own = branch.strip_prefix("refs/heads/").unwrap_or(branch).strip_prefix(PREFIX);
        let name = own.and_then(|own| own.split_once('/')).and_then(|(a, b)| Self::parse(a, b));
        name.ok_or_else(|| refused(format!("`{}` is not a subagent's branch", printable(branch))))
    }

    /// The branch.
    pub(crate) fn branch(&self) -> String {
        format!("{PREFIX}{}/{}", self.run, self.slot)
    }

    /// The branch in full: nothing else, no tag either, can have this name.
    pub(crate) fn reference(&self) -> String {
        format!("refs/heads/{}", self.branch())
    }

    /// The worktree's directory.
    pub(crate) fn directory(&self, home: &Path) -> PathBuf {
        home.join(self.run.as_str()).join(&self.slot)
    }

    /// The file beside it that says what it is.
    pub(crate) fn record(&self, home: &Path) -> PathBuf {
        home.join(self.run.as_str()).join(format!("{}.json", self.slot))
    }

    /// The call it was made for.
    pub(crate) fn call(&self) -> CallId {
        let digits = self.slot.split('-').next().unwrap_or_default();
        CallId(digits.parse().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_of_a_run_and_a_call_are_ours() {
        let ours = ["loopwright/r-1/0", "loopwright/a/7-2", "refs/heads/loopwright/a/4294967295"];
        let others = [
            "main",
            "loopwright/",
            "loopwright/a",
            "loopwright/a/",
            "loopwright/a/7/8",
            "loopwright/a/07",
            "loopwright/a/7-1",
            "loopwright/a/7-0",
            "loopwright/a/+7",
            "loopwright/A/7",
            "loopwright/../7",
            "loopwright/a/..",
            "loopwright/a/7^{tree}",
            "loopwright/a/7~1",
            "loopwright/a/7:x",
            "loopwright/a/7 ",
            "loopwright/a/7\n",
            "loopwright/a/7\0",
            "loopwright/a/--force",
            "--upload-pack=x",
            "refs/tags/loopwright/a/7",
            "",
        ];
        for name in ours {
            let parsed = Name::of_branch(name).unwrap();
            assert!(name.ends_with(&parsed.branch()), "{name}");
        }
        for name in others {
            assert!(Name::of_branch(name).is_err(), "{name:?}");
        }
        let longest = format!("loopwright/a/{}", "9".repeat(5000));
        assert!(Name::of_branch(&longest).unwrap_err().message.len() < 400);
    }
}
