//! What `grep` found, line by line, up to its limits.

use crate::output::Output;
use grep_searcher::{Searcher, Sink, SinkContext, SinkMatch};
use std::io;

/// Characters shown of one line.
const LINE_CHARS_SHOWN: usize = 1_000;

/// The lines found so far.
pub(crate) struct Report {
    output: Output,
    limit: u64,
    count: u64,
    files_only: bool,
    with_context: bool,
    /// Files that could not be searched.
    pub(crate) skipped: u64,
    full: bool,
    started: bool,
}

impl Report {
    pub(crate) fn new(bytes_max: usize, limit: u64, files_only: bool, with_context: bool) -> Self {
        let output = Output::new(bytes_max);
        Self {
            output,
            limit,
            count: 0,
            files_only,
            with_context,
            skipped: 0,
            full: false,
            started: false,
        }
    }

    /// Whether nothing more is wanted.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    fn add(&mut self, line: &str) {
        self.full |= !self.output.line(line);
        self.started = true;
    }

    fn show(&mut self, path: &str, mark: char, number: Option<u64>, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Only the start of a long line is decoded: at most four bytes for each character.
        let start = &line[..line.len().min(4 * LINE_CHARS_SHOWN)];
        let text = String::from_utf8_lossy(start);
        let number = number.unwrap_or(0);
        match text.char_indices().nth(LINE_CHARS_SHOWN) {
            Some((end, _)) => self.add(&format!("{path}{mark}{number}{mark}{}…", &text[..end])),
            None => self.add(&format!("{path}{mark}{number}{mark}{text}")),
        }
    }

    /// The whole result.
    pub(crate) fn finish(mut self) -> String {
        // A list of paths holds nothing but paths.
        if self.skipped > 0 && !self.files_only {
            let files = if self.skipped == 1 { "file" } else { "files" };
            self.output.line(&format!("[{} {files} could not be searched]", self.skipped));
        }
        self.output.finish("there are more matches: narrow the search, or give a `limit`")
    }
}

/// Receives the matches of one file.
pub(crate) struct Lines<'r, 'p> {
    report: &'r mut Report,
    path: &'p str,
    /// Nothing of this file was shown yet.
    fresh: bool,
}

impl<'r, 'p> Lines<'r, 'p> {
    pub(crate) fn of(report: &'r mut Report, path: &'p str) -> Self {
        Self { report, path, fresh: true }
    }

    /// Marks the gap between two files, as the searcher does within one.
    fn part(&mut self) {
        if std::mem::take(&mut self.fresh) && self.report.with_context && self.report.started {
            self.report.add("--");
        }
    }
}

impl Sink for Lines<'_, '_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> Result<bool, io::Error> {
        if self.report.full || self.report.count >= self.report.limit {
            // Only the context after the last match was still wanted.
            self.report.full = true;
            return Ok(false);
        }
        self.part();
        self.report.count += 1;
        if self.report.files_only {
            self.report.add(self.path);
        } else {
            self.report.show(self.path, ':', found.line_number(), found.bytes());
        }
        let last = self.report.count >= self.report.limit;
        self.report.full |= last && !self.report.with_context;
        Ok(!self.report.full && !self.report.files_only)
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> Result<bool, io::Error> {
        let after_last = self.report.count >= self.report.limit
            && *context.kind() != grep_searcher::SinkContextKind::After;
        if self.report.full || after_last {
            self.report.full = true;
            return Ok(false);
        }
        self.part();
        self.report.show(self.path, '-', context.line_number(), context.bytes());
        Ok(!self.report.full)
    }

    fn context_break(&mut self, _: &Searcher) -> Result<bool, io::Error> {
        if self.report.count >= self.report.limit {
            self.report.full = true;
        } else {
            self.report.add("--");
        }
        Ok(!self.report.full)
    }

    fn begin(&mut self, _: &Searcher) -> Result<bool, io::Error> {
        Ok(!self.report.full)
    }
}
