const o = { toString() { console.log(o); return 'x' }, toJSON() { console.log(o); return 'y' } };
try { console.log(o) } catch (e) { e.name }