//! Types and module syntax go, and nothing else moves.

use expect_test::{Expect, expect};
use loopwright_program::parse;
use loopwright_types::Code;

/// Strips each program and shows what runs, with `·` for a space.
#[track_caller]
fn check(sources: &[&str], expected: &Expect) {
    let mut shown = String::new();
    for source in sources {
        let program =
            parse("test.ts", source).unwrap_or_else(|report| panic!("{source}\n{report}"));
        assert_same_shape(source, &program.code);
        shown += &program.code.replace(' ', "·");
        shown += "\n";
    }
    expected.assert_eq(&shown);
}

/// The same lines, each as long as it was.
#[track_caller]
fn assert_same_shape(source: &str, code: &str) {
    let shape = |text: &str| text.split('\n').map(|line| line.chars().count()).collect::<Vec<_>>();
    assert_eq!(shape(source), shape(code), "{source}\n{code}");
}

#[test]
fn annotations_are_blanked() {
    check(
        &[
            "let a: number = 1",
            "let a!: number",
            "function f(a?: string, ...b: T[]): a is B { }",
            "const f = async <T,>(x: T): Promise<T> => x",
            "try { } catch (e: unknown) { }",
            "const { a, b }: { a: 1; b: 2 } = c;",
            "for (const x of y as T[]) z(x!)",
            "f<T>(x); new F<A, B>(y); g<T>`z`",
            "const g = f<string>; a satisfies B;",
            "(a as any).b = <T,>(c: T) => c",
            "function f(this: Window, a: 1) {} function g(this: X) {}",
            "x = a! + b!.c![0]!()",
            "a! = 1; (b as any) = 2; [c!] = [3]",
            "function f(a?, b = 1) {}",
            "let größe: Größe = '漢'",
            "function a(x): asserts x is string {}",
            "x?.y!.z<T>?.(1)",
            "let o = { m<T>(a?: T): void {}, get x(): number { return 1 } }",
        ],
        &expect![[r#"
            let·a·········=·1
            let·a·········
            function·f(a·········,·...b·····)·········{·}
            const·f·=·async·····(x···)·············=>·x
            try·{·}·catch·(e·········)·{·}
            const·{·a,·b·}·················=·c;
            for·(const·x·of·y·······)·z(x·)
            f···(x);·new·F······(y);·g···`z`
            const·g·=·f········;·a············;
            (a·······).b·=·····(c···)·=>·c
            function·f(··············a···)·{}·function·g(·······)·{}
            x·=·a··+·b·.c·[0]·()
            a··=·1;·(b·······)·=·2;·[c·]·=·[3]
            function·f(a·,·b·=·1)·{}
            let·größe········=·'漢'
            function·a(x)······················{}
            x?.y·.z···?.(1)
            let·o·=·{·m···(a····)·······{},·get·x()·········{·return·1·}·}
        "#]],
    );
}

#[test]
fn declarations_that_are_only_types_become_empty_statements() {
    check(
        &[
            "type A = { b: 1 }; x",
            "interface A<T> extends B { c(): void }\nx",
            "declare const a: 1; declare function f(): void; x",
            "declare module 'm' { export const x: 1 }",
            "declare global { var y: 1 }",
            "declare enum E { A } declare namespace N { const x: 1 }",
            "namespace N { export type A = 1; interface B {} }",
            "function f(a: 1): 1;\nfunction f(a: any) { return a }",
            "import type { A } from './a'; export type { A }; export type B = A",
            "import { type A, type B } from './types'",
            "export type * from './types'",
            "export declare const a: 1",
            "import type A = require('a')",
            "declare class A { b: 1 }",
            "abstract class A { abstract b(): void; abstract c: 1; d = 1 }",
        ],
        &expect![[r#"
            ;··················x
            ;·····································
            x
            ;···················;···························x
            ;·······································
            ;··························
            ;····················;·································
            ;················································
            ;···················
            function·f(a·····)·{·return·a·}
            ;·····························;··················;················
            ;·······································
            ;···························
            ;························
            ;···························
            ;·······················
            ·········class·A·{·;···················;··············d·=·1·}
        "#]],
    );
}

#[test]
fn classes_lose_what_only_typescript_knows() {
    check(
        &[
            "class A<T> extends B<T> implements C, D<T> { }",
            "x = class implements A { }",
            "class A { private readonly b: 1 = 1; static override c?: 2; d!: 3 }",
            "class A { public async *b<T>(c?: T): D { } protected get e(): 1 { return 1 } }",
            "class A { constructor(a: 1); constructor(a: any) { } b(): void; b() { } }",
            "class A { [key: string]: any; static [key: string]: any; b = 1 }",
            "class A { declare b: 1; c?(): void; ['d']?: 1; #e?: 2 }",
            "class A { readonly; private; declare = 1; static = 2 }",
            "let a = class<T> { b }",
            "export abstract class A { }",
        ],
        &expect![[r#"
            class·A····extends·B·······················{·}
            x·=·class··············{·}
            class·A·{·;················b····=·1;·static··········c····;·d·;···}
            class·A·{·;······async·*b···(c····)····{·}·;·········get·e()····{·return·1·}·}
            class·A·{·;··················constructor(a·····)·{·}·;··········b()·{·}·}
            class·A·{·;···················;··························b·=·1·}
            class·A·{·;·············;···········['d']····;·#e·;···}
            class·A·{·readonly;·private;·declare·=·1;·static·=·2·}
            let·a·=·class····{·b·}
            ················class·A·{·}
        "#]],
    );
}

#[test]
fn what_is_left_never_joins_its_neighbour() {
    check(
        &[
            "x = a as T\n(b)",
            "x = a as T\n[b]",
            "x = a as T // c\n`b`",
            "x = a satisfies T /* ( */\n\n(b)",
            "x = a as T\n+ b",
            "a\ntype B = 1\n(c)",
            "a\ndeclare let b\n[c]",
            "class A { b = 1\nprivate [c] = 2 }",
            "class A { b = 1\npublic *c() { } }",
            "class A { get: T\nb() { } }",
            "class A { static: T\nb() { } }",
            "class A { b: T\n['c'] = 1 }",
            "class A { b = c as T\n['d'] = 1 }",
            "class A { b = 1\nc(): void\nc() { } }",
        ],
        &expect![[r#"
            x·=·a·;···
            (b)
            x·=·a·;···
            [b]
            x·=·a·;····//·c
            `b`
            x·=·a·;···········/*·(·*/

            (b)
            x·=·a·····
            +·b
            a
            ;·········
            (c)
            a
            ;············
            [c]
            class·A·{·b·=·1
            ;·······[c]·=·2·}
            class·A·{·b·=·1
            ;······*c()·{·}·}
            class·A·{·get;··
            b()·{·}·}
            class·A·{·static;··
            b()·{·}·}
            class·A·{·b;··
            ['c']·=·1·}
            class·A·{·b·=·c·;···
            ['d']·=·1·}
            class·A·{·b·=·1
            ;········
            c()·{·}·}
        "#]],
    );
}

#[test]
fn a_line_break_inside_a_type_breaks_no_arrow() {
    check(
        &[
            "f = (a): {\n  b: 1\n} => a",
            "f = (a):\n  T => a",
            "const a = () => { return <\n  T,\n>(a: T) => a }",
            "f = async <\n  T,\n>(a: T) => a",
        ],
        &expect![[r#"
            f·=·(a····
            ······
            )·=>·a
            f·=·(a··
            ··)·=>·a
            const·a·=·()·=>·{·return·(
            ····
            ··a···)·=>·a·}
            f·=·async·(
            ····
            ··a···)·=>·a
        "#]],
    );
}

#[test]
fn line_breaks_of_every_kind_stay_lines() {
    let source = "let a: {\r\n  b: 1\u{2028}  c: 2\r} = d; /* \u{2029} */\nx";
    let program = parse("a.ts", source).unwrap();
    assert_eq!(program.code, "let a   \r\n      \n      \n  = d; /* \n */\nx");
}

#[test]
fn byte_order_mark_and_hash_bang_do_not_run() {
    let program = parse("a.ts", "\u{feff}#!/usr/bin/env loopwright\nlet a: 1").unwrap();
    assert_eq!(program.code, "                         \nlet a   ");
    assert!(program.source.starts_with("#!"));
}

#[test]
fn typescript_with_a_runtime_meaning_is_refused_by_name() {
    let cases = [
        ("enum A { B }", "an `enum`"),
        ("const enum A { B }", "an `enum`"),
        ("export enum A { B }", "an `enum`"),
        ("namespace A { export const b = 1 }", "a namespace with values"),
        ("export namespace A { b() }", "a namespace with values"),
        ("module A { export const b = 1 }", "a namespace with values"),
        ("class A { constructor(private b: 1) { } }", "a parameter property"),
        ("class A { constructor(readonly b = 1) { } }", "a parameter property"),
        ("let a = <T>b", "a cast in angle brackets"),
        ("import a = require('a')", "`import … =`"),
        ("import a = b.c", "`import … =`"),
        ("export = a", "`export =`"),
        ("@a class B { }", "a decorator"),
        ("class A { @b c = 1 }", "a decorator"),
        ("class A { accessor b = 1 }", "an `accessor` field"),
    ];
    for (source, construct) in cases {
        let report = parse("a.ts", source).expect_err(source);
        let error = &report.diagnostics[0];
        assert_eq!(error.code, Code::TYPESCRIPT_NOT_ERASABLE, "{source}");
        assert!(error.message.starts_with(construct), "{source}: {}", error.message);
        assert!(error.hint.is_some() && error.location.is_some(), "{source}");
    }
}

#[test]
fn plain_javascript_runs_as_it_is() {
    let source =
        "label: for (const x of [1, 2]) { if (x < 2 && x > 1) continue label; y = x <y> (z) }";
    assert_eq!(parse("a.js", source).unwrap().code, source);
    // The same text means a generic call in TypeScript.
    assert_ne!(parse("a.ts", source).unwrap().code, source);
}

#[test]
fn a_type_that_holds_operators_apart_is_refused() {
    let cases = [
        ("a + b as number * c", false),
        ("a ** b as number ** c", false),
        ("-a as number ** c", false),
        ("a && b as unknown ?? c", false),
        ("a ?? b satisfies unknown && c", false),
        ("a + b as any as number * c", false),
        ("(a + b as number) * c", true),
        ("a * b as number + c", true),
        ("a + b as number + c", true),
        ("a || b as number || c", true),
        ("a as number ** c", true),
        ("c * (a as number) + (b as number) * c", true),
    ];
    for (source, fits) in cases {
        assert_eq!(parse("a.ts", source).is_ok(), fits, "{source}");
    }
}
