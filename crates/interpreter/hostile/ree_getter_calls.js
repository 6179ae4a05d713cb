const o = { get a() { agent('again'); return 1 }, b: 2 };
await Promise.all([1, 2, 3].map(() => agent('x', o).catch((e) => e.message)))