// Experiment E7: single elimination among `entries` numbers; the larger one is the better one.
import { tournament } from "loopwright:patterns";

export const meta = {
  name: "tournament",
  description: "Single elimination with one or more judges for each match",
  args: {
    type: "object",
    properties: { entries: { type: "integer" }, judges: { type: "integer" } },
    required: ["entries", "judges"],
  },
};

const entries: number[] = Array.from({ length: args.entries }, (_, strength) => strength);
const WINNER = { type: "object", properties: { winner: { enum: ["a", "b"] } }, required: ["winner"] };
const judge = (a: number, b: number) => agent(`a: ${a} b: ${b}`, { schema: WINNER });
const { winner, rounds } = await tournament(entries, judge, { bestOf: args.judges });
({ best: winner === args.entries - 1, rounds: rounds.length });
