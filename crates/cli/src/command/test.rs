//! `test`: programs held against recordings of their runs; nothing is dispatched, no key is needed.

use super::ending::Sources;
use super::replay::{differs, same};
use super::runs::open;
use crate::args::Test;
use crate::failure::{Failure, draw};
use crate::place::{absolute, cache_dir};
use crate::settings::resolve;
use crate::terminal::Terminal;
use loopwright::journal::Store;
use loopwright::program::frame::Severity;
use loopwright::protocol::ProgramText;
use loopwright::types::{Code, Diagnostic, RunId, RunStatus};
use loopwright::view::{Paint, escape};
use loopwright::{
    Recording, ReplayError, Run, RunOptions, Unattended, program_text, replay_program,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Extensions of programs, and of recordings.
const PROGRAMS: [&str; 4] = ["ts", "js", "mjs", "mts"];
const RECORDING: &str = "run";
/// Directories that hold other people's programs.
const SKIPPED: [&str; 2] = ["node_modules", "target"];

/// What to type where a run is given.
const ONE: &str =
    "name the program to hold against the run: `loopwright test program.ts --run <run>`";

/// One program, and what it is held against.
struct Case {
    program: PathBuf,
    /// None is a run with mock subagents.
    recording: Option<PathBuf>,
}

/// How one test went.
enum Went {
    Well(String),
    /// What was recorded anew.
    Updated(String),
    /// A head for the line, and the rest.
    Badly(String, String),
}

/// What all tests share.
struct Bench<'a> {
    terminal: &'a Terminal,
    workspace: PathBuf,
    update: bool,
    scratch: Scratch,
}

