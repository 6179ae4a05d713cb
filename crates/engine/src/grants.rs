//! What a subagent may call: the run's tools, narrowed by its definition and by the call, never widened. And what
//! carrying out a call may do to the world.

use crate::engine::Engine;
use loopwright_protocol::{Subagent, Tool, Work};
use loopwright_types::{CallId, Effects};

impl Engine {
    /// The tools that the subagent may call.
    pub(crate) fn tools_of(&self, id: CallId) -> impl Iterator<Item = &Tool> {
        self.tools.iter().filter(move |tool| tool.subagents && self.grant(id, tool).is_some())
    }

    /// The allow-list that a tool enforces for this task; `None` where it may not be called at all.
    pub(crate) fn grant(&self, id: CallId, tool: &Tool) -> Option<Vec<String>> {
        let call = &self.calls[id.0 as usize];
        let target = call.target.map(|at| &self.subagents[at]);
        let asked = call.task.as_ref().and_then(|task| task.request.tools.as_deref());
        granted(target, asked, tool)
    }

    /// The effects a task's attempt may have: the definition's, tightened by the program.
    pub(crate) fn effects(&self, id: CallId) -> Effects {
        let call = &self.calls[id.0 as usize];
        match (&call.task, call.target) {
            (Some(task), Some(target)) => {
                let declared = task.request.effects.unwrap_or(Effects::None);
                self.subagents[target].effects.max(declared)
            }
            _ => Effects::None,
        }
    }

    /// The effects that carrying out this work may have.
    pub(crate) fn effects_of(&self, id: CallId, work: &Work) -> Effects {
        match work {
            Work::Task(_) => self.effects(id),
            Work::Tool { name, .. } => self.tool_effects(name),
            Work::Worktree(_) => Effects::Local,
            Work::Model(_) | Work::ResolveModel { .. } | Work::Approve(_) => Effects::None,
            Work::LoadProgram { .. } | Work::LookUp(_) => Effects::None,
        }
    }

    /// What calling the tool may do.
    pub(crate) fn tool_effects(&self, name: &str) -> Effects {
        let known = self.tools.iter().find(|tool| tool.answers_to(name));
        known.map_or(Effects::None, |tool| tool.effects)
    }
}

/// What a subagent may call of a tool when a task asks for these; `None` is nothing.
pub(crate) fn granted(
    target: Option<&Subagent>,
    asked: Option<&[String]>,
    tool: &Tool,
) -> Option<Vec<String>> {
    // A rule in brackets would take away a part only, but no tool can be told so: what cannot be enforced takes away
    // the whole.
    if target.is_some_and(|target| target.tools_denied.iter().any(|item| tool.is_named_by(item))) {
        return None;
    }
    let defined = rules(target.and_then(|target| target.tools.as_deref()), tool)?;
    match narrower(defined, rules(asked, tool)?) {
        None => Some(vec![tool.name.clone()]),
        Some(rules) => (!rules.is_empty()).then_some(rules),
    }
}

/// What a list says of the tool: `None` that it may not be called, `Some(None)` that it may be called in any way,
/// else the rules in brackets of which one must permit the call.
fn rules(list: Option<&[String]>, tool: &Tool) -> Option<Option<Vec<String>>> {
    let Some(list) = list else { return Some(None) };
    let named: Vec<&String> = list.iter().filter(|item| tool.is_named_by(item)).collect();
    if named.is_empty() {
        return None;
    }
    let rules: Vec<String> =
        named.into_iter().filter(|item| inner(item).is_some()).cloned().collect();
    Some((!rules.is_empty()).then_some(rules))
}

/// What both lists permit.
fn narrower(one: Option<Vec<String>>, other: Option<Vec<String>>) -> Option<Vec<String>> {
    let (Some(one), Some(other)) = (&one, &other) else { return one.or(other) };
    let within = |rules: &[String], wide: &[String]| -> Vec<String> {
        let is_within = |rule: &&String| wide.iter().any(|wide| covers(wide, rule));
        rules.iter().filter(is_within).cloned().collect()
    };
    let mut both = within(other, one);
    for rule in within(one, other) {
        if !both.contains(&rule) {
            both.push(rule);
        }
    }
    Some(both)
}

/// The rule of an item, where it has one that restricts.
fn inner(item: &str) -> Option<&str> {
    let (_, rest) = item.split_once('(')?;
    let rule = rest.strip_suffix(')').unwrap_or(rest).trim();
    (rule != "*").then_some(rule)
}

/// Whether everything that `narrow` permits is permitted by `wide`. Only what is sure counts: the same rule, or a
/// command that is a prefix rule's followed by plain words.
fn covers(wide: &str, narrow: &str) -> bool {
    let (Some(wide), Some(narrow)) = (inner(wide), inner(narrow)) else { return false };
    if wide == narrow {
        return true;
    }
    let prefix = |rule| -> Option<&str> {
        let rule: &str = rule;
        let prefix = rule.strip_suffix(":*").or_else(|| rule.strip_suffix(" *"));
        prefix.map(str::trim_end)
    };
    let Some(wide) = prefix(wide) else { return false };
    let command = prefix(narrow).unwrap_or(narrow);
    let plain = |c: char| c.is_alphanumeric() || " _-./,=+@%".contains(c);
    match command.strip_prefix(wide) {
        Some("") => true,
        Some(rest) => rest.starts_with(' ') && rest.chars().all(plain),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_definition_and_call_are_both_kept() {
        let list = |items: &[&str]| -> Vec<String> { items.iter().map(|&i| i.into()).collect() };
        let bash = Tool::reading("bash");
        type Items<'a> = &'a [&'a str];
        let cases: [(Items, Items, Option<Items>); 9] = [
            (&["bash"], &["bash"], None),
            (&["Bash(git:*)"], &["bash"], Some(&["Bash(git:*)"])),
            (&["bash"], &["Bash(git:*)"], Some(&["Bash(git:*)"])),
            (&["Bash(git:*)"], &["Bash(git log:*)"], Some(&["Bash(git log:*)"])),
            (&["Bash(git log:*)"], &["Bash(git:*)"], Some(&["Bash(git log:*)"])),
            (&["Bash(git log:*)"], &["Bash(rm:*)"], Some(&[])),
            (&["Bash(git:*)"], &["Bash(git log; rm -r x)"], Some(&[])),
            (&["Bash(git:*)"], &["Bash(gitter:*)"], Some(&[])),
            (&["Bash(git log:*)", "Bash(ls)"], &["Bash(ls)", "Bash(rm:*)"], Some(&["Bash(ls)"])),
        ];
        for (defined, asked, expected) in cases {
            let (one, other) = (list(defined), list(asked));
            let both =
                narrower(rules(Some(&one), &bash).unwrap(), rules(Some(&other), &bash).unwrap());
            assert_eq!(both, expected.map(list), "{defined:?} and {asked:?}");
        }
        assert_eq!(rules(Some(&list(&["grep"])), &bash), None);
        assert_eq!(rules(None, &bash), Some(None));
    }
}
