// Loop until done, Claude Code dialect.
//   loopwright run examples/patterns/loop_until_done.agent.js --model mock
export const meta = {
  name: 'loop-until-done',
  description: 'Searches in rounds until two rounds in a row bring nothing new',
  phases: [{ title: 'Search' }],
};

const FINDINGS = {
  type: 'object',
  properties: {
    findings: { type: 'array', items: { enum: ['race', 'leak', 'typo', 'overflow', 'dead code'] }, maxItems: 3 },
  },
  required: ['findings'],
};

phase('Search');
const seen = new Set();
let dry = 0;
let rounds = 0;
while (dry < 2 && rounds < 10 && budget.remaining() > 0) {
  rounds += 1;
  const finders = await parallel(
    Array.from({ length: 3 }, (_, n) => () =>
      agent(`Round ${rounds}, finder ${n + 1}: look for defects other than ${[...seen].join(', ') || 'none yet'}`, {
        schema: FINDINGS,
      })),
  );
  const fresh = new Set(finders.filter(Boolean).flatMap((each) => each.findings).filter((each) => !seen.has(each)));
  fresh.forEach((each) => seen.add(each));
  dry = fresh.size === 0 ? dry + 1 : 0;
  log(`round ${rounds}: ${fresh.size} new`);
}

return { rounds, found: [...seen].sort() };
