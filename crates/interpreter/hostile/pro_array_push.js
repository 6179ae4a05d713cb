try { Array.prototype.push = Array.prototype.map = Array.prototype.slice = function () { return this } } catch {}
try { Object.defineProperty(Array.prototype, '0', { set(v) { for (;;); } }) } catch {}
await parallel([() => agent('x'), () => agent('y')])