/// A directory for runs that nobody looks at afterwards.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Tests programs, one line each; 1 when one of them failed.
///
/// # Errors
/// When there is nothing to test, or `--run` names no run.
pub fn test(terminal: &Terminal, args: &Test) -> Result<u8, Failure> {
    let scratch = std::env::temp_dir().join(format!("loopwright-test-{}", std::process::id()));
    let bench = Bench {
        terminal,
        workspace: absolute(&args.workspace.workspace),
        update: args.update,
        scratch: Scratch(scratch),
    };
    if let Some(run) = &args.run {
        return against_run(&bench, args, run);
    }
    let cases = cases(&args.files)?;
    if cases.is_empty() {
        let message = "there is nothing to test: no program here has a recording next to it";
        let hint = "`loopwright export <run> program.run` makes one of a run; a program that is named is also tested without";
        return Err(Diagnostic::new(Code::NOTHING_TO_TEST, message).hint(hint).into());
    }
    let mut failed = 0;
    for case in &cases {
        let went = match &case.recording {
            Some(recording) => bench.recorded(&case.program, recording),
            None => bench.rehearsed(&case.program),
        };
        let against = case.recording.as_deref().map_or("mock".into(), name_of);
        failed += usize::from(matches!(went, Went::Badly(..)));
        bench.tell(&case.program, &against, went)?;
    }
    terminal.tell(&format!("{} passed, {failed} failed", cases.len() - failed));
    Ok(u8::from(failed > 0))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn against_run(bench: &Bench<'_>, args: &Test, run: &str) -> Result<u8, Failure> {
    let [program] = args.files.as_slice() else {
        let message = "`--run` takes one program";
        return Err(Diagnostic::new(Code::USAGE, message).hint(ONE).into());
    };
    if program.is_dir() {
        let message = format!("`--run` takes one program: `{}` is a directory", program.display());
        return Err(Diagnostic::new(Code::USAGE, message).hint(ONE).into());
    }
    if !program.is_file() {
        return Err(missing(program).into());
    }
    let store = open(bench.terminal, args.data_dir.data_dir.as_deref())?;
    let run = store.find(run).map_err(|error| error.diagnostic())?.id;
    let recording = Recording::of_run(&store, &run).map_err(|error| error.diagnostic())?;
    let went = bench.held(program, recording);
    let code = u8::from(matches!(went, Went::Badly(..)));
    bench.tell(program, run.as_str(), went)?;
    Ok(code)
}

impl Bench<'_> {
    fn tell(&self, program: &Path, against: &str, went: Went) -> Result<(), Failure> {
        let paint = self.terminal.paint_out();
        let program = program.display().to_string();
        let line = |word: String, told: &str| {
            format!("{word}  {}  {}  {told}\n", escape(&program), escape(against))
        };
        match went {
            Went::Well(told) => self.terminal.out(&line(paint.green("ok    "), &told)),
            Went::Updated(told) => self.terminal.out(&line(Paint::yellow(paint, "update"), &told)),
            Went::Badly(head, rest) => {
                self.terminal.out(&line(paint.red("FAIL  "), &head))?;
                self.terminal.tell(&rest);
                Ok(())
            }
        }
    }

    fn badly(&self, diagnostic: &Diagnostic, source: Option<&str>) -> Went {
        let rest = draw(self.terminal, diagnostic, source, Severity::Error);
        Went::Badly(format!("{}", diagnostic.code), rest)
    }

    fn text(&self, program: &Path) -> Result<ProgramText, Went> {
        let name = program.display().to_string();
        program_text(&self.workspace, program, &name).map_err(|report| {
            let failure = Failure::from(report);
            let source = failure.source.as_deref();
            match failure.diagnostics.first() {
                Some(first) => self.badly(first, source),
                None => Went::Badly("it does not parse".to_owned(), String::new()),
            }
        })
    }

    /// Held against a file next to it.
    fn recorded(&self, program: &Path, file: &Path) -> Went {
        let recording = match Recording::of_file(file) {
            Ok(recording) => recording,
            Err(error) => return self.badly(&error.diagnostic(), None),
        };
        let start = recording.start().cloned();
        let went = self.held(program, recording);
        match (went, start) {
            (Went::Badly(..), Some(start)) if self.update => {
                let run = self.options(program).and_then(|mut options| {
                    options.args = start.args;
                    options.agents_dir = start.agents_dir.map(PathBuf::from);
                    options.model = start.model;
                    options.settings = start.settings;
                    let again = if start.rehearsal { Run::rehearse } else { Run::prepare };
                    Ok(again(options)?)
                });
                self.record(run, file)
            }
            (went, _) => went,
        }
    }

    fn held(&self, program: &Path, recording: Recording) -> Went {
        let text = match self.text(program) {
            Ok(text) => text,
            Err(went) => return went,
        };
        let (name, sources) = (text.name.clone(), Sources::default());
        sources.note(&name, &text.source);
        match replay_program(recording, text, cache_dir()) {
            Ok(replayed) => Went::Well(same(&replayed)),
            Err(ReplayError::Mismatch(mismatch)) => {
                let rest = differs(self.terminal, &sources, &name, &mismatch);
                let at = mismatch
                    .call
                    .map_or("another end".to_owned(), |call| format!("call {call} differs"));
                Went::Badly(at, rest)
            }
            Err(ReplayError::Refused(diagnostic)) => self.badly(&diagnostic, None),
        }
    }

    /// Run with mock subagents, and tools that only read: it must end complete.
    fn rehearsed(&self, program: &Path) -> Went {
        let run = self.options(program).and_then(|options| Ok(Run::rehearse(options)?));
        if self.update {
            return self.record(run, &program.with_extension(RECORDING));
        }
        match run {
            Ok(run) => self.execute(run).map_or_else(|went| went, |(_, told)| Went::Well(told)),
            Err(failure) => self.refused(&failure),
        }
    }

    fn refused(&self, failure: &Failure) -> Went {
        match failure.diagnostics.first() {
            Some(first) => self.badly(first, failure.source.as_deref()),
            None => Went::Badly("it cannot begin".to_owned(), String::new()),
        }
    }

    fn options(&self, program: &Path) -> Result<RunOptions, Failure> {
        let resolved = resolve(&self.workspace, &[])?;
        Ok(RunOptions {
            program: program.to_owned(),
            workspace: self.workspace.clone(),
            args: None,
            agents_dir: None,
            model: Some("mock".to_owned()),
            tables: resolved.tables,
            settings: resolved.settings,
            data_dir: self.scratch.0.clone(),
            cache_dir: cache_dir(),
        })
    }

    /// Runs to the end; only a complete run is one to hold others against.
    fn execute(&self, run: Run) -> Result<(RunId, String), Went> {
        let (id, source) = (run.id().clone(), run.program().source.clone());
        let report = run.execute(Box::new(|_| {}), Arc::new(Unattended));
        let report = report.map_err(|error| self.badly(&error, None))?;
        let told =
            format!("{}, {} of {} tasks", report.status.as_str(), report.tasks.1, report.tasks.0);
        match (report.status, report.error) {
            (RunStatus::Complete, _) => Ok((id, told)),
            (_, Some(error)) => {
                let rest = draw(self.terminal, &error, Some(&source), Severity::Error);
                Err(Went::Badly(told, rest))
            }
            (_, None) => Err(Went::Badly(told, report.failures.join("\n"))),
        }
    }

    /// Runs, and keeps the run as a recording.
    fn record(&self, run: Result<Run, Failure>, file: &Path) -> Went {
        let run = match run {
            Ok(run) => run,
            Err(failure) => return self.refused(&failure),
        };
        let (id, told) = match self.execute(run) {
            Ok(ran) => ran,
            Err(went) => return went,
        };
        let new = file.with_extension("run.new");
        let _ = std::fs::remove_file(&new);
        let kept = Store::open_read_only(&self.scratch.0)
            .and_then(|store| store.export(&id, &new))
            .map_err(|error| error.diagnostic());
        let renamed = kept.and_then(|_| {
            std::fs::rename(&new, file).map_err(|error| {
                let message = format!("`{}` cannot be written: {error}", file.display());
                Diagnostic::new(Code::EXPORT_FILE, message)
            })
        });
        match renamed {
            Ok(()) => Went::Updated(format!("recorded anew in {}: {told}", name_of(file))),
            Err(diagnostic) => self.badly(&diagnostic, None),
        }
    }
}

