const shape = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
const answers = await Promise.all(Array.from({ length: 10 }, (_, n) =>
  task({ description: `count ${n}`, responseSchema: shape, retries: 0, fallback: { n: -1 } }).catch((e) => e.reason)));
answers.every((each) => typeof each === "string" || Number.isInteger(each.n));
