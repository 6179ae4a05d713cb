// Generate and filter, Claude Code dialect.
//   loopwright run examples/patterns/generate_and_filter.agent.js --model mock
export const meta = {
  name: 'generate-and-filter',
  description: 'Many cheap candidates, a strict filter, the best few',
  phases: [{ title: 'Generate' }, { title: 'Filter' }],
};

const SCORE = {
  type: 'object',
  properties: { score: { type: 'integer', minimum: 0, maximum: 10 } },
  required: ['score'],
};

phase('Generate');
const drafts = await parallel(
  Array.from({ length: 12 }, (_, n) => () =>
    agent(`Propose a name for a crash-safe run log (variant ${n + 1})`, { label: `draft ${n + 1}` })),
);
const distinct = [...new Set(drafts.filter(Boolean))];

phase('Filter');
const scored = await pipeline(
  distinct,
  (draft) => agent(`Score this name for clarity from 0 to 10: ${draft}`, { schema: SCORE }),
  (seen, draft) => ({ draft, score: seen.score }),
);

const best = scored.filter(Boolean).sort((a, b) => b.score - a.score).slice(0, 3);
return { drafts: drafts.length, distinct: distinct.length, best };
