const p = new Proxy([], { get(t, k) { if (k === 'length') return 2 ** 53; agent('t').catch(() => {}); return () => p } });
try { await parallel(p) } catch (e) { e.name }