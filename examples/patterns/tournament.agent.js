// Tournament, Claude Code dialect: single elimination, three judges for each pair.
//   loopwright run examples/patterns/tournament.agent.js --model mock
export const meta = {
  name: 'tournament',
  description: 'Single elimination with three judges for each pair',
  phases: [{ title: 'Enter' }, { title: 'Play' }],
};

const JUDGES = 3;
const VOTE = { type: 'object', properties: { winner: { enum: ['A', 'B'] } }, required: ['winner'] };

phase('Enter');
let field = (await parallel(
  Array.from({ length: 8 }, (_, n) => () => agent(`Write an opening line for the release notes (style ${n + 1})`)),
)).filter(Boolean);

phase('Play');
let rounds = 0;
while (field.length > 1) {
  rounds += 1;
  const pairs = [];
  for (let n = 0; n + 1 < field.length; n += 2) pairs.push([field[n], field[n + 1]]);
  const winners = await parallel(pairs.map(([first, second]) => async () => {
    const votes = await parallel(Array.from({ length: JUDGES }, (_, judge) => () =>
      agent(`Judge ${judge + 1}: which line is clearer?\nA: ${first}\nB: ${second}`, { schema: VOTE })));
    const forFirst = votes.filter((vote) => vote?.winner === 'A').length;
    return forFirst * 2 > JUDGES ? first : second;
  }));
  field = field.length % 2 ? [...winners, field[field.length - 1]] : winners;
}

return { rounds, winner: field[0] };
