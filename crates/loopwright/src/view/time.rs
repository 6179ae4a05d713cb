//! Times, durations and figures for people and for JSON. Times are UTC: a record reads the same everywhere.

use loopwright_types::Micros;

/// RFC 3339 with milliseconds: `2026-11-20T14:02:33.120Z`.
pub fn timestamp(at: Micros) -> String {
    let ms = at.as_millis();
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of a number of days since 1970-01-01 (proleptic Gregorian).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// A duration in the unit that reads best: `340 ms`, `1.2 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(of: Micros) -> String {
    let ms = of.as_millis();
    let seconds = ms / 1000;
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{seconds}.{} s", ms / 100 % 10),
        60_000..3_600_000 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A time to wait, in whole seconds from one second on: `400 ms`, `4 s`, `1 min 05 s`.
pub fn wait(of: Micros) -> String {
    match of.0.div_ceil(1_000_000) {
        _ if of.as_millis() < 1000 => duration(of),
        seconds @ 1..60 => format!("{seconds} s"),
        seconds => duration(Micros::from_millis(seconds * 1000)),
    }
}

/// A number with a comma at each thousand: `12,300`.
pub fn figure(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_know_leap_years_and_the_ends_of_months() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_184_553_120, "2026-11-20T14:22:33.120Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(timestamp(Micros::from_millis(ms)), text);
        }
    }

    #[test]
    fn durations_and_figures_read_well() {
        let durations = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1250, "1.2 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 05 min"),
        ];
        for (ms, text) in durations {
            assert_eq!(duration(Micros::from_millis(ms)), text);
        }
        for (ms, text) in [(400, "400 ms"), (3001, "4 s"), (59_500, "1 min 00 s")] {
            assert_eq!(wait(Micros::from_millis(ms)), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(figure(number), text);
        }
    }
}
