//! All subagent definitions in reach of a run, good and broken.
//!
//! A name is looked up in this order: the `--agents` directory, `.loopwright/agents/`, `.claude/agents/`, built-in.
//! A broken file keeps its name taken: it is never replaced silently by one of lower precedence.

use crate::definition::{self, Definition, Problem, Runner, name_in_ruins};
use loopwright_protocol::Subagent;
use loopwright_types::{Code, Diagnostic, Effects, Failure, Position, Reason};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Size of one definition file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Definition files in one directory, folders inside included.
const FILES_MAX: usize = 10_000;
/// How deep folders are searched.
const FOLDERS_MAX: usize = 8;

/// Where definitions come from.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The workspace; `.loopwright/agents/` and `.claude/agents/` are looked up in it.
    pub workspace: PathBuf,
    /// A directory whose definitions come first.
    pub agents_dir: Option<PathBuf>,
    /// A model for every model-backed definition; `mock` is the mock driver. Commands stay commands.
    pub model: Option<String>,
}

/// All definitions in reach.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    definitions: BTreeMap<String, Arc<Definition>>,
    broken: BTreeMap<String, Diagnostic>,
}

impl Registry {
    /// Finds and reads all definitions. What is broken is reported and does not stop the others.
    pub fn load(options: &LoadOptions) -> (Self, Vec<Diagnostic>) {
        let mut registry = Self::default();
        let mut diagnostics = Vec::new();
        for (directory, is_required) in directories(options) {
            registry.add(Level::read(&directory, options, is_required, &mut diagnostics));
        }
        let built_in = Definition::general_purpose();
        if !registry.knows(&built_in.name) {
            registry.definitions.insert(built_in.name.clone(), built_in.into());
        }
        if let Some(model) = &options.model {
            registry.override_model(model);
        }
        (registry, diagnostics)
    }

    /// A registry of these definitions alone.
    pub fn of(definitions: impl IntoIterator<Item = Definition>) -> Self {
        let named = definitions.into_iter().map(|it| (it.name.clone(), Arc::new(it)));
        Self { definitions: named.collect(), broken: BTreeMap::new() }
    }

    /// The definition of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Definition>> {
        self.definitions.get(name)
    }

    /// Why the definition of this name is broken, if it is.
    pub fn broken(&self, name: &str) -> Option<&Diagnostic> {
        self.broken.get(name)
    }

    /// All usable definitions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.values()
    }

    /// All usable definitions as plain data for engine and journal, by name.
    pub fn subagents(&self) -> Vec<Subagent> {
        self.iter().map(|definition| definition.subagent()).collect()
    }

    /// The names that broken files have or seem to have, with what is wrong.
    pub fn broken_definitions(&self) -> impl Iterator<Item = (&String, &Diagnostic)> {
        self.broken.iter()
    }

    /// Why a task for a subagent that cannot be used fails: its definition is broken, or there is none.
    pub fn refusal(&self, name: &str) -> Failure {
        let Some(cause) = self.broken(name) else { return self.unknown(name) };
        let at = cause.location.as_ref();
        let place = at.map(|at| format!("{}:{}: ", at.file, at.position.line)).unwrap_or_default();
        let message =
            format!("the definition of subagent `{name}` is broken: {place}{}", cause.message);
        let failure = Failure::new(Reason::Policy, cause.code, message).not_sent();
        match &cause.hint {
            Some(hint) => failure.hint(hint.clone()),
            None => failure,
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let shown = loopwright_processes::shown(name, 100);
        let message = format!("subagent `{shown}` is not defined");
        let known: Vec<&str> = self.definitions.keys().map(String::as_str).take(20).collect();
        let hint = format!(
            "defined are `{}`; add `.loopwright/agents/<name>.md` for another",
            known.join("`, `")
        );
        Failure::new(Reason::Policy, Code::SUBAGENT_UNKNOWN, message).not_sent().hint(hint)
    }

    fn knows(&self, name: &str) -> bool {
        self.definitions.contains_key(name) || self.broken.contains_key(name)
    }

    /// Adds a level below those that are there.
    fn add(&mut self, level: Level) {
        let is_free = |registry: &Self, name: &str| !registry.knows(name);
        let broken = level.broken.into_iter().filter(|(name, _)| is_free(self, name));
        let broken: Vec<_> = broken.collect();
        let good = level.good.into_iter().filter(|(name, _)| is_free(self, name));
        let good: Vec<_> = good.map(|(name, it)| (name, Arc::new(it))).collect();
        self.broken.extend(broken);
        self.definitions.extend(good);
    }

    /// Lets the mock driver stand in for every subagent, commands and agents included: nothing is started.
    pub fn mock_all(&mut self) {
        for definition in self.definitions.values_mut() {
            let mut own = Definition::clone(definition);
            own.runner = Runner::Mock;
            own.effects = Effects::None; // an invented answer changes nothing
            own.lookup = None;
            *definition = Arc::new(own);
        }
    }

    fn override_model(&mut self, model: &str) {
        for definition in self.definitions.values_mut() {
            if definition.runner != Runner::Model {
                continue;
            }
            let mut own = Definition::clone(definition);
            own.model = Some(model.to_owned());
            if model == "mock" {
                own.runner = Runner::Mock;
                own.effects = Effects::None; // an invented answer changes nothing, whatever the definition is for
            }
            *definition = Arc::new(own);
        }
    }
}

