//! Source text to a runnable program: parse, strip types, read `meta`, check imports, draw code frames.
//!
//! Pure: no file, clock or thread. The text that runs has the author's lines and columns, so there is no source map:
//! what is not JavaScript is overwritten by spaces.
//!
//! ```
//! let program = loopwright_program::parse("hello.ts", "const name: string = 'you';\nname").unwrap();
//! assert_eq!(program.code, "const name         = 'you';\nname");
//! ```

pub mod frame; // a diagnostic with the author's lines around it

mod calls; // which API globals are called where, and names that do not exist
mod erase; // overwriting text without moving what is left
mod imports; // what may be imported, and under which names
mod library; // a saved program as an ES module
mod limits; // sizes
mod lines; // byte offset to line and column, and back
mod literal; // values that are known without running anything
mod meta; // `export const meta = {…}`
mod names; // the globals of a program, and the closest one to a misspelt name
mod nesting; // a bound on recursion before the parser starts
mod program; // the whole of it
mod report; // what is wrong with a program
mod strip; // types and module syntax out of the text
mod syntax; // the parser, and its errors in our words
mod text; // the author's text with its name and lines

pub use calls::CallSite;
pub use imports::{Binding, Import, PATTERNS};
pub use library::{Library, parse_library};
pub use limits::PROGRAM_BYTES_MAX;
pub use lines::Lines;
pub use meta::{Budget, Meta, Phase};
pub use nesting::NESTING_MAX;
pub use program::{Program, parse};
pub use report::Report;
