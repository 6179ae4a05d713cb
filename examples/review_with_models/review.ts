// Models review files, smaller models try to refute what was found, and what stands is the report.
//   loopwright run examples/review_with_models/review.ts --agents examples/review_with_models/agents \
//     --args '{"pattern": "crates/types/src/*.rs"}'
// The definitions name models by size, so the first of Anthropic, OpenAI and Gemini whose key is set serves them. With
// `--model mock` it runs offline on made-up answers.
export const meta = {
  name: "review-with-models",
  description: "Reviews every file that matches a pattern, and keeps the findings that nobody could refute",
  phases: [{ title: "Review" }, { title: "Doubt" }],
  args: { type: ["object", "null"], properties: { pattern: { type: "string" } }, additionalProperties: false },
};

type Finding = { line: number; what: string };

const review = {
  type: "object",
  properties: {
    findings: {
      type: "array",
      maxItems: 5,
      items: {
        type: "object",
        properties: { line: { type: "integer", minimum: 1 }, what: { type: "string" } },
        required: ["line", "what"],
      },
    },
  },
  required: ["findings"],
};
const verdict = { type: "object", properties: { stands: { type: "boolean" } }, required: ["stands"] };

const pattern = args?.pattern ?? "crates/types/src/*.rs";
const files: string[] = (await tools.glob({ pattern })).split("\n").filter(Boolean);
coverage(files);

const reviewed = await pipeline(
  files,
  (file: string) =>
    task({ description: `Review ${file}`, subagentType: "reviewer", label: file, phase: "Review", responseSchema: review }),
  (seen: { findings: Finding[] }, file: string) =>
    Promise.all(
      seen.findings.map(async (finding) => {
        const { stands } = await task({
          description: `In ${file}, line ${finding.line}: ${finding.what}`,
          subagentType: "doubter",
          label: `${file}:${finding.line}`,
          phase: "Doubt",
          responseSchema: verdict,
        });
        return { file, ...finding, stands };
      }),
    ),
);

const standing = reviewed.flat().filter((finding) => finding?.stands);
return [`${files.length} files, ${standing.length} findings stand`, ...standing.map((it) => `${it.file}:${it.line} ${it.what}`)].join("\n");
