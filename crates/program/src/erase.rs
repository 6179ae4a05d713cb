//! Overwriting text without moving what is left: every line and column (in code points) stays.

use crate::lines::{boundary, is_line_break};
use oxc_span::Span;

/// The text as it is.
const KEEP: u8 = 0;

/// A text, the places to overwrite in it, and where its comments are.
pub(crate) struct Eraser<'s> {
    source: &'s str,
    comments: Vec<Span>,
    /// For the first byte of each character: `KEEP`, or the ASCII character that takes its place.
    marks: Vec<u8>,
}

impl<'s> Eraser<'s> {
    pub(crate) fn new(source: &'s str, comments: Vec<Span>) -> Self {
        let mut eraser = Self { source, comments, marks: vec![KEEP; source.len()] };
        eraser.unify_breaks_in_comments();
        eraser
    }

    /// The guest's engine counts only `\n` in a comment: the other line breaks become one, so that its lines are the author's.
    fn unify_breaks_in_comments(&mut self) {
        for span in &self.comments {
            let (start, end) = (span.start as usize, span.end as usize);
            for (at, c) in self.source[start..end].char_indices() {
                let lone = c == '\r' && !self.source[start + at + 1..].starts_with('\n');
                if lone || matches!(c, '\u{2028}' | '\u{2029}') {
                    self.marks[start + at] = b'\n';
                }
            }
        }
    }

    /// Overwrites everything but line breaks by spaces.
    pub(crate) fn blank(&mut self, start: u32, end: u32) {
        if let Some(marks) = self.marks.get_mut(start as usize..end as usize) {
            marks.fill(b' ');
        }
    }

    pub(crate) fn blank_span(&mut self, span: Span) {
        self.blank(span.start, span.end);
    }

    /// Writes one ASCII character over the character at `offset`.
    pub(crate) fn put(&mut self, offset: u32, character: u8) {
        debug_assert!(
            character.is_ascii_graphic(),
            "only a visible character keeps lines and columns"
        );
        let at = boundary(self.source, offset as usize);
        if let Some(mark) = self.marks.get_mut(at) {
            *mark = character;
        }
    }

    /// Blanks a whole statement or class element. The `;` keeps what stands before it from running into what follows.
    pub(crate) fn blank_statement(&mut self, span: Span) {
        self.blank_span(span);
        self.put(span.start, b';');
    }

    /// Offset of the first character at or after `offset` that is neither white space nor in a comment.
    pub(crate) fn next_token(&self, offset: u32) -> u32 {
        let mut at = offset;
        loop {
            if let Some(comment) = self.comment_at(at) {
                at = comment.end;
                continue;
            }
            match self.source.get(at as usize..).and_then(|rest| rest.chars().next()) {
                Some(c) if c.is_whitespace() || c == '\u{feff}' => at += c.len_utf8() as u32,
                _ => return at,
            }
        }
    }

    fn comment_at(&self, offset: u32) -> Option<Span> {
        let after = self.comments.partition_point(|span| span.start <= offset);
        let comment = *self.comments.get(after.checked_sub(1)?)?;
        (offset < comment.end).then_some(comment)
    }

    /// The byte at an offset; 0 past the end.
    pub(crate) fn byte(&self, offset: u32) -> u8 {
        self.source.as_bytes().get(offset as usize).copied().unwrap_or(0)
    }

    /// The identifier-like word that starts at an offset; may be empty.
    pub(crate) fn word(&self, offset: u32) -> &'s str {
        let rest = self.source.get(offset as usize..).unwrap_or("");
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
        &rest[..end.unwrap_or(rest.len())]
    }

    /// Whether a line ends between two offsets.
    pub(crate) fn breaks_line(&self, start: u32, end: u32) -> bool {
        self.source
            .get(start as usize..end as usize)
            .is_some_and(|text| text.contains(is_line_break))
    }

    /// The text with everything overwritten.
    pub(crate) fn finish(&self) -> String {
        let mut code = String::with_capacity(self.source.len());
        for (at, c) in self.source.char_indices() {
            let lone = c == '\r' && !self.source[at + 1..].starts_with('\n');
            match self.marks[at] {
                KEEP => code.push(c),
                _ if matches!(c, '\u{2028}' | '\u{2029}') || lone => code.push('\n'),
                _ if is_line_break(c) => code.push(c),
                mark => code.push(char::from(mark)),
            }
        }
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erased_characters_become_one_space_each_and_lines_stay() {
        let source = "a: Größe<漢>\r\n| 𝒅\u{2028}= 1";
        let mut eraser = Eraser::new(source, Vec::new());
        eraser.blank(1, source.find('=').unwrap() as u32);
        assert_eq!(eraser.finish(), "a          \r\n   \n= 1");
    }

    #[test]
    fn the_next_token_is_found_behind_comments_and_white_space() {
        let source = "a /* b */ // c\n \u{a0}d";
        let comments = vec![Span::new(2, 9), Span::new(10, 14)];
        let eraser = Eraser::new(source, comments);
        assert_eq!(eraser.next_token(1) as usize, source.find('d').unwrap());
        assert_eq!(eraser.next_token(source.len() as u32) as usize, source.len());
    }

    #[test]
    fn rare_line_breaks_inside_a_comment_become_common_ones() {
        let source = "/* a\u{2028}b\rc\r\nd */";
        let eraser = Eraser::new(source, vec![Span::new(0, source.len() as u32)]);
        assert_eq!(eraser.finish(), "/* a\nb\nc\r\nd */");
    }
}
