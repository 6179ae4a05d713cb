// The code health of this repository, measured by subagents that are commands: one surveys each file, another
// tries to refute each finding, the program writes the report. No model, no key, no network.
//   loopwright run examples/code_health/audit.ts --agents examples/code_health/agents
export const meta = {
  name: "code-health",
  description: "Surveys every Rust file, re-checks every finding, and reports what stands",
  phases: [{ title: "Survey" }, { title: "Check" }],
  args: { type: ["object", "null"], properties: { pattern: { type: "string" } }, additionalProperties: false },
};

type Finding = { kind: string; line: number; detail: string };
type Survey = {
  file: string; lines: number; comments: number; functions: number; tests: number; public: number;
  longest: { name: string; line: number; lines: number }; findings: Finding[];
};

const count = { type: "integer", minimum: 0 };
const finding = {
  type: "object",
  properties: { kind: { type: "string" }, line: { type: "integer", minimum: 1 }, detail: { type: "string" } },
  required: ["kind", "line", "detail"],
};
const survey = {
  type: "object",
  properties: {
    file: { type: "string" }, lines: count, comments: count, functions: count, tests: count, public: count,
    longest: { type: "object", properties: { name: { type: "string" }, line: count, lines: count }, required: ["name", "lines"] },
    findings: { type: "array", items: finding, maxItems: 50 },
  },
  required: ["file", "lines", "comments", "functions", "tests", "public", "longest", "findings"],
};
const verdict = {
  type: "object",
  properties: { stands: { type: "boolean" }, evidence: { type: "string" } },
  required: ["stands", "evidence"],
};

const pattern = args?.pattern ?? "crates/**/*.rs";
const files: string[] = (await tools.glob({ pattern })).split("\n").filter(Boolean);
coverage(files);
log(`${files.length} files match ${pattern}`);

// A pipeline, not a barrier: the findings of the first file are checked while the last one is still surveyed.
const surveyed = await pipeline(
  files,
  (file: string) =>
    task({ description: `Survey ${file}`, subagentType: "source-surveyor", label: file, phase: "Survey", responseSchema: survey }),
  async (seen: Survey) => {
    const checked = await Promise.all(
      seen.findings.map(async (claim) => {
        const { stands } = await task({
          description: `Refute this finding if you can:\n${JSON.stringify({ file: seen.file, ...claim })}`,
          subagentType: "finding-checker",
          label: `${seen.file}:${claim.line} ${claim.kind}`,
          phase: "Check",
          responseSchema: verdict,
        });
        return { ...claim, file: seen.file, stands };
      }),
    );
    return { ...seen, checked };
  },
);

const rows = surveyed.filter(Boolean);
const sum = (of: (row: any) => number) => rows.reduce((total, row) => total + of(row), 0);
const claims = rows.flatMap((row) => row.checked);
const standing = claims.filter((claim) => claim.stands);
const crates = Map.groupBy(rows, (row) => row.file.split("/").slice(0, 2).join("/"));

const table = [...crates].map(([crate, inside]) => {
  const total = (of: (row: any) => number) => inside.reduce((all, row) => all + of(row), 0);
  const lines = total((row) => row.lines);
  const stands = standing.filter((claim) => claim.file.startsWith(`${crate}/`)).length;
  const notes = Math.round((100 * total((row) => row.comments)) / Math.max(lines, 1));
  return `| ${crate} | ${inside.length} | ${lines} | ${total((row) => row.functions)} | ${total((row) => row.tests)} | ${notes} % | ${stands} |`;
});

const longest = [...rows].sort((a, b) => b.longest.lines - a.longest.lines).slice(0, 5);
const byKind = Map.groupBy(standing, (claim) => claim.kind);

return `# Code health: ${pattern}

${rows.length} of ${files.length} files surveyed, ${sum((row) => row.lines)} lines, ${sum((row) => row.functions)} functions, ${sum((row) => row.tests)} tests.
${claims.length} findings, ${standing.length} of them stand after a second look.

| crate | files | lines | functions | tests | comments | findings |
|---|---:|---:|---:|---:|---:|---:|
${table.join("\n")}

## Longest functions
${longest.map((row) => `- ${row.file}:${row.longest.line} \`${row.longest.name}\`, ${row.longest.lines} lines`).join("\n")}

## Findings that stand
${[...byKind].map(([kind, found]) => `### ${kind} (${found.length})\n${found.slice(0, 10).map((claim) => `- ${claim.file}:${claim.line} ${claim.detail}`).join("\n")}${found.length > 10 ? `\n- and ${found.length - 10} more` : ""}`).join("\n\n") || "None."}
`;
