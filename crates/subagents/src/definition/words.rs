//! A command line as one string, split into words the way a shell splits them. No shell ever runs, so what only
//! a shell could do (pipes, variables, substitution) is refused instead of being passed on as text.

/// Splits at spaces outside quotes; `'…'`, `"…"` and `\` quote.
///
/// # Errors
/// An open quote or something that only a shell can do, in words.
pub(crate) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("ends in a backslash".to_owned()),
            },
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '$' | '`' => return Err(needs_shell(c)),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    for c in chars {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err("has a `'` that is never closed".to_owned())
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '$' | '`' => return Err(needs_shell(c)),
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                Some(next) => word.extend(['\\', next]),
                None => break,
            },
            c => word.push(c),
        }
    }
    Err("has a `\"` that is never closed".to_owned())
}

fn needs_shell(c: char) -> String {
    format!("has an unquoted `{c}`, which only a shell understands, and no shell runs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        let cases: [(&str, &[&str]); 7] = [
            ("python3 worker.py", &["python3", "worker.py"]),
            ("  a\t'b c'\"d e\"f  ", &["a", "b cd ef"]),
            (r#"a "x \"y\" \n" 'p\q' \ z"#, &["a", r#"x "y" \n"#, r"p\q", " z"]),
            ("a '' \"\"", &["a", "", ""]),
            ("sh -c 'a | b > $c'", &["sh", "-c", "a | b > $c"]),
            ("a #b *.c", &["a", "#b", "*.c"]),
            ("", &[]),
        ];
        for (line, words) in cases {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_refused() {
        for line in ["a | b", "a; b", "a && b", "a > b", "echo $HOME", "echo \"`id`\"", "(a)"] {
            assert!(split(line).unwrap_err().contains("only a shell"), "{line}");
        }
        for (line, part) in [("a 'b", "`'`"), ("a \"b", "`\"`"), ("a \\", "backslash")] {
            assert!(split(line).unwrap_err().contains(part), "{line}");
        }
    }
}
