//! `check`: what can be known of a program without running it.

use crate::args::Check;
use crate::failure::{Failure, draw};
use crate::terminal::Terminal;
use loopwright::program::frame::Severity;
use loopwright::program::{CallSite, Program, Report};
use loopwright::subagents::{LoadOptions, Registry};
use loopwright::types::Diagnostic;
use loopwright::view::{diagnostic_json, escape, escape_json};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// `check --json`: public, stable names.
#[derive(Serialize)]
struct Out<'a> {
    program: &'a str,
    ok: bool,
    meta: Option<&'a serde_json::Value>,
    imports: Vec<&'a str>,
    calls: Vec<CallOut<'a>>,
    errors: Vec<Box<RawValue>>,
    warnings: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallOut<'a> {
    callee: &'a str,
    line: u32,
    column: u32,
    in_loop: bool,
    names: Option<&'a str>,
}

/// Prints what is wrong; the exit code is 1 when the program cannot run.
///
/// # Errors
/// The program's own errors, and when it cannot be read.
pub fn check(terminal: &Terminal, args: &Check) -> Result<u8, Failure> {
    let name = args.program.display().to_string();
    let checked = loopwright::load_program(&args.workspace.workspace, &args.program, &name);
    if args.json {
        return json(terminal, args, &name, checked);
    }
    let program = checked?;
    let warnings = warnings(args, &program);
    for warning in &warnings {
        terminal.tell(&draw(terminal, warning, Some(&program.source), Severity::Warning));
    }
    terminal.out(&told(&name, &program, warnings.len())).map(|()| 0)
}

fn json(
    terminal: &Terminal,
    args: &Check,
    name: &str,
    checked: Result<Program, Report>,
) -> Result<u8, Failure> {
    let raw = |diagnostics: &[Diagnostic]| -> Vec<Box<RawValue>> {
        let texts = diagnostics.iter().map(diagnostic_json);
        texts.filter_map(|text| RawValue::from_string(text).ok()).collect()
    };
    let (program, errors) = match checked {
        Ok(program) => (Some(program), Vec::new()),
        Err(report) => (None, report.diagnostics),
    };
    let warnings = program.as_ref().map(|program| warnings(args, program)).unwrap_or_default();
    let text = serde_json::to_string(&Out {
        program: name,
        ok: errors.is_empty(),
        meta: program.as_ref().and_then(|it| it.meta.as_ref()).map(|meta| &meta.raw),
        imports: program.iter().flat_map(|it| &it.imports).map(|it| &*it.specifier).collect(),
        calls: program.iter().flat_map(|it| &it.calls).map(CallOut::from).collect(),
        errors: raw(&errors),
        warnings: raw(&warnings),
    });
    let text = text.expect("our form has text keys only");
    terminal.out(&format!("{}\n", escape_json(&text)))?;
    if errors.is_empty() {
        return Ok(0);
    }
    Ok(Failure { diagnostics: errors, source: None }.exit_code())
}

impl<'a> From<&'a CallSite> for CallOut<'a> {
    fn from(call: &'a CallSite) -> Self {
        Self {
            callee: &call.callee,
            line: call.position.line,
            column: call.position.column,
            in_loop: call.in_loop,
            names: call.names.as_deref(),
        }
    }
}

/// The program's own warnings, and subagents that are named and not there.
fn warnings(args: &Check, program: &Program) -> Vec<Diagnostic> {
    let (registry, problems) = Registry::load(&LoadOptions {
        workspace: args.workspace.workspace.clone(),
        agents_dir: args.agents.as_deref().map(crate::place::absolute),
        model: None,
    });
    let mut warnings = program.warnings.clone();
    let named = program.calls.iter().filter(|call| matches!(&*call.callee, "task" | "agent"));
    for call in named {
        let Some(name) = &call.names else { continue };
        if registry.get(name).is_none() {
            let refusal = registry.refusal(name);
            let length = u32::try_from(call.callee.chars().count()).unwrap_or(1);
            let mut warning = Diagnostic::new(refusal.code, refusal.message);
            warning.hint = refusal.hint;
            warnings.push(warning.at(&program.name, call.position, length));
        }
    }
    warnings.extend(problems);
    warnings
}

/// What the program is, in a few lines.
fn told(name: &str, program: &Program, warnings: usize) -> String {
    let mut out = match warnings {
        0 => format!("{}: ok\n", escape(name)),
        1 => format!("{}: ok, 1 warning\n", escape(name)),
        more => format!("{}: ok, {more} warnings\n", escape(name)),
    };
    let mut fact = |name: &str, value: &str| {
        out.push_str(&format!("{name:<13}{}\n", escape(value)));
    };
    if let Some(meta) = &program.meta {
        if let Some(name) = &meta.name {
            fact("name", name);
        }
        if let Some(description) = &meta.description {
            fact("description", description);
        }
        let titles: Vec<&str> = meta.phases.iter().map(|phase| phase.title.as_str()).collect();
        if !titles.is_empty() {
            fact("phases", &titles.join(", "));
        }
    }
    let imports: Vec<&str> = program.imports.iter().map(|it| &*it.specifier).collect();
    if !imports.is_empty() {
        fact("imports", &imports.join(", "));
    }
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in &program.calls {
        let names = call.names.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        *calls.entry(format!("{}{names}", call.callee)).or_default() += 1;
    }
    let calls: Vec<String> = calls
        .into_iter()
        .map(|(call, times)| if times > 1 { format!("{call} ×{times}") } else { call })
        .collect();
    if !calls.is_empty() {
        fact("calls", &calls.join(", "));
    }
    out
}
