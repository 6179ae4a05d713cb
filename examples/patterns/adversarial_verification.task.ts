// Adversarial verification, LangChain dialect: a claim stands only when most of its critics fail to break it.
//   loopwright run examples/patterns/adversarial_verification.task.ts --model mock
const CRITICS = 3;

const { claims } = await task({
  description: "List claims the README makes about durability",
  responseSchema: {
    type: "object",
    properties: { claims: { type: "array", items: { type: "string", minLength: 8 }, minItems: 4, maxItems: 6 } },
    required: ["claims"],
  },
});

const verdict = {
  type: "object",
  properties: { refuted: { type: "boolean" }, evidence: { type: "string" } },
  required: ["refuted", "evidence"],
};

const judged = await Promise.all(
  claims.map(async (claim: string) => {
    const votes = await Promise.all(
      Array.from({ length: CRITICS }, (_, critic) =>
        task({
          description: `You are critic ${critic + 1}. Try to refute this, by evidence only: ${claim}`,
          label: `critic ${critic + 1}`,
          responseSchema: verdict,
        }),
      ),
    );
    const refuted = votes.filter((vote) => vote.refuted).length;
    return { claim, refuted, stands: refuted * 2 < CRITICS };
  }),
);

({ stand: judged.filter((each) => each.stands), fall: judged.filter((each) => !each.stands) });
