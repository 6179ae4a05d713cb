"""Worker of the code health example: `survey` measures one Rust file, `check` tries to refute one finding.

A command subagent: one JSON request on stdin, progress lines and then the answer as JSON on stdout.
"""

import json
import re
import sys

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
FUNCTION = re.compile(r"^(\s*)(?:pub(?:\([^)]*\))?\s+)?(?:const\s+|async\s+|unsafe\s+|extern\s+\"[^\"]*\"\s+)*fn\s+(\w+)")
PUBLIC = re.compile(r"^\s*pub\s+(?:const\s+|async\s+|unsafe\s+)*(?:fn|struct|enum|trait|type|const|static|mod)\s+(\w+)")
PANIC = re.compile(r"\.unwrap\(\)|\bpanic!\(|\btodo!\(|\bunimplemented!\(")


def is_comment(line):
    return line.lstrip().startswith("//")


def outside_tests(lines):
    """Lines up to the file's own test module."""
    for number, line in enumerate(lines):
        if line.strip() == "#[cfg(test)]":
            return lines[:number]
    return lines


def functions(lines):
    """(name, first line, length) of each function, by rustfmt's rule: it ends at the brace of its own indent."""
    found = []
    for number, line in enumerate(lines):
        match = FUNCTION.match(line)
        if not match or line.rstrip().endswith(";"):
            continue
        end = f"{match.group(1)}}}"
        if line.rstrip().endswith("}"):
            found.append((match.group(2), number + 1, 1))
            continue
        for last in range(number + 1, len(lines)):
            if lines[last].rstrip() == end:
                found.append((match.group(2), number + 1, last - number + 1))
                break
    return found


def is_documented(lines, number):
    """Whether the item on this line has a doc comment, attributes skipped."""
    for line in reversed(lines[: number - 1]):
        text = line.strip()
        if text.startswith(("#[", "#![")) or text in (")]", ")"):
            continue
        return text.startswith(("///", "#[doc"))
    return False


def survey(path):
    with open(path, encoding="utf-8") as file:
        everything = file.read().splitlines()
    lines = outside_tests(everything)
    all_functions = functions(lines)
    public = [(match.group(1), n) for n, line in enumerate(lines, 1) if (match := PUBLIC.match(line))]
    is_test_file = "/tests/" in path or "/benches/" in path or path.endswith("/tests.rs")
    findings = []
    for name, line, length in all_functions:
        if length > FUNCTION_LINES_MAX:
            findings.append({"kind": "long function", "line": line, "detail": f"`{name}` has {length} lines"})
    if len(everything) > FILE_LINES_MAX:
        findings.append({"kind": "long file", "line": 1, "detail": f"{len(everything)} lines"})
    if not is_test_file:
        for number, line in enumerate(lines, 1):
            if PANIC.search(line) and not is_comment(line):
                findings.append({"kind": "may panic", "line": number, "detail": f"`{line.strip()[:60]}`"})
        for name, line in public:
            if not is_documented(lines, line) and not lines[line - 1].strip().startswith("pub mod"):
                findings.append({"kind": "undocumented", "line": line, "detail": f"`{name}`"})
    longest = max(all_functions, key=lambda each: each[2], default=("none", 1, 0))
    return {
        "file": path,
        "lines": len(everything),
        "comments": sum(is_comment(line) for line in everything),
        "functions": len(all_functions),
        "tests": sum(line.strip().startswith(("#[test]", "#[tokio::test")) for line in everything),
        "longest": {"name": longest[0], "line": longest[1], "lines": longest[2]},
        "public": len(public),
        "findings": findings[:50],
    }


def check(claim):
    """The finding again, by counting braces instead of indents and by looking at the line itself."""
    with open(claim["file"], encoding="utf-8") as file:
        lines = file.read().splitlines()
    kind, number = claim["kind"], claim["line"]
    if kind == "long file":
        return len(lines) > FILE_LINES_MAX, f"{len(lines)} lines counted"
    line = lines[number - 1]
    if kind == "may panic":
        in_text = line.count('"', 0, max(line.find("unwrap"), 0)) % 2 == 1
        excused = "expect" in line or "unwrap_or" in line
        return bool(PANIC.search(line)) and not in_text and not excused, line.strip()[:80]
    if kind == "undocumented":
        in_macro = line.rstrip().endswith(";") and "$" in line
        return not is_documented(lines, number) and not in_macro, line.strip()[:80]
    depth, opened = 0, False
    for last, text in enumerate(lines[number - 1 :], 1):
        code = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'|//.*', "", text)
        depth += code.count("{") - code.count("}")
        opened = opened or "{" in code
        if opened and depth <= 0:
            return last > FUNCTION_LINES_MAX, f"braces close after {last} lines"
    return False, "the function's end was not found"


def main():
    request = json.load(sys.stdin)
    if sys.argv[1] == "survey":
        print(json.dumps({"progress": "reading"}), flush=True)
        result = survey(request["prompt"].rsplit(" ", 1)[-1])
    else:
        stands, evidence = check(json.loads(request["prompt"].split("\n", 1)[1]))
        result = {"stands": stands, "evidence": evidence}
    print(json.dumps({"result": result, "usage": {"input_tokens": 0, "output_tokens": 0}}))


main()
