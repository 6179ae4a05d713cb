const o = { toJSON() { return { o } } };
try { log(o); await tools.ls(o) } catch (e) { e.name }