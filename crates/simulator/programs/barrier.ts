// Experiment E2, behind barriers: every item waits for the slowest one of each stage.
export const meta = {
  name: "barrier",
  description: "Three stages over the same items with a barrier after each",
  args: { type: "object", properties: { items: { type: "integer" } }, required: ["items"] },
};

const items: number[] = Array.from({ length: args.items }, (_, item) => item);
for (const stage of [0, 1, 2]) {
  await parallel(items.map((item) => () => agent(`stage ${stage} of item ${item}`)));
}
return items.length;
