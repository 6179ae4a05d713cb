//! The pages under `docs/errors` show what Loopwright really says.

use loopwright_program::frame::{Frame, Severity};
use loopwright_program::parse;

/// The first block of a page with this language.
fn block<'p>(page: &'p str, language: &str) -> Option<&'p str> {
    let (_, rest) = page.split_once(&format!("```{language}\n"))?;
    rest.split_once("\n```").map(|(text, _)| text)
}

/// What a person reads about a program: its errors, or its warnings.
fn said(source: &str) -> String {
    match parse("program.ts", source) {
        Err(report) => report.to_string(),
        Ok(program) => {
            let frame = Frame { severity: Severity::Warning, ..Frame::default() };
            let drawn = program.warnings.iter().map(|it| frame.render(it, Some(&program.source)));
            drawn.collect::<Vec<_>>().join("\n\n")
        }
    }
}

#[test]
fn every_example_about_a_programs_text_is_true() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
    let mut checked = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let page = std::fs::read_to_string(&path).unwrap();
        if !name.starts_with("LW01") {
            continue;
        }
        let Some(source) = block(&page, "ts") else { continue };
        assert_eq!(Some(said(source).as_str()), block(&page, "text"), "{name}");
        checked += 1;
    }
    assert!(checked >= 8, "only {checked} pages have an example");
}

#[test]
fn every_other_example_is_a_program_that_parses() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        let is_about_text = path.file_name().unwrap().to_string_lossy().starts_with("LW01");
        if let Some(source) = block(&page, "ts").filter(|_| !is_about_text) {
            assert!(parse("program.ts", source).is_ok(), "{}\n{}", path.display(), said(source));
        }
    }
}
