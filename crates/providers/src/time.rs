//! Dates and durations as providers write them into headers.

use std::time::Duration;

/// Days from 1970-01-01 to a day of the Gregorian calendar (after Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn seconds(date: [i64; 3], clock: [i64; 3]) -> Option<i64> {
    let [year, month, day] = date;
    let [hour, minute, second] = clock;
    let fits = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    fits.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn numbers(text: &str, mark: char) -> Option<[i64; 3]> {
    let parsed: Vec<i64> = text.split(mark).map(number).collect::<Option<_>>()?;
    parsed.try_into().ok()
}

fn number(text: &str) -> Option<i64> {
    let is_plain =
        !text.is_empty() && text.len() <= 4 && text.bytes().all(|it| it.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Seconds since the epoch of an RFC 3339 time: `2026-11-25T21:47:12Z`, `…12.5+01:00`. Fractions are cut off.
pub(crate) fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_once(['T', 't', ' '])?;
    let at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(at);
    let clock = clock.split_once('.').map_or(clock, |it| it.0);
    let offset = match zone.split_at(1) {
        ("Z" | "z", "") => 0,
        (sign, zone) => {
            let (hours, minutes) = zone.split_once(':')?;
            let offset = number(hours)? * 3600 + number(minutes)? * 60;
            if sign == "-" { -offset } else { offset }
        }
    };
    Some(seconds(numbers(date, '-')?, numbers(clock, ':')?)? - offset)
}

/// Seconds since the epoch of an HTTP date: `Wed, 25 Nov 2026 21:47:12 GMT` (the one form in use).
pub(crate) fn http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.trim().split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, clock, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|it| *it == month)?;
    let date = [number(year)?, i64::try_from(month).ok()? + 1, number(day)?];
    seconds(date, numbers(clock, ':')?)
}

/// A duration as Go writes it: `1s`, `6m0s`, `1h2m`, `12ms`, `1.5s`.
pub(crate) fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut sum = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|it: char| it.is_ascii_digit()).unwrap_or(rest.len());
        sum += value
            * match &rest[..end] {
                "d" => 86_400.0,
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(sum).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_both_forms_and_nonsense_in_none() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-25T21:47:12Z", Some(1_795_643_232)),
            ("2026-11-25T22:47:12.9+01:00", Some(1_795_643_232)),
            ("2024-02-29T12:00:00Z", Some(1_709_208_000)),
            ("2026-13-25T21:47:12Z", None),
            ("2026-11-25", None),
            ("T", None),
            ("", None),
        ];
        for (text, time) in cases {
            assert_eq!(rfc3339(text), time, "{text}");
        }
        assert_eq!(http_date("Wed, 25 Nov 2026 21:47:12 GMT"), Some(1_795_643_232));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for text in ["Wed, 25 Nov 2026 21:47:12 CET", "tomorrow", "", "x, 1 2 3 4 GMT"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let cases = [
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("12ms", Some(12)),
            ("2d", Some(172_800_000)),
            ("5", None),
            ("s", None),
            ("1x", None),
            ("", None),
        ];
        for (text, ms) in cases {
            assert_eq!(go_duration(text).map(|it| it.as_millis()), ms, "{text}");
        }
    }
}
