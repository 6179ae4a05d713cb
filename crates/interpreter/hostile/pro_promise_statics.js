try { Promise.all = Promise.resolve = Promise.race = () => { for (;;); } } catch {}
await parallel([() => agent('x')])