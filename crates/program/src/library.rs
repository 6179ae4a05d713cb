//! A saved program as an ES module, for `import … from "library:name"`.

use crate::imports::Import;
use crate::nesting;
use crate::report::Report;
use crate::strip::{self, Goal, Stripped};
use crate::syntax::{self, TopLevelReturn};
use crate::text::Text;
use loopwright_types::Digest;
use oxc_allocator::Allocator;

/// A module that programs import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The file name as the author wrote it.
    pub name: String,
    /// The author's text, without a byte order mark.
    pub source: String,
    /// SHA-256 of `source`.
    pub digest: Digest,
    /// ES module text with the author's lines and columns; imports and exports stand where they were.
    pub code: String,
    /// Modules it imports in turn.
    pub imports: Vec<Import>,
    /// Names it exports; `default` is one.
    pub exports: Vec<String>,
}

/// Makes a module from source text, with the rules of [`crate::parse`]; a top-level `return` is an error here.
///
/// # Errors
/// A report with every error found.
pub fn parse_library(name: &str, source: &str) -> Result<Library, Report> {
    let text = Text::new(name, source)?;
    nesting::with_stack_for(&text, || parse_text(&text))?
}

fn parse_text(text: &Text<'_>) -> Result<Library, Report> {
    let allocator = Allocator::default();
    let tree = syntax::parse(&allocator, text, TopLevelReturn::Refused)?;
    let Stripped { code, imports, exports, problems, .. } = strip::strip(text, &tree, Goal::Module);
    if !problems.is_empty() {
        return Err(text.report(problems));
    }
    syntax::check_stripped(text, &code, TopLevelReturn::Refused)?;
    Ok(Library {
        name: text.name.to_owned(),
        source: text.source.to_owned(),
        digest: Digest::of(text.source.as_bytes()),
        code,
        imports,
        exports,
    })
}
