const o = { get label() { return agent('deep', o) } };
try { await agent('start', o) } catch (e) { e.name }