// Puts the program API on the global object and connects it to the guest.
//
// Every name is writable and configurable: a program may declare `const args` or `function phase() {}` of its own.
(() => {
  "use strict";
  const { Object, Set, String } = globalThis;
  const lw = globalThis.__lw;
  const { hooks, kit, note } = lw;
  const root = globalThis;

  function define(name, value) {
    Object.defineProperty(root, name, { value, writable: true, enumerable: false, configurable: true });
  }

  function phase(title) {
    if (typeof title !== "string" && typeof title !== "number") throw kit.wrong("phase", "its title", "a text", title);
    note({ note: "phase", title: String(title) });
  }

  const api = { phase, args: undefined };
  for (const name of [
    "TaskError",
    "agent",
    "approve",
    "asCompleted",
    "budget",
    "console",
    "coverage",
    "failures",
    "hedge",
    "log",
    "parallel",
    "pipeline",
    "quorum",
    "settle",
    "sleep",
    "structuredClone",
    "task",
    "tools",
    "withDeadline",
    "workflow",
  ]) {
    api[name] = kit[name];
  }
  for (const name of Object.keys(api)) define(name, api[name]);

  // What `patterns.js` is built from. The module is evaluated now, while the image is built: no program can come
  // between, and importing it costs a program nothing.
  const { agent, listOf, optionsOf, parallel, pipeline, scoped, whole, wrong } = kit;
  define("loopwright:patterns", { agent, listOf, optionsOf, parallel, pipeline, scoped, whole, wrong });
  import("loopwright:patterns").then(() => delete root["loopwright:patterns"]);

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
