//! `${NAME}` and `${NAME:-default}` in values of `.mcp.json`, as other agents read them.

/// Replaces every `${NAME}` by what `variable` gives, or by the default after `:-` where it gives nothing. What is put
/// in is not read again; a `$` that begins no such form stays.
///
/// # Errors
/// The first name that has neither a value nor a default.
pub(crate) fn expand(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, form) = rest.split_at(start);
        out.push_str(before);
        let Some((name, default, length)) = read(form) else {
            out.push_str("${");
            rest = &form[2..];
            continue;
        };
        // As in a shell, an empty value counts as none where there is a default.
        match (variable(name), default) {
            (Some(value), None) => out.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => out.push_str(&value),
            (_, Some(default)) => out.push_str(default),
            (None, None) => return Err(name.to_owned()),
        }
        rest = &form[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Name, default and length of the form that the text begins with, if it is one.
fn read(form: &str) -> Option<(&str, Option<&str>, usize)> {
    let end = form.find('}')?;
    let inner = &form[2..end];
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_name = starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, default, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_and_what_is_no_variable_stays() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/ada".to_owned()),
            "NESTED" => Some("${HOME}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("plain", Ok("plain")),
            ("${HOME}/x:${HOME}", Ok("/home/ada/x:/home/ada")),
            ("${NO:-there}", Ok("there")),
            ("${NO:-}", Ok("")),
            ("${EMPTY:-full}", Ok("full")),
            ("[${EMPTY}]", Ok("[]")),
            ("${HOME:-there}", Ok("/home/ada")),
            ("${NESTED}", Ok("${HOME}")),
            ("${NO}", Err("NO")),
            ("$HOME ${} ${1A} ${A B} ${HOME", Ok("$HOME ${} ${1A} ${A B} ${HOME")),
            ("ä${HOME}ö", Ok("ä/home/adaö")),
        ];
        for (text, expected) in cases {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(expand(text, &variable), expected, "{text}");
        }
    }
}
