// `tools.<name>(args)`: the allow-listed tools, under the name of the tool or its camelCase form.
//
// A name with dots (`server.search`) is reached as `tools.server.search`. Only `get` is trapped for names that the
// allow-list holds or that look like a tool's: `tools.then` is always `undefined`, so awaiting `tools` is harmless.
(() => {
  "use strict";
  const { Map, Object, Proxy, Symbol } = globalThis;
  const { kit } = globalThis.__lw;
  const { TOOL } = kit.kinds;
  const { closest, deliver, quote, rejected, send, wrong } = kit;

  /** Names that JavaScript itself asks objects for; never a tool. */
  const NOT_TOOLS = [
    "then",
    "catch",
    "finally",
    "toJSON",
    "toString",
    "valueOf",
    "constructor",
    "prototype",
    "inspect",
  ];

  const camel = (name) => name.replace(/_+([a-z0-9])/gi, (_, letter) => letter.toUpperCase());

  /** Allowed names by each form under which a program may write them; `undefined` before the host has said. */
  let allowed;
  let names = [];
  const functions = new Map();

  kit.allowTools = function (list) {
    names = list;
    allowed = new Map();
    for (const name of list) allowed.set(camel(name), name);
    for (const name of list) allowed.set(name, name); // a tool's own name wins over another's camelCase form
  };

  /** The name to ask for, or an error that lists the allowed ones. */
  function resolve(written) {
    if (allowed === undefined) return written;
    const name = allowed.get(written);
    if (name !== undefined) return name;
    const meant = closest(written, names);
    const list = names.length === 0 ? "this run allows none" : `allowed: ${names.slice(0, 50).map(quote).join(", ")}`;
    throw deliver({
      reason: "policy",
      code: "LW0702",
      message: `tool ${quote(written)} is not allowed`,
      hint: meant === undefined ? list : `did you mean ${quote(meant)}? ${list}`,
      retryable: false,
      attempts: 0,
      usage: {},
    });
  }

  function callTool(written, args) {
    try {
      const name = resolve(written);
      if (args !== undefined && (typeof args !== "object" || args === null)) {
        throw wrong("tools." + written, "its argument", "an object", args, `write \`tools.${written}({…})\``);
      }
      return send(TOOL, { name, args: args === undefined ? {} : args }, 0);
    } catch (error) {
      return rejected(error);
    }
  }

  /** The function for one written name; reading a member of it goes one dot deeper. */
  function toolFunction(written) {
    let tool = functions.get(written);
    if (tool === undefined) {
      const plain = { [written]: (args) => callTool(written, args) }[written];
      tool = new Proxy(plain, traps(written + ".", plain));
      if (functions.size < 1000) functions.set(written, tool);
    }
    return tool;
  }

  function traps(prefix, fallback) {
    return {
      __proto__: null,
      get(_, name) {
        if (typeof name === "symbol") return name === Symbol.toStringTag ? "tools" : undefined;
        if (name in fallback || NOT_TOOLS.includes(name)) return fallback[name];
        return toolFunction(prefix + name);
      },
      has: (_, name) => typeof name === "string" && allowed !== undefined && allowed.has(prefix + name),
      ownKeys: () => (prefix === "" ? [...names] : Object.getOwnPropertyNames(fallback)),
      getOwnPropertyDescriptor(target, name) {
        if (prefix !== "" || !names.includes(name)) return Object.getOwnPropertyDescriptor(target, name);
        return { value: toolFunction(name), enumerable: true, configurable: true, writable: false };
      },
      set: () => false,
      defineProperty: () => false,
      deleteProperty: () => false,
      setPrototypeOf: () => false,
      preventExtensions: () => false,
    };
  }

  const nothing = Object.create(null);
  kit.tools = new Proxy(nothing, traps("", Object.create(null)));
})();