fn missing(program: &Path) -> Diagnostic {
    let message = format!("cannot read `{}`: it is not there", program.display());
    Diagnostic::new(Code::PROGRAM_UNREADABLE, message)
        .hint("name programs, or directories with programs and recordings")
}

/// What is to be tested, in a fixed order.
fn cases(files: &[PathBuf]) -> Result<Vec<Case>, Diagnostic> {
    let mut cases = Vec::new();
    for file in files {
        if file.is_dir() {
            find(file, &mut cases);
            continue;
        }
        if !file.is_file() {
            return Err(missing(file));
        }
        let recordings = recordings_of(file);
        if recordings.is_empty() {
            cases.push(Case { program: file.clone(), recording: None });
        }
        for recording in recordings {
            cases.push(Case { program: file.clone(), recording: Some(recording) });
        }
    }
    Ok(cases)
}

/// Programs below a directory that have recordings.
fn find(directory: &Path, cases: &mut Vec<Case>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = name_of(&path);
        // A link may lead in a circle.
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                find(&path, cases);
            }
        } else if is_program(&path) {
            let path = path.strip_prefix(".").map(Path::to_owned).unwrap_or(path);
            for recording in recordings_of(&path) {
                cases.push(Case { program: path.clone(), recording: Some(recording) });
            }
        }
    }
}

fn is_program(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| PROGRAMS.contains(&extension))
}

/// `audit.run` and `audit.<anything>.run` next to `audit.ts`.
fn recordings_of(program: &Path) -> Vec<PathBuf> {
    let Some(stem) = program.file_stem().and_then(|stem| stem.to_str()) else { return Vec::new() };
    let directory = program.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(directory.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let fits = |name: &str| {
        let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_suffix(".run"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<PathBuf> =
        names.filter(|name| fits(name)).map(|name| program.with_file_name(name)).collect();
    found.sort();
    found
}
