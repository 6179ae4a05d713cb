// Adversarial verification, Claude Code dialect.
//   loopwright run examples/patterns/adversarial_verification.agent.js --model mock
export const meta = {
  name: 'adversarial-verification',
  description: 'A claim stands only when most of its critics fail to break it',
  phases: [{ title: 'Claim' }, { title: 'Refute' }],
};

const CRITICS = 3;
const CLAIMS = {
  type: 'object',
  properties: { claims: { type: 'array', items: { type: 'string', minLength: 8 }, minItems: 4, maxItems: 6 } },
  required: ['claims'],
};
const VERDICT = {
  type: 'object',
  properties: { refuted: { type: 'boolean' }, evidence: { type: 'string' } },
  required: ['refuted', 'evidence'],
};

phase('Claim');
const found = await agent('List claims the README makes about durability', { schema: CLAIMS });

phase('Refute');
const judged = await parallel(
  found.claims.map((claim) => async () => {
    const votes = await parallel(
      Array.from({ length: CRITICS }, (_, critic) => () =>
        agent(`You are critic ${critic + 1}. Try to refute this, by evidence only: ${claim}`, { schema: VERDICT })),
    );
    const cast = votes.filter(Boolean);
    const refuted = cast.filter((vote) => vote.refuted).length;
    // A critic that did not answer has refuted nothing, but has not confirmed anything either.
    return { claim, stands: cast.length === CRITICS && refuted * 2 < CRITICS };
  }),
);

return { stand: judged.filter((each) => each?.stands), fall: judged.filter((each) => !each?.stands) };
