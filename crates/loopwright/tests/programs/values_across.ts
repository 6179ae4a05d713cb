// Values that are easy to get wrong on the way across.
const odd = await agent("echo", { schema: { const: { "__proto__": 1, then: "no function", "": null, "a\u0000b": [1e21, -0, 0.1] } } })
  .catch((error) => error.reason);
({ odd, keys: Object.keys(odd ?? {}).length, polluted: ({} as any).polluted === undefined });
