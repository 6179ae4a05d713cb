//! Program text with what it imports: libraries are read, parsed and pinned with the program.

use loopwright_program::{Import, Library, Program, Report};
use loopwright_protocol::{Json, ProgramText};
use loopwright_types::{Code, Diagnostic};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads and parses a program's file, with the libraries it imports.
///
/// # Errors
/// Everything that is wrong with any of them.
pub(crate) fn load(
    workspace: &Path,
    path: &Path,
    name: &str,
) -> Result<(Program, ProgramText), Report> {
    let source = read(path, name)?;
    let program = loopwright_program::parse(name, &source)?;
    let mut modules = BTreeMap::new();
    for import in &program.imports {
        if let Some(library) = libraries(workspace, import, name, &source, &mut modules)? {
            let missing = program.check_library(&import.specifier, &library);
            if !missing.is_empty() {
                return Err(Report { source, diagnostics: missing });
            }
        }
    }
    let meta = program.meta.as_ref().map(|meta| Json::of(&meta.raw));
    let text = ProgramText {
        name: program.name.clone(),
        source: program.source.clone(),
        digest: program.digest,
        code: program.code.clone(),
        strict: program.strict,
        prefix_columns: program.prefix_columns,
        modules: modules.into_iter().collect(),
        meta,
    };
    Ok((program, text))
}

/// The text of a program's file.
fn read(path: &Path, name: &str) -> Result<String, Report> {
    let unreadable = |cause: String| {
        let diagnostic =
            Diagnostic::new(Code::PROGRAM_UNREADABLE, format!("cannot read `{name}`: {cause}"))
                .hint("name a `.ts`, `.js` or `.mjs` file");
        Report { source: String::new(), diagnostics: vec![diagnostic] }
    };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if !size.is_file() {
        return Err(unreadable("not a file".to_owned()));
    }
    if size.len() > loopwright_program::PROGRAM_BYTES_MAX as u64 {
        let (is, most) = (size.len(), loopwright_program::PROGRAM_BYTES_MAX);
        let message = format!("`{name}` is {is} bytes (limit {most})");
        let diagnostic = Diagnostic::new(Code::PROGRAM_TOO_LARGE, message)
            .hint("keep data in files and read them with `tools.read_file`");
        return Err(Report { source: String::new(), diagnostics: vec![diagnostic] });
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))
}

/// Adds the library that an import names, and those it imports in turn; gives the library itself.
fn libraries(
    workspace: &Path,
    import: &Import,
    importer: &str,
    source: &str,
    modules: &mut BTreeMap<String, String>,
) -> Result<Option<Library>, Report> {
    let Some(name) = import.library() else { return Ok(None) };
    let path = crate::saved::find(workspace, name).map_err(|error| Report {
        source: source.to_owned(),
        diagnostics: vec![error.at(importer, import.position, 1)],
    })?;
    let shown = path.strip_prefix(workspace).unwrap_or(&path).display().to_string();
    let text = read(&path, &shown)?;
    let library = loopwright_program::parse_library(&shown, &text)?;
    if modules.insert(import.specifier.clone(), library.code.clone()).is_none() {
        for import in &library.imports {
            libraries(workspace, import, &shown, &text, modules)?;
        }
    }
    Ok(Some(library))
}
