try { Function.prototype.call = Function.prototype.apply = Function.prototype.bind = () => { for (;;); } } catch {}
await parallel([() => agent('x')]); console.log('y')