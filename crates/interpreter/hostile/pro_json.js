try { JSON.stringify = JSON.parse = () => { for (;;); } } catch {}
await agent('x', { schema: { type: 'object' } })