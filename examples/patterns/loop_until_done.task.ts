// Loop until done, LangChain dialect: search in rounds until two rounds in a row bring nothing new.
// New means not *seen* before: what was rejected once must not keep the loop alive.
//   loopwright run examples/patterns/loop_until_done.task.ts --model mock
const DRY_ROUNDS = 2;
const ROUNDS_MAX = 10;

const findings = {
  type: "object",
  properties: { findings: { type: "array", items: { enum: ["race", "leak", "typo", "overflow", "dead code"] }, maxItems: 3 } },
  required: ["findings"],
};

const seen = new Set<string>();
let dry = 0;
let rounds = 0;
while (dry < DRY_ROUNDS && rounds < ROUNDS_MAX) {
  rounds += 1;
  const found = await task({
    description: `Round ${rounds}: look for defects other than ${[...seen].join(", ") || "none yet"}`,
    label: `round ${rounds}`,
    responseSchema: findings,
  });
  const fresh = found.findings.filter((finding: string) => !seen.has(finding));
  fresh.forEach((finding: string) => seen.add(finding));
  dry = fresh.length === 0 ? dry + 1 : 0;
}

({ rounds, found: [...seen].sort() });
