//! Server-sent events (WHATWG HTML, 9.2.6), fed in pieces of any size. An event counts when its blank line has come.

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// Its name; empty is none.
    pub name: String,
    /// Its data lines, joined by line feeds.
    pub data: String,
}

/// The bytes so far of a stream.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    after_return: bool,
    past_mark: bool,
    /// Since [`SseReader::recover`].
    is_recovered: bool,
    /// The rest of an event that cannot be read is left out.
    is_skipping: bool,
    /// What came after damage and was not read.
    unread: Vec<u8>,
}

/// A line that is no part of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

impl SseReader {
    /// Takes bytes and adds the events that they complete.
    ///
    /// # Errors
    /// When a line is not UTF-8 or no field of an event: the stream holds no reply then. Nothing after that line is
    /// read before [`SseReader::recover`].
    pub(crate) fn feed(&mut self, bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), Damaged> {
        let mut left = bytes;
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            left = &left[part.len()..];
            let (text, end) = match part.split_last() {
                Some((end @ (b'\n' | b'\r'), text)) => (text, Some(*end)),
                _ => (part, None),
            };
            // The line feed of a carriage return that ended the line already.
            let is_second_half =
                self.after_return && text.is_empty() && end == Some(b'\n') && self.line.is_empty();
            self.after_return = false;
            if is_second_half {
                continue;
            }
            self.line.extend_from_slice(text);
            if let Some(end) = end {
                self.after_return = end == b'\r';
                let line = std::mem::take(&mut self.line);
                let taken = self.take_line(&line, events);
                self.line = line;
                self.line.clear();
                if taken.is_err() && !self.is_recovered {
                    self.unread.extend_from_slice(left);
                    return taken;
                }
            }
        }
        Ok(())
    }

    /// Whether something came that no event has taken in.
    pub(crate) fn is_inside(&self) -> bool {
        !self.line.is_empty() || self.has_data
    }

    /// Goes on after a reply was found to be spoilt, for what else its stream tells: from here on no damage ends it, and
    /// only what can be read is given.
    pub(crate) fn recover(&mut self, events: &mut Vec<SseEvent>) {
        self.is_recovered = true;
        let unread = std::mem::take(&mut self.unread);
        self.feed(&unread, events).ok();
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<SseEvent>) -> Result<(), Damaged> {
        if self.is_skipping {
            self.is_skipping = !line.is_empty();
            return Ok(());
        }
        let read = self.read_line(line, events);
        if read.is_err() {
            (self.event, self.has_data) = (SseEvent::default(), false);
            self.is_skipping = !line.is_empty();
        }
        read
    }

    fn read_line(&mut self, line: &[u8], events: &mut Vec<SseEvent>) -> Result<(), Damaged> {
        let mut line = std::str::from_utf8(line).map_err(|_| Damaged)?;
        if !self.past_mark {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
            self.past_mark = true;
        }
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return match std::mem::take(&mut self.has_data) {
                true => {
                    events.push(event);
                    Ok(())
                }
                // The standard drops an event without data; no provider sends one, so its data was damaged.
                false if !event.name.is_empty() => Err(Damaged),
                false => Ok(()),
            };
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            // Comments, `id` and `retry` change nothing: we never reconnect.
            "" | "id" | "retry" => {}
            // The standard lets unknown fields pass; no provider sends one, so this is a line that was damaged.
            _ => return Err(Damaged),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let (mut reader, mut events) = (SseReader::default(), Vec::new());
        for piece in pieces {
            reader.feed(piece, &mut events).unwrap();
        }
        events.into_iter().map(|event| (event.name, event.data)).collect()
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut_and_lines_ended() {
        let stream = "\u{feff}: hello\nevent: a\ndata: 1\ndata:2\nid: 7\n\n\ndata\n\n\ndata: é\n\n";
        let whole = read(&[stream.as_bytes()]);
        let pair = |name: &str, data: &str| (name.to_owned(), data.to_owned());
        assert_eq!(whole, [pair("a", "1\n2"), pair("", ""), pair("", "é")]);
        for ended in [stream.to_owned(), stream.replace('\n', "\r\n"), stream.replace('\n', "\r")] {
            for size in 1..8 {
                let pieces: Vec<&[u8]> = ended.as_bytes().chunks(size).collect();
                assert_eq!(read(&pieces), whole, "{size}");
            }
        }
    }

    #[test]
    fn an_event_without_its_blank_line_does_not_count() {
        assert_eq!(read(&[b"data: [DONE]\n"]), []);
        let mut reader = SseReader::default();
        reader.feed(b"data: x", &mut Vec::new()).unwrap();
        assert!(reader.is_inside());
    }

    #[test]
    fn a_damaged_line_ends_the_stream() {
        for line in
            [&b"\xff\n"[..], b"data: \xff\n", b"dat\x01: {}\n", b"HTTP/1.1 500\n", b"event: a\n\n"]
        {
            let read = SseReader::default().feed(line, &mut Vec::new());
            assert_eq!(read, Err(Damaged), "{line:?}");
        }
    }
    #[test]
    fn after_damage_every_event_that_can_be_read_is_read() {
        let stream = b"data: 1\n\nevent: a\ndata: \xff\ndata: x\n\nevent: b\n\ndata: 2\n\ndat: y\n\ndata: 3\n\n";
        for size in 1..stream.len() {
            let (mut reader, mut events) = (SseReader::default(), Vec::new());
            let mut is_damaged = false;
            for piece in stream.chunks(size) {
                if reader.feed(piece, &mut events).is_err() {
                    assert!(!std::mem::replace(&mut is_damaged, true), "{size}: told once");
                    assert_eq!(events.len(), 1, "{size}: nothing after the damage");
                    reader.recover(&mut events);
                }
            }
            let data: Vec<&str> = events.iter().map(|event| event.data.as_str()).collect();
            assert!(is_damaged);
            assert_eq!(data, ["1", "2", "3"], "{size}");
        }
    }
}
