// Tournament, LangChain dialect: single elimination, a judge for each pair, all pairs of a round at once.
//   loopwright run examples/patterns/tournament.task.ts --model mock
const ENTRANTS = 8;

let field = await Promise.all(
  Array.from({ length: ENTRANTS }, (_, n) =>
    task({ description: `Write an opening line for the release notes (style ${n + 1})`, label: `entrant ${n + 1}` }),
  ),
);

let rounds = 0;
while (field.length > 1) {
  rounds += 1;
  const pairs = Array.from({ length: Math.floor(field.length / 2) }, (_, n) => [field[2 * n], field[2 * n + 1]]);
  const bye = field.length % 2 ? [field[field.length - 1]] : [];
  const winners = await Promise.all(
    pairs.map(async ([first, second]) => {
      const { winner } = await task({
        description: `Which line is clearer?\nA: ${first}\nB: ${second}`,
        label: `round ${rounds}`,
        responseSchema: { type: "object", properties: { winner: { enum: ["A", "B"] } }, required: ["winner"] },
      });
      return winner === "A" ? first : second;
    }),
  );
  field = [...winners, ...bye];
}

({ rounds, winner: field[0] });
