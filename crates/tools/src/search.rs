//! `grep`: the lines that match a regular expression.

use crate::argument::{Argument, Arguments, Kind};
use crate::find::{matcher, names_hidden};
use crate::output::shown;
use crate::refusal::{argument, cancelled, quoted};
use crate::report::{Lines, Report};
use crate::root::{Opened, Root, open_file};
use crate::walk::{End, Next, Walk};
use globset::GlobMatcher;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use loopwright_types::Failure;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

/// The tool's own name.
pub(crate) const NAME: &str = "grep";
/// What it does.
pub(crate) const DOC: &str = "Finds the lines that match a regular expression, as `path:line:text`, in the order of the \
    paths. Binary files and files that `.gitignore` names are left out.";
/// What it takes.
pub(crate) const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "pattern",
        aliases: &["regex", "query", "search", "searchpattern"],
        kind: Kind::Text,
        doc: "a regular expression, matched within lines in linear time",
    },
    Argument {
        name: "path",
        aliases: &["directory", "dir", "file", "filepath", "cwd", "root"],
        kind: Kind::Text,
        doc: "the file or directory to search; the workspace when absent",
    },
    Argument {
        name: "glob",
        aliases: &["include", "includepattern", "filepattern", "files"],
        kind: Kind::Text,
        doc: "only files that match; without a `/` it is matched against the file's name",
    },
    Argument {
        name: "ignoreCase",
        aliases: &["i", "caseinsensitive"],
        kind: Kind::Flag,
        doc: "upper and lower case are one",
    },
    Argument {
        name: "context",
        aliases: &["C", "contextlines", "linesofcontext"],
        kind: Kind::Count(0),
        doc: "lines shown around each match, as `path-line-text`",
    },
    Argument {
        name: "limit",
        aliases: &["headlimit", "maxresults", "maxcount", "maxmatches", "m"],
        kind: Kind::Count(1),
        doc: "the most matching lines (or files) to show",
    },
    Argument {
        name: "filesOnly",
        aliases: &["fileswithmatches", "l"],
        kind: Kind::Flag,
        doc: "only the paths, one per line",
    },
    Argument {
        name: "outputMode",
        aliases: &[],
        kind: Kind::Text,
        doc: "`content` or `files_with_matches`, another way to say `filesOnly`",
    },
    Argument {
        name: "literal",
        aliases: &["fixedstrings", "F"],
        kind: Kind::Flag,
        doc: "the pattern is plain text",
    },
    Argument {
        name: "hidden",
        aliases: &["includehidden"],
        kind: Kind::Flag,
        doc: "also visits names that start with a dot",
    },
    Argument {
        name: "ignored",
        aliases: &["noignore", "includeignored"],
        kind: Kind::Flag,
        doc: "also searches what `.gitignore` names",
    },
];

/// Memory that the compiled expression may take, in bytes.
const PATTERN_BYTES_MAX: usize = 4 << 20;
/// Memory for one line while searching, in bytes; a file with a longer one is passed over and counted.
const LINE_BYTES_MAX: usize = 16 << 20;
/// Lines of context at most.
const CONTEXT_MAX: u64 = 100;

/// Searches.
pub(crate) fn call(
    root: &Root,
    arguments: &Arguments,
    bytes_max: usize,
    is_cancelled: &dyn Fn() -> bool,
) -> Result<String, Failure> {
    let mut search = Search::new(arguments, bytes_max, is_cancelled)?;
    let path = arguments.text("path").filter(|path| !path.is_empty()).unwrap_or(".");
    let parts = root.parts(path)?;
    match root.open_path(path, &parts)? {
        Opened::File(file) => {
            search.file(parts.join("/").as_bytes(), file);
        }
        Opened::Directory(start) => {
            let glob = arguments.text("glob");
            let filter = Filter::new(glob)?;
            let prefix = if parts.is_empty() { 0 } else { parts.join("/").len() + 1 };
            let hidden = arguments.flag("hidden") || glob.is_some_and(names_hidden);
            let walk = Walk { hidden, ignored: arguments.flag("ignored"), cancelled: is_cancelled };
            let end = walk.run(root, &parts, &start, &mut |found| {
                if !filter.wants(&found.path[prefix..], found.name) {
                    return Next::More;
                }
                match open_file(found.directory, found.name) {
                    Some(file) => search.file(found.path, file),
                    None => {
                        search.report.skipped += 1;
                        Next::More
                    }
                }
            })?;
            if end == End::Cancelled {
                return Err(cancelled(NAME));
            }
        }
    }
    search.finish()
}

