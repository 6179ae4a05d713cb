//! Readable text of a page: tags taken away, blocks on lines of their own, links with their address. No parser of
//! the standard: what is malformed may come out ragged, but the time is linear and nothing is run or asked for.

/// Elements whose content is no text.
const SILENT: &[&str] =
    &["script", "style", "noscript", "template", "svg", "head", "iframe", "object"];
/// Elements that start and end a line.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
];
const ENTITIES: &[(&str, &str)] = &[
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("ndash", "–"),
    ("mdash", "—"),
    ("hellip", "…"),
    ("lsquo", "‘"),
    ("rsquo", "’"),
    ("ldquo", "“"),
    ("rdquo", "”"),
    ("laquo", "«"),
    ("raquo", "»"),
    ("copy", "©"),
    ("reg", "®"),
    ("trade", "™"),
    ("times", "×"),
    ("middot", "·"),
    ("bull", "•"),
    ("larr", "←"),
    ("rarr", "→"),
];
/// Longest name of a character reference, in bytes.
const ENTITY_BYTES_MAX: usize = 12;

/// The text of a page.
pub(crate) fn text(html: &str) -> String {
    let mut page = Page { text: String::new(), preformatted: 0, links: Vec::new() };
    if let Some(title) = title(html) {
        page.words(title);
        page.line();
    }
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        page.words(&rest[..at]);
        rest = page.markup(&rest[at..]);
    }
    page.words(rest);
    page.text.trim().to_owned()
}

/// What the head says the page is called; the rest of the head is no text.
fn title(html: &str) -> Option<&str> {
    let start = find(html, "<title")?;
    let inner = html[start..].split_once('>')?.1;
    Some(&inner[..find(inner, "</title")?])
}

/// Where an ASCII text in lower case is, whatever its case in the page.
fn find(text: &str, wanted: &str) -> Option<usize> {
    let (bytes, wanted) = (text.as_bytes(), wanted.as_bytes());
    bytes.windows(wanted.len()).position(|window| window.eq_ignore_ascii_case(wanted))
}

struct Page {
    text: String,
    preformatted: u32,
    /// Addresses of the links that are open.
    links: Vec<String>,
}

impl Page {
    /// Takes one piece of markup, which starts with `<`; gives what follows it.
    fn markup<'t>(&mut self, text: &'t str) -> &'t str {
        if let Some(comment) = text.strip_prefix("<!--") {
            return comment.find("-->").map_or("", |end| &comment[end + 3..]);
        }
        let after = text[1..].chars().next().unwrap_or(' ');
        if !after.is_ascii_alphabetic() && !matches!(after, '/' | '!' | '?') {
            self.words("<");
            return &text[1..];
        }
        let Some(end) = tag_end(text) else { return "" };
        let (tag, rest) = (&text[1..end], &text[end + 1..]);
        let closes = tag.starts_with('/');
        let tag = tag.trim_start_matches('/');
        let length = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
        let name = tag[..length].to_ascii_lowercase();
        if !closes && SILENT.contains(&name.as_str()) && !tag.ends_with('/') {
            let close = format!("</{name}");
            let Some(at) = find(rest, &close) else { return "" };
            return rest[at..].split_once('>').map_or("", |(_, rest)| rest);
        }
        self.element(&name, tag, closes);
        rest
    }

    fn element(&mut self, name: &str, tag: &str, closes: bool) {
        match (name, closes) {
            ("a", false) => self.links.push(attribute(tag, "href").unwrap_or_default()),
            ("a", true) => {
                let target = self.links.pop().unwrap_or_default();
                if !target.is_empty()
                    && !target.starts_with('#')
                    && !target.starts_with("javascript:")
                {
                    self.text.push_str(&format!(" <{target}>"));
                }
            }
            ("td" | "th", false) => self.words(" "),
            ("img", false) => {
                if let Some(words) = attribute(tag, "alt") {
                    self.words(&words);
                }
            }
            _ if BLOCKS.contains(&name) => {
                self.line();
                match (name, closes) {
                    ("pre", false) => self.preformatted += 1,
                    ("pre", true) => self.preformatted = self.preformatted.saturating_sub(1),
                    ("li", false) => self.text.push_str("- "),
                    ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", false) => {
                        let level = usize::from(name.as_bytes()[1] - b'0');
                        self.text.push_str(&"#".repeat(level));
                        self.text.push(' ');
                    }
                    ("p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6", true) => self.blank_line(),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    fn blank_line(&mut self) {
        self.line();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Adds text; outside `pre` white space is one space, and none at the start of a line.
    fn words(&mut self, raw: &str) {
        let decoded = decode(raw);
        if self.preformatted > 0 {
            self.text.push_str(&decoded);
            return;
        }
        for c in decoded.chars() {
            if !c.is_whitespace() {
                self.text.push(c);
            } else if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
                self.text.push(' ');
            }
        }
    }
}

/// Where a tag ends: the first `>` outside quotes; the first at all where a quote is never closed.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') if text.as_bytes()[at - 1] == b'=' => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    text.find('>')
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = find(tag, &format!(" {name}="))? + name.len() + 2;
    let value = &tag[at..];
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(|c: char| c.is_whitespace()).next()?,
    };
    Some(decode(value).chars().filter(|c| !c.is_control()).collect())
}

