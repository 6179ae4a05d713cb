try { Object.defineProperty(Error.prototype, 'message', { get() { for (;;); } }); Error.prototype.toString = () => { for (;;); } } catch {}
try { Error.stackTraceLimit = 1e9; Error.prepareStackTrace = () => { for (;;); } } catch {}
throw new Error('x')