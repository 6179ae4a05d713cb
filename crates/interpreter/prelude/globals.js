// Puts the program API on the global object and connects it to the guest.
//
// Every name is writable and configurable: a program may declare `const args` or `function phase() {}` of its own.
(() => {
  "use strict";
  const { Object, Set } = globalThis;
  const lw = globalThis.__lw;
  const { hooks, kit, note } = lw;
  const root = globalThis;

  function define(name, value) {
    Object.defineProperty(root, name, { value, writable: true, enumerable: false, configurable: true });
  }

  function phase(title) {
    if (typeof title !== "string") throw kit.wrong("phase", "its title", "a text", title);
    note({ note: "phase", title });
  }

  const api = { phase, args: undefined };
  for (const name of [
    "TaskError", "agent", "approve", "asCompleted", "budget", "console", "coverage", "failures", "hedge", "log",
    "parallel", "pipeline", "quorum", "settle", "sleep", "structuredClone", "task", "tools", "withDeadline", "workflow",
  ]) {
    api[name] = kit[name];
  }
  for (const name of Object.keys(api)) define(name, api[name]);

  // What `patterns.js` is built from. A name that is no identifier cannot collide with a program's declarations.
  const { agent, log, parallel, pipeline, scoped, settle, task } = kit;
  const { listOf, optionsOf, rejected, whole, wrong } = kit;
  Object.defineProperty(root, "loopwright:patterns", {
    value: { agent, listOf, log, optionsOf, parallel, pipeline, rejected, scoped, settle, task, whole, wrong },
  });

  hooks({
    /** The host's configuration, just before the program starts. */
    start(config) {
      if ("args" in config) define("args", config.args);
      if (config.itemsMax !== undefined) kit.itemsMax = config.itemsMax;
      if (config.tools !== undefined) kit.allowTools(config.tools);
      kit.subagents = new Set(config.subagents);
    },
    failure: kit.onFailure,
    success: kit.onSuccess,
    finish: kit.onFinish,
  });
  
})();
