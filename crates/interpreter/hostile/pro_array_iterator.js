try { Array.prototype[Symbol.iterator] = function* () { for (;;) yield this } } catch {}
try { Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: false }) } catch {}
await parallel([() => agent('x')]); await Promise.all([1])