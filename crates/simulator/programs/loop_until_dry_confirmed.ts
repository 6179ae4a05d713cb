// Experiment E3, the well-known mistake: new is what was never *confirmed*. A finding that does not hold comes back
// as new in every round, so no round is ever dry and only the run's limit on tasks ends the loop.
const FINDINGS = {
  type: "object",
  properties: { findings: { type: "array", items: { type: "integer" } } },
  required: ["findings"],
};

const confirmed = new Set<number>();
let dry = 0;
let rounds = 0;
while (dry < args.dry) {
  rounds += 1;
  const { findings } = await agent(`round ${rounds}: look for findings`, { schema: FINDINGS });
  const fresh = findings.filter((finding: number) => !confirmed.has(finding));
  const verdicts = await parallel(fresh.map((finding: number) => () => agent(`verify ${finding}`)));
  fresh.forEach((finding: number, at: number) => {
    if (verdicts[at] === "holds") confirmed.add(finding);
  });
  dry = fresh.length === 0 ? dry + 1 : 0;
}
({ rounds, seen: confirmed.size });
