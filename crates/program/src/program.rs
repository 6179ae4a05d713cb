//! Source text to a runnable program.

use crate::calls::{self, CallSite};
use crate::imports::{Binding, Import};
use crate::library::Library;
use crate::lines::Lines;
use crate::meta::{self, Meta};
use crate::nesting;
use crate::report::Report;
use crate::strip::{self, Goal, Stripped};
use crate::syntax::{self, TopLevelReturn};
use crate::text::Text;
use loopwright_types::{Code, Diagnostic, Digest, Position};
use oxc_allocator::Allocator;

/// A program that parses, reaches nothing it may not, and is ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The file name as the author wrote it.
    pub name: String,
    /// The author's text, without a byte order mark.
    pub source: String,
    /// SHA-256 of `source`.
    pub digest: Digest,
    /// What the guest runs as an async script: the author's lines and columns, on line 1 behind the imports.
    pub code: String,
    /// Whether it runs in strict mode: it has `import` or `export` other than `meta`.
    pub strict: bool,
    /// Length in code points of what stands before the author's text on line 1 of `code`.
    pub prefix_columns: u32,
    /// Modules it imports, in the author's order.
    pub imports: Vec<Import>,
    /// What it says about itself.
    pub meta: Option<Meta>,
    /// What is allowed but is probably a mistake.
    pub warnings: Vec<Diagnostic>,
    /// Where it calls the API.
    pub calls: Vec<CallSite>,
}

/// Makes a program from source text. The language goes by the extension of `name`: JavaScript for `.js` and `.mjs`,
/// else TypeScript.
///
/// # Errors
/// A report with every error found: `LW0101` to `LW0108`.
pub fn parse(name: &str, source: &str) -> Result<Program, Report> {
    let text = Text::new(name, source)?;
    nesting::with_stack_for(&text, || parse_text(&text))?
}

fn parse_text(text: &Text<'_>) -> Result<Program, Report> {
    let allocator = Allocator::default();
    let tree = syntax::parse(&allocator, text, TopLevelReturn::Allowed)?;
    let Stripped { code, imports, strict, mut problems, .. } =
        strip::strip(text, &tree, Goal::Script);
    let found = meta::find(text, &tree);
    problems.extend(found.problems);
    if !problems.is_empty() {
        return Err(text.report(problems));
    }
    syntax::check_stripped(text, &code, TopLevelReturn::Allowed)?;
    let seen = calls::find(text, &tree);
    let mut warnings = found.warnings;
    warnings.extend(seen.warnings);
    warnings.sort_by_key(|warning| {
        warning.location.as_ref().map(|at| (at.position.line, at.position.column))
    });
    let prefix = prefix(&imports);
    Ok(Program {
        name: text.name.to_owned(),
        source: text.source.to_owned(),
        digest: Digest::of(text.source.as_bytes()),
        prefix_columns: u32::try_from(prefix.chars().count()).unwrap_or(u32::MAX),
        code: prefix + &code,
        strict,
        imports,
        meta: found.meta,
        warnings,
        calls: seen.calls,
    })
}

/// Static imports as one line: `const {a: b} = await import("…");` for each. A declaration, because an expression
/// would have a completion value.
fn prefix(imports: &[Import]) -> String {
    let mut prefix = String::new();
    for import in imports.iter().filter(|import| !import.dynamic) {
        let from = format!(" = await import({});", quoted(&import.specifier));
        let named: Vec<String> = import.bindings.iter().filter_map(member).collect();
        for binding in &import.bindings {
            if let Binding::Namespace { local } = binding {
                prefix += &format!("const {local}{from}");
            }
        }
        let whole = import.bindings.iter().any(|binding| binding.imported().is_none());
        if !whole || !named.is_empty() {
            prefix += &format!("const {{{}}}{from}", named.join(", "));
        }
    }
    prefix
}

/// `imported: local` of a destructuring pattern.
fn member(binding: &Binding) -> Option<String> {
    let imported = binding.imported()?;
    Some(format!("{}: {}", quoted(imported), binding.local()))
}

/// A JavaScript string literal on one line.
fn quoted(text: &str) -> String {
    // JSON text is a JavaScript expression; the two rare line breaks would count as lines.
    let text = serde_json::Value::from(text).to_string();
    text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

impl Program {
    /// The author's place of a place in `code`, both in code points.
    pub fn author_position(&self, line: u32, column: u32) -> Position {
        let before = if line == 1 { self.prefix_columns } else { 0 };
        Position { line, column: column.saturating_sub(before).max(1) }
    }

    /// The author's place of a place in `code` whose column counts UTF-8 bytes from 1.
    pub fn author_position_of_bytes(&self, line: u32, byte_column: u32) -> Position {
        let lines = Lines::of(&self.code);
        let text = lines.line(&self.code, line).unwrap_or("");
        let end = crate::lines::boundary(text, (byte_column as usize).saturating_sub(1));
        let column = u32::try_from(text[..end].chars().count()).unwrap_or(u32::MAX);
        self.author_position(line, column.saturating_add(1))
    }

    /// `LW0108` for each name that a library does not export, once it has been found and parsed.
    pub fn check_library(&self, specifier: &str, library: &Library) -> Vec<Diagnostic> {
        let exports: Vec<&str> = library.exports.iter().map(String::as_str).collect();
        let imports = self.imports.iter().filter(|import| import.specifier == specifier);
        let missing = imports.flat_map(|import| {
            let bindings = import.bindings.iter();
            bindings.filter_map(|binding| {
                let refused = binding.missing_from(specifier, &exports)?;
                let length = u32::try_from(specifier.chars().count() + 2).unwrap_or(1);
                let error = Diagnostic::new(Code::IMPORT_NAME_UNKNOWN, refused.message);
                Some(error.at(&self.name, import.position, length).hint(refused.hint))
            })
        });
        missing.collect()
    }
}
