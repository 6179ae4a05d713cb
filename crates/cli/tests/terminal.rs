//! What a real terminal gets, through `script` of util-linux. Where that is not installed there is nothing to test.

mod support;

use std::io::{Read, Write};
use std::process::Stdio;
use support::{Ended, Place};

const SLOW: &str = "---\nname: slow\ndescription: takes its time\ndriver: mock\neffects: none\nmock: {latency_ms: 600}\n---\n";

/// Runs the command on a terminal of its own; types a line each time the output ends a wait for a text. stdout and
/// stderr come together.
fn on_terminal(
    place: &Place,
    line: &str,
    more: &[(&str, &str)],
    typing: &[(&str, &str)],
) -> Option<Ended> {
    let here = std::process::Command::new("script").arg("--version").output();
    here.ok().filter(|here| here.status.success())?;
    let binary = env!("CARGO_BIN_EXE_loopwright");
    let mut command = place.shell(&format!("script -qec '{binary} {line}' /dev/null"));
    command.env("TERM", "xterm-256color").envs(more.iter().copied()).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let (mut out, mut seen, mut bytes) = (Vec::new(), 0, [0; 4096]);
    let mut typing = typing.iter();
    let mut next = typing.next();
    loop {
        let count = screen.read(&mut bytes).unwrap();
        if count == 0 {
            break;
        }
        out.extend(&bytes[..count]);
        let text = String::from_utf8_lossy(&out[seen..]).into_owned();
        if let Some((_, typed)) = next.filter(|(awaited, _)| text.contains(awaited)) {
            keyboard.write_all(typed.as_bytes()).unwrap();
            (seen, next) = (out.len(), typing.next());
        }
    }
    let mut ended: Ended = child.wait_with_output().unwrap().into();
    ended.out = String::from_utf8(out).unwrap();
    Some(ended)
}

fn place(program: &str) -> Place {
    Place::with(&[("p.ts", program), (".loopwright/agents/slow.md", SLOW)])
}

/// The output without the sequences that are ours.
fn without_ours(out: &str) -> String {
    let mut left = out.to_owned();
    for ours in ["\x1b[?2026h", "\x1b[?2026l", "\x1b[?7l", "\x1b[?7h", "\x1b[2K"] {
        left = left.replace(ours, "");
    }
    for up in 0..60 {
        left = left.replace(&format!("\x1b[{up}A"), "");
        left = left.replace(&format!("\x1b[{up}m"), "");
    }
    left.replace(['\r', '\n'], " ")
}

const PROGRAM: &str = "phase('L\\x1b[2Jook'); log('line \\u202e one');\n\
    await Promise.all(['a', '漢字'].map((f) => task({description: f, subagentType: 'slow', label: f + '\\x1b]0;t\\x07'})));\n\
    'result \\x1b[31m'";

#[test]
fn a_terminal_gets_a_live_view_then_a_summary_then_the_result() {
    let place = place(PROGRAM);
    let Some(ended) = on_terminal(&place, "run p.ts", &[], &[]) else { return };
    let out = ended.code(0).out;
    assert!(out.contains("\x1b[?2026h") && out.contains("running"), "{out:?}");
    let summary = out.find("complete").unwrap_or_else(|| panic!("no summary: {out:?}"));
    assert!(out.rfind("\x1b[?2026l").unwrap() < summary, "the live view is gone by then");
    assert!(out[summary..].contains("result \\u{1b}[31m"), "{out:?}");
    let Some(elsewhere) = on_terminal(&place, "run p.ts --data-dir here", &[], &[]) else { return };
    assert!(elsewhere.code(0).out.contains(" --data-dir here\x1b[0m\r\n"), "it can be pasted");
    assert!(out.contains("\x1b[32m"), "colours on a terminal");
    let left = without_ours(&out);
    let bad = left.chars().find(|c| c.is_control() || *c == '\u{202e}');
    assert_eq!(bad, None, "{left:?}");
}

/// What is typed, variables, whether there is a live view, whether there are colours.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool, bool);

