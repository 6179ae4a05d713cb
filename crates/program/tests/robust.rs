//! Nothing that an author can write makes the parser panic, and whatever it accepts runs as it stands.

use loopwright_program::{parse, parse_library};
use loopwright_types::{Diagnostic, Position};

/// Programs of every kind, to mutate.
const SEEDS: &[&str] = &[
    "export const meta = { name: 'a', phases: [{ title: `x` }], budget: 5 };\nconst x: Map<string, number[]> = new Map<string, number[]>();\nreturn [...x];",
    "import { fanOut, reflect as r } from 'loopwright:patterns';\nimport type { A } from './a';\nexport default await fanOut([1, 2], (x: A) => agent(`a ${x!.b as string}`));",
    "abstract class A<T> extends B<T> implements C {\n  private readonly x?: T = 1 as T\n  [k: string]: any\n  static async *m<U>(this: A<U>, a?: U): Promise<void> {}\n  declare y: 1\n  get: T\n}",
    "type X = { a: 1 } | (() => void);\ninterface Y extends X { b(): void }\ndeclare const z: X;\nfunction f(a: 1): 2;\nfunction f(a: any): any { return <const>a }\nenum E { A }\nnamespace N { export const v = 1 }",
    "const f = async <T,>(x: T): Promise<\n  T\n> => x satisfies T\n(f);\nlabel: for (const [a, { b = 1 }] of c) { if (a) continue label; else break }\nx = a ? (b) : c => d;",
    "#!/usr/bin/env x\n'use strict';\r\nlet größe = '漢字\u{2028}' + `é${1}` // 𝒅\u{2029}\nvar re = /[/\\]]+/giu, q = a / b / c;\nexport { größe as 'x y' };",
    "await Promise.all(files.map((f) => task({ description: `read ${f}`, responseSchema: { type: 'object' } })));\nagent('x');\ntools.readFile({ path: 'a' });\nfor await (const x of asCompleted([])) log(x);\n({ a: 1 }).a;",
];

/// Pieces that are likely to be where they should not.
const PIECES: &[&str] = &[
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    ";",
    ",",
    ":",
    "?",
    "!",
    "=",
    "=>",
    "`",
    "${",
    "'",
    "\"",
    "/",
    "*/",
    "/*",
    "//",
    "\\",
    "\n",
    "\r",
    "\u{2028}",
    "\u{feff}",
    "\0",
    "é",
    "漢",
    "𝒅",
    "@",
    "#",
    " as ",
    " async ",
    "await ",
    "class ",
    "enum ",
    "export ",
    "export default ",
    "import ",
    "type ",
    "declare ",
    "abstract ",
    "private ",
    "satisfies ",
    "this: ",
    "...",
    "export const meta = ",
    " from 'library:a'",
    "\u{200b}",
    "𝒅𝒅\t",
    "0x",
    "1_",
    "1n",
];

/// A small generator of numbers, so that a failure repeats: splitmix64.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    /// A place in the text between two characters.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn mutate(&mut self, text: &mut String) {
        let (a, b) = (self.place(text), self.place(text));
        let (start, end) = (a.min(b), a.max(b).min(a.min(b) + 40));
        let end = (start..=end).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(start);
        match self.below(4) {
            0 => text.replace_range(start..end, ""),
            1 => text.insert_str(a, PIECES[self.below(PIECES.len())]),
            2 => text.replace_range(start..end, PIECES[self.below(PIECES.len())]),
            _ => {
                let piece = text[start..end].to_owned();
                let at = self.place(text);
                text.insert_str(at, &piece);
            }
        }
    }
}

/// Lines of a text as ECMAScript has them, each with its length in characters.
fn shape(text: &str) -> Vec<usize> {
    let text = text.replace("\r\n", "\n");
    let ends = ['\n', '\r', '\u{2028}', '\u{2029}'];
    text.split(ends).map(|line| line.chars().count()).collect()
}

#[track_caller]
fn assert_in_text(source: &str, diagnostics: &[Diagnostic]) {
    let lines = shape(source.trim_start_matches('\u{feff}'));
    for diagnostic in diagnostics {
        assert!(!diagnostic.message.contains('\n'), "{source}\n{diagnostic}");
        if let Some(at) = &diagnostic.location {
            let Position { line, column } = at.position;
            let inside =
                lines.get(line as usize - 1).is_some_and(|length| column as usize <= length + 1);
            assert!(inside, "{source}\n{diagnostic}");
        }
    }
}

/// What holds of every text.
#[track_caller]
fn check(name: &str, source: &str) {
    match parse(name, source) {
        Err(report) => {
            assert!(!report.diagnostics.is_empty());
            assert_in_text(source, &report.diagnostics);
            let _ = report.to_string();
        }
        Ok(program) => {
            assert_in_text(source, &program.warnings);
            let mut columns = shape(&program.code);
            columns[0] -= program.prefix_columns as usize;
            assert_eq!(columns, shape(&program.source), "{source}\n{}", program.code);
            // What runs is plain JavaScript, and stripping it again changes nothing.
            let again = parse("code.js", &program.code)
                .unwrap_or_else(|report| panic!("{source}\n{}\n{report}", program.code));
            assert_eq!(again.code, program.code, "{source}");
        }
    }
    if let Ok(library) = parse_library(name, source) {
        assert_eq!(shape(&library.code), shape(&library.source), "{source}\n{}", library.code);
        let again = parse_library("code.js", &library.code);
        assert!(again.is_ok(), "{source}\n{}", library.code);
    }
}

#[test]
fn programs_cut_off_at_any_character_are_refused_or_run() {
    for seed in SEEDS {
        for (at, _) in seed.char_indices() {
            check("a.ts", &seed[..at]);
            check("a.js", &seed[at..]);
        }
    }
}

#[test]
fn randomly_changed_programs_never_panic() {
    let mut draw = Draw(7);
    for round in 0..3_000 {
        let mut source = SEEDS[round % SEEDS.len()].to_owned();
        for _ in 0..=draw.below(6) {
            draw.mutate(&mut source);
        }
        check(if round % 5 == 0 { "a.js" } else { "a.ts" }, &source);
    }
}

#[test]
fn random_pieces_never_panic() {
    let mut draw = Draw(11);
    for _ in 0..3_000 {
        let pieces = (0..draw.below(30)).map(|_| PIECES[draw.below(PIECES.len())]);
        check("a.ts", &pieces.collect::<Vec<_>>().concat());
    }
}
