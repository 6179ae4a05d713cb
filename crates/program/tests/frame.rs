//! How a diagnostic is drawn around the author's lines.

use expect_test::{Expect, expect};
use loopwright_program::frame::{Frame, Severity};
use loopwright_types::{Code, Diagnostic, Position};
use unicode_width::UnicodeWidthStr;

fn at(line: u32, column: u32, length: u32) -> Diagnostic {
    Diagnostic::new(Code::SYNTAX, "a cause").at("a.ts", Position { line, column }, length)
}

#[track_caller]
fn check(frame: Frame, diagnostic: &Diagnostic, source: &str, expected: &Expect) {
    expected.assert_eq(&frame.render(diagnostic, Some(source)));
}

#[test]
fn the_mark_stands_under_wide_characters_and_tabs() {
    let source = "\tconst 漢字 = 'é';\t// 𝒅\nx";
    check(
        Frame::default(),
        &at(1, 8, 2).hint("a hint"),
        source,
        &expect![[r#"
        error[LW0101]: a cause
          --> a.ts:1:8
           |
         1 |     const 漢字 = 'é';   // 𝒅
           |           ^^^^
         2 | x
        hint: a hint"#]],
    );
    check(
        Frame::default(),
        &at(1, 13, 3),
        "\tconst 漢字 = 'é';",
        &expect![[r#"
        error[LW0101]: a cause
          --> a.ts:1:13
           |
         1 |     const 漢字 = 'é';
           |                  ^^^"#]],
    );
}

#[test]
fn long_lines_are_cut_around_the_mark() {
    let source = format!("const a = {}BAD{};", "x".repeat(200), "y".repeat(200));
    let narrow = Frame { width: 50, ..Frame::default() };
    check(
        narrow,
        &at(1, 211, 3),
        &source,
        &expect![[r#"
            error[LW0101]: a cause
              --> a.ts:1:211
               |
             1 | …xxxxxxxxxxxxxxBADyyyyyyyyyyyyyyyyyyyyyyyyyy…
               |                ^^^"#]],
    );
    check(
        narrow,
        &at(1, 1, 900),
        &source,
        &expect![[r#"
            error[LW0101]: a cause
              --> a.ts:1:1
               |
             1 | const a = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
               | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^"#]],
    );
    check(
        narrow,
        &at(1, 414, 1),
        &source,
        &expect![[r#"
            error[LW0101]: a cause
              --> a.ts:1:414
               |
             1 | …yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy;
               |                                            ^"#]],
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_whatever_the_mark() {
    let line = "漢字\tab𝒅é\u{301} ".repeat(40);
    let source = format!("{line}\n{line}x\nshort");
    for width in [24, 33, 80] {
        for column in 1..=line.chars().count() as u32 + 2 {
            let frame = Frame { width, ..Frame::default() };
            let drawn = frame.render(&at(2, column, 5), Some(&source));
            for line in drawn.lines().skip(2) {
                assert!(line.width() <= width, "{width}, column {column}\n{drawn}");
            }
            assert!(drawn.contains('^'), "{drawn}");
        }
    }
}

#[test]
fn colour_adds_nothing_but_colour() {
    let source = "let a = 1;\nlet b = 2;";
    let diagnostic = at(2, 5, 1).hint("a hint");
    let plain = Frame { severity: Severity::Warning, ..Frame::default() };
    let colour = Frame { colour: true, ..plain };
    let drawn = colour.render(&diagnostic, Some(source));
    assert!(drawn.contains("\x1b[1;33mwarning[LW0101]\x1b[0m"));
    let mut bare = String::new();
    let mut rest = drawn.as_str();
    while let Some(start) = rest.find('\x1b') {
        bare += &rest[..start];
        rest = &rest[start + rest[start..].find('m').unwrap() + 1..];
    }
    assert_eq!(bare + rest, plain.render(&diagnostic, Some(source)));
}

#[test]
fn text_cannot_steer_the_terminal() {
    let source = "a \x1b[2J \u{202e}b\u{0} c\u{7f}";
    let mut diagnostic = at(1, 3, 1).hint("\x1b]0;title\x07");
    diagnostic.message = "x\x1b[31m\r\ny".to_owned();
    check(
        Frame::default(),
        &diagnostic,
        source,
        &expect![[r#"
        error[LW0101]: x�[31m� y
          --> a.ts:1:3
           |
         1 | a �[2J �b� c�
           |   ^
        hint: �]0;title�"#]],
    );
}

#[test]
fn what_is_missing_is_left_out() {
    let bare = Diagnostic::new(Code::DISK_FULL, "a cause").hint("a hint");
    check(
        Frame::default(),
        &bare,
        "unused",
        &expect![[r#"
        error[LW0802]: a cause
        hint: a hint"#]],
    );
    let frame = Frame::default();
    assert_eq!(frame.render(&at(3, 1, 1), None), "error[LW0101]: a cause\n  --> a.ts:3:1");
    assert_eq!(frame.render(&at(3, 1, 1), Some("x")), "error[LW0101]: a cause\n  --> a.ts:3:1");
    assert_eq!(frame.render(&at(0, 0, 1), Some("x")), "error[LW0101]: a cause\n  --> a.ts");
    check(
        frame,
        &at(2, 9, 4),
        "a\n\nb",
        &expect![[r#"
        error[LW0101]: a cause
          --> a.ts:2:9
           |
         1 | a
         2 |
           | ^
         3 | b"#]],
    );
}
