const p = { toString() { return agent(p) } };
try { await agent(p) } catch (e) { e.name }