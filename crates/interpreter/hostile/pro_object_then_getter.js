try { Object.defineProperty(Object.prototype, 'then', { get() { for (;;); } }) } catch {}
const r = await agent('x'); typeof r