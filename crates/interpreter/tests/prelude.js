// A small prelude for tests of the interpreter alone: the natives as they are, and a few names that programs use.
(() => {
  'use strict';
  const lw = globalThis.__lw;
  delete globalThis.__lw;
  const text = (v) => {
    try { return typeof v === 'string' ? v : lw.encode(v); } catch { return String(v); }
  };
  const level = (name) => (...args) => lw.log(name, args.map(text).join(' '));
  const parallel = (thunks) => Promise.all(thunks.map((thunk) => lw.runIn(lw.newScope(), async () => thunk())));
  let config = {}, finished = 0;
  lw.hooks({
    start(given) { config = given; if ('args' in given) globalThis.args = given.args; },
    failure(bits, scope, info) {
      if (bits & 1 && info.reason === 'provider') return [false, null];
      const error = new Error(info.message);
      error.name = 'TaskError';
      error.code = info.code;
      return [true, error];
    },
    success(scope, receipt) { lw.note({ note: 'receipt', scope, receipt }); },
    finish() { lw.note({ note: 'finish', count: ++finished }); },
  });
  const api = {
    native: lw,
    agent: (prompt) => lw.call(2, { prompt }, 1),
    task: (options) => lw.call(1, options, 0),
    parallel,
    log: (v) => lw.log('info', text(v)),
    console: { log: level('log'), error: level('error') },
    config: () => config,
  };
  for (const [name, value] of Object.entries(api))
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
})();
