const items = []; for (let i = 0; i < 3; i++) items.push(i);
const r = await pipeline(items, (x) => { if (items.length < 100000) items.push(x); return x });
r.length