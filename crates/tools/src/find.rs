//! `glob`: the files whose path matches a pattern.

use crate::argument::{Argument, Arguments, Kind};
use crate::output::{Output, shown};
use crate::refusal::{argument, cancelled, failed, outside, quoted};
use crate::root::{Opened, Root};
use crate::walk::{End, Next, Walk};
use globset::{GlobBuilder, GlobMatcher};
use loopwright_types::Failure;
use std::os::unix::ffi::OsStrExt;

/// The tool's own name.
pub(crate) const NAME: &str = "glob";
/// What it does.
pub(crate) const DOC: &str = "Lists the files whose path matches a pattern, one per line, sorted, relative to the \
    workspace. Files that `.gitignore` names are left out.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "pattern",
        aliases: &["glob", "globpattern", "query"],
        kind: Kind::Text,
        doc: "such as `src/**/*.rs`; `*` stays within one directory, `**` does not",
    },
    Argument {
        name: "path",
        aliases: &["directory", "dir", "dirpath", "cwd", "root", "basepath", "targetdirectory"],
        kind: Kind::Text,
        doc: "the directory that the pattern starts from; the workspace when absent",
    },
    Argument {
        name: "limit",
        aliases: &["headlimit", "maxresults", "maxcount"],
        kind: Kind::Count(1),
        doc: "the most files to list",
    },
    Argument {
        name: "hidden",
        aliases: &["dot", "includehidden"],
        kind: Kind::Flag,
        doc: "also visits names that start with a dot; implied by a pattern with such a part",
    },
    Argument {
        name: "ignored",
        aliases: &["noignore", "includeignored"],
        kind: Kind::Flag,
        doc: "also lists what `.gitignore` names",
    },
];

/// Lists the files.
pub(crate) fn call(
    root: &Root,
    arguments: &Arguments,
    bytes_max: usize,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<String, Failure> {
    let written = arguments.required("pattern")?;
    let pattern = inside(root, written)?;
    let path = arguments.text("path").unwrap_or(".");
    let mut parts = root.parts(path)?;
    // An absolute pattern is seen from the root, whatever `path` says.
    if written.starts_with('/') {
        parts.clear();
    }
    let matcher = matcher(&pattern, true)?;
    let Opened::Directory(start) = root.open_path(path, &parts)? else {
        return Err(failed(format!("`{}` is not a directory", quoted(path))));
    };
    let prefix = if parts.is_empty() { 0 } else { parts.join("/").len() + 1 };
    let hidden = arguments.flag("hidden") || names_hidden(&pattern);
    let walk = Walk { hidden, ignored: arguments.flag("ignored"), cancelled: is_cancelled };
    let limit = arguments.count("limit").unwrap_or(u64::MAX);
    let (mut output, mut count) = (Output::new(bytes_max), 0);
    let end = walk.run(root, &parts, &start, &mut |found| {
        if matcher.is_match(std::ffi::OsStr::from_bytes(&found.path[prefix..])) {
            count += 1;
            if !output.line(&shown(found.path)) || count >= limit {
                return Next::Stop;
            }
        }
        Next::More
    })?;
    if end == End::Cancelled {
        return Err(cancelled(NAME));
    }
    Ok(output.finish("there are more files: narrow the pattern, or give a `limit`"))
}

/// A pattern without the root in front of it.
fn inside(root: &Root, written: &str) -> Result<String, Failure> {
    let relative = root.relative(written).ok_or_else(|| outside(written))?;
    let leads_out = relative.split('/').any(|part| part == "..") || relative.contains('\0');
    if leads_out {
        return Err(outside(written));
    }
    let parts = relative.split('/').filter(|part| !matches!(*part, "" | "."));
    Ok(parts.collect::<Vec<_>>().join("/"))
}

/// Whether a pattern itself speaks of names that start with a dot.
pub(crate) fn names_hidden(pattern: &str) -> bool {
    pattern.split(['/', '{', ',', '[']).any(|part| part.starts_with('.') && part.len() > 1)
}

/// Compiles a pattern; with `separated`, `*` stops at `/`.
pub(crate) fn matcher(pattern: &str, separated: bool) -> Result<GlobMatcher, Failure> {
    let built = GlobBuilder::new(pattern)
        .literal_separator(separated)
        .backslash_escape(true)
        .empty_alternates(true)
        .build();
    let glob = built.map_err(|error| {
        argument(format!("`{}` is not a glob pattern: {}", quoted(pattern), error.kind()))
    })?;
    Ok(glob.compile_matcher())
}