#[test]
fn colours_and_the_live_view_go_where_they_are_not_wanted() {
    let place = place(PROGRAM);
    let cases: [Case<'_>; 4] = [
        ("run p.ts", &[("NO_COLOR", "1")], true, false),
        ("run p.ts", &[("TERM", "dumb")], false, false),
        ("run p.ts --quiet", &[], false, false),
        ("run p.ts --json", &[], false, false),
    ];
    for (line, variables, live, colour) in cases {
        let Some(ended) = on_terminal(&place, line, variables, &[]) else { return };
        let out = ended.code(0).out;
        assert_eq!(out.contains("\x1b[?2026h"), live, "{line} {variables:?}: {out:?}");
        assert_eq!(out.contains("\x1b[32m"), colour, "{line} {variables:?}: {out:?}");
    }
}

#[test]
fn colours_can_be_forced_on_a_pipe() {
    let place = place("'x'");
    let mut command = place.command(&["run", "p.ts"]);
    let ended: Ended = command.env("CLICOLOR_FORCE", "1").output().unwrap().into();
    let ended = ended.code(0);
    assert!(ended.err.contains("\x1b[32mrun complete"), "{}", ended.err);
    assert_eq!(ended.out, "x\n", "data has no colours");
}

#[test]
fn a_person_at_the_terminal_is_asked() {
    let program = "const a = await approve('Ship it?', {choices: ['ship', 'wait']});\n({a, b: await approve('Sure?')})";
    let place = place(program);
    let typing = [
        ("answer with a number", "both\n"),
        ("answer with a number", "2\n"),
        ("answer y or n", "y\n"),
    ];
    let Some(ended) = on_terminal(&place, "run p.ts", &[], &typing) else { return };
    let out = ended.code(0).out;
    assert!(out.contains("? Ship it?") && out.contains("  2) wait"), "{out:?}");
    assert!(out.contains("{\"a\":\"wait\",\"b\":true}"), "{out:?}");
    let end_of_input = [("answer with a number", "\u{4}")];
    let Some(ended) = on_terminal(&place, "run p.ts", &[], &end_of_input) else { return };
    assert!(ended.code(4).out.contains("parked"), "nobody answered: the run waits");
}

#[test]
fn ctrl_c_on_the_terminal_cancels() {
    let place = place("await task({description: 'a', subagentType: 'slow'})");
    place.write(".loopwright/agents/slow.md", &SLOW.replace("600", "600000"));
    let typing = [("1 running", "\u{3}")];
    let Some(ended) = on_terminal(&place, "run p.ts", &[], &typing) else { return };
    let out = ended.code(130).out;
    assert!(out.contains("! \x1b[0m\x1b[33mcancelled"), "{out:?}");
    assert!(!out.contains("LW0504"), "whoever cancelled knows: {out:?}");
}

#[test]
fn a_fork_asks_at_a_terminal_before_it_spends_and_anything_but_yes_is_no() {
    let program = "await task({description: 'a', subagentType: 'slow'})";
    let place = place(program);
    place.run(&["run", "p.ts"]).code(0);
    let runs = || place.run(&["runs", "--json"]).code(0).json().as_array().unwrap().len();
    for no in ["\n", "n\n", "nothing\n", "\u{4}"] {
        let typing = [("go on? [y/N] ", no)];
        let Some(ended) = on_terminal(&place, "fork latest --at 0", &[], &typing) else { return };
        let out = ended.code(0).out;
        assert!(out.contains("1 call to make") && out.contains("nothing was run"), "{out:?}");
        assert_eq!(runs(), 1, "{no:?}");
    }
    // What takes everything over spends nothing: nobody is asked.
    let Some(ended) = on_terminal(&place, "fork latest", &[], &[]) else { return };
    assert!(!ended.code(0).out.contains("go on?"));
    let typing = [("go on? [y/N] ", "yes\n")];
    let Some(ended) = on_terminal(&place, "fork latest --at 0", &[], &typing) else { return };
    assert!(ended.code(0).out.contains("complete"));
    assert_eq!(runs(), 3);
}
