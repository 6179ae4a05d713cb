try { Promise.prototype.then = function () { for (;;); } } catch {}
try { Promise.prototype.constructor = function () { for (;;); } } catch {}
await agent('x')