/// Which files are searched.
struct Filter {
    glob: Option<(GlobMatcher, bool)>,
}

impl Filter {
    fn new(glob: Option<&str>) -> Result<Self, Failure> {
        let Some(written) = glob.filter(|glob| !glob.is_empty()) else {
            return Ok(Self { glob: None });
        };
        let pattern = written.trim_start_matches("./");
        let whole_path = pattern.contains('/');
        Ok(Self { glob: Some((matcher(pattern, true)?, whole_path)) })
    }

    fn wants(&self, path: &[u8], name: &[u8]) -> bool {
        self.glob.as_ref().is_none_or(|(glob, whole_path)| {
            glob.is_match(std::ffi::OsStr::from_bytes(if *whole_path { path } else { name }))
        })
    }
}

struct Search<'a> {
    matcher: RegexMatcher,
    searcher: Searcher,
    report: Report,
    is_cancelled: &'a dyn Fn() -> bool,
}

impl<'a> Search<'a> {
    fn new(
        arguments: &Arguments,
        bytes_max: usize,
        is_cancelled: &'a dyn Fn() -> bool,
    ) -> Result<Self, Failure> {
        let pattern = arguments.required("pattern")?;
        let matcher = RegexMatcherBuilder::new()
            .case_insensitive(arguments.flag("ignoreCase"))
            .fixed_strings(arguments.flag("literal"))
            .line_terminator(Some(b'\n'))
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build(pattern)
            .map_err(|error| {
                let cause = error.to_string().lines().last().unwrap_or_default().to_owned();
                let failure =
                    argument(format!("`{}` is not a regular expression: {cause}", quoted(pattern)));
                failure.hint(
                    "give `literal: true` to search for plain text; lookaround is not supported",
                )
            })?;
        let files_only = match arguments.text("outputMode") {
            None | Some("content") => arguments.flag("filesOnly"),
            Some("files_with_matches") => true,
            Some(other) => {
                let shown = quoted(other);
                return Err(argument(format!(
                    "`outputMode` of `{NAME}` is `content` or `files_with_matches`, not `{shown}`"
                )));
            }
        };
        let context = arguments.count("context").unwrap_or(0).min(CONTEXT_MAX);
        let lines = if files_only { 0 } else { usize::try_from(context).unwrap_or(0) };
        let searcher = SearcherBuilder::new()
            .line_number(true)
            .binary_detection(BinaryDetection::quit(0))
            .before_context(lines)
            .after_context(lines)
            .heap_limit(Some(LINE_BYTES_MAX))
            .build();
        let limit = arguments.count("limit").unwrap_or(u64::MAX);
        let report = Report::new(bytes_max, limit, files_only, lines > 0);
        Ok(Self { matcher, searcher, report, is_cancelled })
    }

    fn file(&mut self, path: &[u8], file: File) -> Next {
        let path = shown(path);
        let reader = Cancellable { file, is_cancelled: self.is_cancelled };
        let lines = Lines::of(&mut self.report, &path);
        let searched = self.searcher.search_reader(&self.matcher, reader, lines);
        if searched.is_err() {
            self.report.skipped += 1;
        }
        if self.report.is_full() || (self.is_cancelled)() { Next::Stop } else { Next::More }
    }

    fn finish(self) -> Result<String, Failure> {
        if (self.is_cancelled)() { Err(cancelled(NAME)) } else { Ok(self.report.finish()) }
    }
}

/// Stops a long read when the call is cancelled.
struct Cancellable<'a> {
    file: File,
    is_cancelled: &'a dyn Fn() -> bool,
}

impl Read for Cancellable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_cancelled)() {
            return Err(io::Error::other("cancelled"));
        }
        self.file.read(buffer)
    }
}