/// Directories from the highest precedence to the lowest, and whether each must exist.
fn directories(options: &LoadOptions) -> Vec<(PathBuf, bool)> {
    let given = options.agents_dir.iter().map(|given| (options.workspace.join(given), true));
    let own = [".loopwright/agents", ".claude/agents"];
    given.chain(own.map(|name| (options.workspace.join(name), false))).collect()
}

/// What one directory holds.
#[derive(Default)]
struct Level {
    good: BTreeMap<String, Definition>,
    broken: BTreeMap<String, Diagnostic>,
}

impl Level {
    fn read(
        directory: &Path,
        options: &LoadOptions,
        is_required: bool,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut level = Self::default();
        let mut guessed = Vec::new();
        let mut files = Vec::new();
        if let Err(error) = find(directory, 0, &mut files)
            && (is_required || error.kind() != io::ErrorKind::NotFound)
        {
            let shown = shown(directory, options);
            let cause = format!("the agents directory `{shown}` cannot be read: {error}");
            let hint = "give the directory that holds the `*.md` definitions";
            diagnostics.push(Diagnostic::new(Code::DEFINITION_INVALID, cause).hint(hint));
        }
        for path in files {
            let file = shown(&path, options);
            match read_file(&path) {
                Ok(None) => {}
                Ok(Some(definition)) => level.insert(definition, file, diagnostics),
                Err((problem, name)) => {
                    let cause = problem.diagnostic(&file);
                    diagnostics.push(cause.clone());
                    guessed.push((name, cause));
                }
            }
        }
        // The name of a broken file is a guess; a definition that says its name goes before it.
        for (name, cause) in guessed {
            if !level.good.contains_key(&name) {
                level.broken.entry(name).or_insert(cause);
            }
        }
        level
    }

    /// Takes a definition in. Two of one name are both unusable: neither can be told to be the right one.
    fn insert(&mut self, definition: Definition, file: String, diagnostics: &mut Vec<Diagnostic>) {
        let name = definition.name.clone();
        let first = self.good.get(&name).and_then(|first| first.source.clone());
        let earlier = self.broken.get(&name).and_then(|cause| cause.location.clone());
        let Some(first) = first.or(earlier.map(|at| at.file)) else {
            let source = Some(file);
            self.good.insert(name, Definition { source, ..definition });
            return;
        };
        let message = format!("`{name}` is defined twice, first in `{first}`");
        let hint = "rename or remove one of the two; until then neither can be used";
        let at = Position { line: 1, column: 1 };
        let cause = Problem::new(at, message, hint).diagnostic(&file);
        diagnostics.push(cause.clone());
        self.good.remove(&name);
        self.broken.insert(name, cause);
    }
}

/// Collects the `*.md` entries below a directory in the order of their names.
fn find(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "md") {
            if files.len() < FILES_MAX {
                files.push(path);
            }
        } else if depth < FOLDERS_MAX && entry.file_type()?.is_dir() {
            // A folder that cannot be read hides its own files only.
            let _ = find(&path, depth + 1, files);
        }
    }
    Ok(())
}

/// A path as people see it: relative to the workspace where it lies inside.
fn shown(path: &Path, options: &LoadOptions) -> String {
    path.strip_prefix(&options.workspace).unwrap_or(path).display().to_string()
}

/// Reads one file. `None` is a read-me, not a definition. A problem comes with the name it probably has.
fn read_file(path: &Path) -> Result<Option<Definition>, (Problem, String)> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let start = Position { line: 1, column: 1 };
    let bytes = match bytes_of(path) {
        Ok(bytes) => bytes,
        Err((message, hint)) => return Err((Problem::new(start, message, hint), stem)),
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            let message = "the file is not UTF-8 text";
            let problem = Problem::new(Position { line, column: 1 }, message, "save it as UTF-8");
            let name = name_in_ruins(&String::from_utf8_lossy(good)).unwrap_or(stem);
            return Err((problem, name));
        }
    };
    let is_readme = stem.eq_ignore_ascii_case("readme") && !text.starts_with("---");
    match definition::read(&text) {
        Ok(definition) => Ok(Some(definition)),
        Err(_) if is_readme => Ok(None),
        Err(problem) => Err((problem, name_in_ruins(&text).unwrap_or(stem))),
    }
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, (String, &'static str)> {
    let cannot =
        |error: io::Error| (format!("the file cannot be read: {error}"), "check its permissions");
    let about = fs::metadata(path).map_err(cannot)?;
    if !about.is_file() {
        let kind = if about.is_dir() { "a directory" } else { "no regular file" };
        return Err((
            format!("a definition must be a file, and this is {kind}"),
            "rename or move it",
        ));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("the file is {} bytes (limit {FILE_BYTES_MAX})", about.len());
        return Err((message, "move long material to a file that the subagent reads"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
