//! Strings of the formats that the validator checks.

use super::Random;

/// A text of the named format; `None` for a format that is not checked.
pub(super) fn sample(name: &str, random: Random) -> Option<String> {
    let mut below = |bound: u64| random() % bound;
    Some(match name {
        "date" => date(&mut below),
        "time" => time(&mut below),
        "date-time" => format!("{}T{}", date(&mut below), time(&mut below)),
        "duration" => format!("P{}DT{}H", 1 + below(30), 1 + below(23)),
        "email" | "idn-email" => format!("user{}@example.com", below(1000)),
        "hostname" | "idn-hostname" => format!("host{}.example.com", below(1000)),
        "ipv4" => format!("192.0.2.{}", below(256)),
        "ipv6" => format!("2001:db8::{:x}", 1 + below(65535)),
        "uri" | "iri" => format!("https://example.com/{}", below(1000)),
        "uri-reference" | "iri-reference" => format!("/items/{}", below(1000)),
        "uri-template" => format!("/items/{}/{{name}}", below(1000)),
        "uuid" => {
            let (high, low) = (below(u64::MAX), below(u64::MAX));
            let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0x0fff);
            let (d, e) = ((low >> 48) & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
            format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
        }
        "json-pointer" => format!("/items/{}", below(100)),
        "relative-json-pointer" => format!("{}/items", below(9)),
        "regex" => format!("^[a-z]{{{}}}$", 1 + below(9)),
        _ => return None,
    })
}

fn date(below: &mut dyn FnMut(u64) -> u64) -> String {
    format!("20{:02}-{:02}-{:02}", 20 + below(20), 1 + below(12), 1 + below(28))
}

fn time(below: &mut dyn FnMut(u64) -> u64) -> String {
    format!("{:02}:{:02}:{:02}Z", below(24), below(60), below(60))
}
