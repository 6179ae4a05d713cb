//! Which hosts `fetch` may ask: `example.org`, `*.example.org`, `localhost:8080`.

use crate::refusal::quoted;
use loopwright_types::{Code, Diagnostic};

/// A list of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// In lower case, IPv6 addresses without brackets.
    host: String,
    /// Any name below `host`, at least one label down.
    below: bool,
    port: Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    /// The scheme's own.
    Usual,
    Any,
    Only(u16),
}

impl Hosts {
    /// Reads a list with commas.
    ///
    /// # Errors
    /// When an entry is no host: it has a scheme, a path, or a `*` elsewhere than in front.
    pub(crate) fn parse(list: &str) -> Result<Self, Diagnostic> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let patterns = entries.map(|entry| {
            Pattern::parse(entry).ok_or_else(|| {
                let message =
                    format!("`tools.fetch_hosts` holds `{}`, which is no host", quoted(entry));
                Diagnostic::new(Code::SETTING_INVALID, message)
                    .hint("write hosts such as `example.org`, `*.example.org` or `localhost:8080`")
            })
        });
        Ok(Self { patterns: patterns.collect::<Result<_, _>>()? })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a host may be asked, at `port`; `usual` is the scheme's own port. The host is as a parsed
    /// address gives it: in lower case, punycode, IPv6 with or without brackets.
    pub(crate) fn permit(&self, host: &str, port: u16, usual: u16) -> bool {
        let host = host.trim_matches(['[', ']']);
        let host = host.strip_suffix('.').unwrap_or(host);
        self.patterns.iter().any(|pattern| {
            let named = if pattern.below {
                let above = host.strip_suffix(pattern.host.as_str());
                above.is_some_and(|above| above.len() > 1 && above.ends_with('.'))
            } else {
                host == pattern.host
            };
            named
                && match pattern.port {
                    Port::Usual => port == usual,
                    Port::Any => true,
                    Port::Only(only) => port == only,
                }
        })
    }
}

impl Pattern {
    fn parse(entry: &str) -> Option<Self> {
        let (below, rest) = match entry.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, entry),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, after.strip_prefix(':').or((!after.is_empty()).then_some("?")))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            None => Port::Usual,
            Some("*") => Port::Any,
            Some(digits) => Port::Only(digits.parse().ok()?),
        };
        let host = host.to_lowercase();
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let sound = !host.is_empty() && host.chars().all(is_host) && !host.starts_with('.');
        sound.then(|| Self { host: host.trim_end_matches('.').to_owned(), below, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_permitted_by_its_whole_name_and_port() {
        let hosts = Hosts::parse("example.org, *.Docs.rs,localhost:8080,[::1]:*,1.2.3.4").unwrap();
        let cases = [
            ("example.org", 443, true),
            ("example.org.", 443, true),
            ("example.org", 8443, false),
            ("www.example.org", 443, false),
            ("example.org.evil.net", 443, false),
            ("evilexample.org", 443, false),
            ("docs.rs", 443, false),
            ("a.docs.rs", 443, true),
            ("a.b.docs.rs", 443, true),
            ("evildocs.rs", 443, false),
            (".docs.rs", 443, false),
            ("localhost", 8080, true),
            ("localhost", 443, false),
            ("[::1]", 99, true),
            ("1.2.3.4", 443, true),
            ("", 443, false),
        ];
        for (host, port, expected) in cases {
            assert_eq!(hosts.permit(host, port, 443), expected, "{host}:{port}");
        }
        assert!(Hosts::parse(" , ").unwrap().is_empty());
        assert!(!Hosts::default().permit("example.org", 443, 443));
    }

    #[test]
    fn an_entry_that_is_no_host_is_an_error() {
        for entry in
            ["https://a.org", "a.org/x", "*", "a.*", "*a.org", "a.org:x", "[a]", "*.", "a b"]
        {
            let error = Hosts::parse(entry).unwrap_err();
            assert_eq!(error.code, Code::SETTING_INVALID, "{entry}");
        }
    }
}
