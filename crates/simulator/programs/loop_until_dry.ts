// Experiment E3: search in rounds until `dry` rounds in a row bring nothing new. New is what was never seen.
import { loopUntilDry } from "loopwright:patterns";

export const meta = {
  name: "loop-until-dry",
  description: "Rounds of searching until nothing new turns up",
  args: { type: "object", properties: { dry: { type: "integer" } }, required: ["dry"] },
};

const FINDINGS = {
  type: "object",
  properties: { findings: { type: "array", items: { type: "integer" } } },
  required: ["findings"],
};

const search = (round: number) => agent(`round ${round}: look for findings`, { schema: FINDINGS });
const { seen, rounds } = await loopUntilDry(search, { dryRounds: args.dry, roundsMax: 500 });
({ rounds, seen });
