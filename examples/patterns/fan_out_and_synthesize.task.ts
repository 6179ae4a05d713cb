// Fan out and synthesize, LangChain dialect: one subagent a file, one that sums up.
//   loopwright run examples/patterns/fan_out_and_synthesize.task.ts --model mock
const files = (await tools.glob({ pattern: "docs/errors/LW01*.md" })).split("\n").filter(Boolean);

const summaries = await Promise.all(
  files.map((file: string) =>
    task({
      description: `Read ${file} and say in one sentence what the author must do about this error`,
      label: file,
    }),
  ),
);

const report = await task({
  description: `Write one paragraph of advice from these ${summaries.length} notes:\n${summaries.join("\n")}`,
  label: "synthesize",
});

({ files: files.length, report });
