//! Types and module syntax go, and nothing else moves.

use loopwright_program::parse;

/// Each case is a program and what is to run; `·` in the second stands for a blanked character.
#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for (source, expected) in cases {
        let program =
            parse("test.ts", source).unwrap_or_else(|report| panic!("{source}\n{report}"));
        assert_eq!(program.code.replace(' ', "·"), expected.replace(' ', "·"), "{source}");
        assert_same_shape(source, &program.code);
    }
}

/// The same lines, each as long as it was.
#[track_caller]
fn assert_same_shape(source: &str, code: &str) {
    let shape = |text: &str| text.split('\n').map(|line| line.chars().count()).collect::<Vec<_>>();
    assert_eq!(shape(source), shape(code), "{source}\n{code}");
}

#[test]
fn annotations_are_blanked() {
    check(&[
        ("let a: number = 1", "let a········ = 1"),
        ("let a!: number", "let a·········"),
        (
            "function f(a?: string, ...b: T[]): a is B { }",
            "function f(a·········, ...b·····)········ { }",
        ),
        (
            "const f = async <T,>(x: T): Promise<T> => x",
            "const f = async ····(x···)············ => x",
        ),
        ("try { } catch (e: unknown) { }", "try { } catch (e·········) { }"),
        ("const { a, b }: { a: 1; b: 2 } = c;", "const { a, b }················ = c;"),
        ("for (const x of y as T[]) z(x!)", "for (const x of y·······) z(x·)"),
        ("f<T>(x); new F<A, B>(y); g<T>`z`", "f···(x); new F······(y); g···`z`"),
        ("const g = f<string>; a satisfies B;", "const g = f········; a············;"),
        ("(a as any).b = <T,>(c: T) => c", "(a·······).b = ····(c···) => c"),
        (
            "function f(this: Window, a: 1) {} function g(this: X) {}",
            "function f(············· a···) {} function g(·······) {}",
        ),
        ("x = a! + b!.c![0]!()", "x = a· + b·.c·[0]·()"),
    ]);
}
