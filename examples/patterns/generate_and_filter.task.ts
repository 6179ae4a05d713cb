// Generate and filter, LangChain dialect: many cheap candidates, a strict filter, the best few.
//   loopwright run examples/patterns/generate_and_filter.task.ts --model mock
const CANDIDATES = 12;
const KEPT = 3;

const drafts = await Promise.all(
  Array.from({ length: CANDIDATES }, (_, n) =>
    task({ description: `Propose a name for a crash-safe run log (variant ${n + 1})`, label: `draft ${n + 1}` }),
  ),
);

const distinct = [...new Set(drafts)];
const scored = await Promise.all(
  distinct.map(async (draft) => {
    const { score } = await task({
      description: `Score this name for clarity from 0 to 10: ${draft}`,
      label: "score",
      responseSchema: {
        type: "object",
        properties: { score: { type: "integer", minimum: 0, maximum: 10 } },
        required: ["score"],
      },
    });
    return { draft, score };
  }),
);

scored.sort((a, b) => b.score - a.score);
({ drafts: drafts.length, distinct: distinct.length, best: scored.slice(0, KEPT) });
