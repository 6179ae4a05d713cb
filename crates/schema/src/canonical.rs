//! Canonical JSON in the manner of RFC 8785: one text for equal values, whatever order their keys came in.
//!
//! One deliberate difference: whole numbers outside ±2⁵³ keep all their digits, so that two different
//! integers never share a digest.

use serde_json::{Map, Number, Value};

/// Whole numbers up to this size have one text, however they were written (`1`, `1.0`, `1e0`).
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// The canonical text of a value.
pub fn canonical(value: &Value) -> String {
    let mut out = String::with_capacity(128);
    canonical_into(value, &mut out);
    out
}

/// Appends the canonical text of a value, so that a caller can reuse one buffer.
pub fn canonical_into(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical_into(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(members, out),
    }
}

fn write_object(members: &Map<String, Value>, out: &mut String) {
    out.push('{');
    let mut first = true;
    let mut write = |key: &str, value: &Value| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_string(key, out);
        out.push(':');
        canonical_into(value, out);
    };
    // Usually the map is sorted already; with the library's `preserve_order` feature it may not be.
    if members.keys().is_sorted_by(|a, b| key_order(a, b).is_lt()) {
        members.iter().for_each(|(key, value)| write(key, value));
    } else {
        let mut sorted: Vec<_> = members.iter().collect();
        sorted.sort_unstable_by(|a, b| key_order(a.0, b.0));
        sorted.into_iter().for_each(|(key, value)| write(key, value));
    }
    out.push('}');
}

/// RFC 8785 orders keys by UTF-16 code units; that differs from bytes only beyond the surrogates.
fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() || b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

fn write_string(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push('"');
    let mut start = 0;
    for (i, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[start..i]);
        start = i + 1;
        out.push('\\');
        match byte {
            b'"' | b'\\' => out.push(char::from(byte)),
            0x08 => out.push('b'),
            b'\t' => out.push('t'),
            b'\n' => out.push('n'),
            0x0c => out.push('f'),
            b'\r' => out.push('r'),
            _ => {
                out.push_str("u00");
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out.push_str(&text[start..]);
    out.push('"');
}

fn write_number(number: &Number, out: &mut String) {
    use std::fmt::Write as _;
    // Writing to a `String` cannot fail.
    let _ = match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(whole), _, _) => write!(out, "{whole}"),
        (_, Some(whole), _) => write!(out, "{whole}"),
        #[allow(clippy::cast_possible_truncation)] // exact: whole and within ±2⁵³
        (_, _, Some(float)) if float.abs() <= EXACT_MAX && float.fract() == 0.0 => {
            write!(out, "{}", float as i64)
        }
        (_, _, Some(float)) => {
            write_float(float, out);
            Ok(())
        }
        _ => write!(out, "{number}"),
    };
}

/// ECMAScript's `Number::toString` for finite numbers that are not small integers.
fn write_float(float: f64, out: &mut String) {
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let digits = mantissa.replace('.', "");
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    out.push_str(sign);
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or(0));
    // `point` is where the decimal point stands, counted in digits from the left.
    let point = exponent + 1;
    if count <= point && point <= 21 {
        out.push_str(&digits);
        out.push_str(&zeros(point - count));
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
        out.push_str(&format!("{whole}.{fraction}"));
    } else if -6 < point && point <= 0 {
        out.push_str(&format!("0.{}{digits}", zeros(-point)));
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let plus = if exponent < 0 { "" } else { "+" };
        out.push_str(&format!("{first}{dot}{rest}e{plus}{exponent}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_values_have_one_text_and_different_values_two() {
        let cases = [
            (r#"{"b":1,"a":[true,null,"x"]}"#, r#"{"a":[true,null,"x"],"b":1}"#),
            (r#"{"b":{"d":1,"c":2}}"#, r#"{"b":{"c":2,"d":1}}"#),
            ("1.0", "1"),
            ("-0.0", "0"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("123456789.125", "123456789.125"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("-1.5e-9", "-1.5e-9"),
            ("333333333.33333329", "333333333.3333333"),
            ("4.50", "4.5"),
            ("9007199254740993", "9007199254740993"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            (r#""\u20ac$\u000F\nA'\u0042\u0022\u005c\\\"\/""#, r#""€$\u000f\nA'B\"\\\\\"/""#),
            (r#""\u007f\u0008\u001f""#, "\"\u{7f}\\b\\u001f\""),
        ];
        for (written, expected) in cases {
            let value: Value = serde_json::from_str(written).unwrap();
            assert_eq!(canonical(&value), expected, "{written}");
        }
    }

    #[test]
    fn keys_are_ordered_by_utf_16_code_units() {
        // The example of RFC 8785 §3.2.3: an emoji's surrogates sort before U+FB33.
        let value = json!({
            "\u{20ac}": "Euro", "\r": "Return", "\u{fb33}": "Dalet", "1": "One",
            "\u{1f600}": "Emoji", "\u{80}": "Control", "\u{f6}": "Latin",
        });
        let text = canonical(&value);
        let order = ["Return", "One", "Control", "Latin", "Euro", "Emoji", "Dalet"];
        let places: Vec<_> = order.iter().map(|name| text.find(name).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }
}
