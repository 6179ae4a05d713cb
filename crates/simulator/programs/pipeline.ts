// Experiment E2 without barriers: every item goes on by itself.
export const meta = {
  name: "pipeline",
  description: "Three stages over the same items, each item at its own pace",
  args: { type: "object", properties: { items: { type: "integer" } }, required: ["items"] },
};

const items: number[] = Array.from({ length: args.items }, (_, item) => item);
const stage = (number: number) => (_: unknown, item: number) => agent(`stage ${number} of item ${item}`);
const results = await pipeline(items, stage(0), stage(1), stage(2));
return results.length;
