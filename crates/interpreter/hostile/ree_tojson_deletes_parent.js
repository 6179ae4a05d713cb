let root = { child: { toJSON() { delete root.child; root = null; for (let i = 0; i < 5000; i++) new Array(50).fill({}); return { still: 'here' } } } };
await tools.ls(root)