/// Text with its character references replaced; what is none stays as it is.
fn decode(raw: &str) -> String {
    let mut decoded = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';');
        match end.and_then(|end| Some((reference(&rest[..end])?, end))) {
            Some((character, end)) => {
                decoded.push_str(&character);
                rest = &rest[end + 1..];
            }
            None => decoded.push('&'),
        }
    }
    decoded.push_str(rest);
    decoded
}

fn reference(name: &str) -> Option<String> {
    let Some(number) = name.strip_prefix('#') else {
        return ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| (*c).to_owned());
    };
    let number = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(number).map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_the_text_that_a_reader_sees() {
        let cases = [
            ("plain", "plain"),
            ("<p>a</p><p>b</p>", "a\n\nb"),
            ("<h2>Title</h2>\n<p>one\n two</p>", "## Title\n\none two"),
            ("<ul><li>a<li>b</ul>", "- a\n- b"),
            ("x<script>if (a<b) '</p>'</script>y", "xy"),
            ("x<SCRIPT src='a'></Script >y<style>p{}</style>", "xy"),
            ("<head><title>T &amp; U</title><meta x></head><body>b</body>", "T & U\nb"),
            ("a<!-- <p>hidden</p> -->b", "ab"),
            ("a<!-- never closed", "a"),
            ("<a href=\"/x?a=1&amp;b=2\">link</a>", "link </x?a=1&b=2>"),
            ("<a class=c href='#here'>link</a> <a href=y>z</a>", "link z <y>"),
            ("<a title='a > b' href='x'>z</a>", "z <x>"),
            ("1 < 2 &lt; 3 &unknown; &#65;&#x42;&#0;", "1 < 2 < 3 &unknown; AB\0"),
            ("<pre>a\n  b</pre>c", "a\n  b\nc"),
            ("<table><tr><td>a<td>b<tr><td>c</table>", "a b\nc"),
            ("<img src=x alt='a cat'>", "a cat"),
            ("<p", ""),
            ("<a href='x>y", "y"),
            ("é<b>ü</b>&é;", "éü&é;"),
            ("<script>never closed", ""),
            ("", ""),
        ];
        for (html, expected) in cases {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn no_input_makes_it_panic_or_take_more_than_linear_time() {
        let pieces = [
            "<", ">", "&", "&#x", ";", "<!--", "-->", "</", "<a href=", "\"", "'", "é", "<pre>",
            "<script>", " ",
        ];
        let seed = 0x5eed_u64;
        let mut state = seed;
        for round in 0..2_000 {
            let mut html = String::new();
            for _ in 0..40 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                html.push_str(pieces[(state >> 33) as usize % pieces.len()]);
            }
            let reduced = std::panic::catch_unwind(|| text(&html));
            assert!(reduced.is_ok(), "seed {seed} round {round}: {html}");
        }
        for piece in ["<a href=\"", "<!-", "<div ", "&", "<script/>", "<li>", "<title>"] {
            text(&piece.repeat(200_000 / piece.len()));
        }
    }
}
