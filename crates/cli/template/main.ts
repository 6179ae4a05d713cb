// Counts the words of every Markdown file here, one subagent a file, and ranks them.
//   loopwright run main.ts
//   loopwright run main.ts --args '{"pattern": "**/*.txt"}'
export const meta = {
  name: "word-count",
  description: "Counts the words of every file that matches a pattern",
  phases: [{ title: "Count" }],
};

const pattern = args?.pattern ?? "**/*.md";
const files: string[] = (await tools.glob({ pattern })).split("\n").filter(Boolean);
log(`${files.length} files match ${pattern}`);

phase("Count");
const counts = await Promise.all(
  files.map((file) =>
    task({
      description: file,
      subagentType: "word-counter",
      label: file,
      responseSchema: {
        type: "object",
        properties: { file: { type: "string" }, words: { type: "integer", minimum: 0 } },
        required: ["file", "words"],
      },
    }),
  ),
);

counts
  .sort((a, b) => b.words - a.words)
  .map(({ file, words }) => `${String(words).padStart(7)}  ${file}`)
  .join("\n");
