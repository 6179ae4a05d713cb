try { Object.prototype.then = function (r) { for (;;); } } catch {}
await agent('x')