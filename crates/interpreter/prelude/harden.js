// Freezes everything a program starts with, as hardened JavaScript does, and takes away what it must not have.
//
// Freezing alone would break ordinary programs: an object that inherits from a frozen prototype may no longer be
// assigned a member of the same name (`this.name = "X"` in a subclass of `Error`, `counts["constructor"] = 1`).
// Members that programs do override become accessors whose setter defines the member on the object itself. The hot
// methods of arrays, maps, strings and promises stay plain: calling an accessor costs a function call.
(() => {
  "use strict";
  const root = globalThis;
  const { Array, Error, Function, Iterator, Object, Promise, Reflect, Set, String, Symbol, TypeError, Uint8Array } =
    root;
  const { kit } = root.__lw;
  const { defineProperty, freeze, hasOwn } = Object;
  const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;

  /** Intrinsics that no global names. */
  const async = async () => {};
  const generator = function* () {};
  const asyncGenerator = async function* () {};
  const hidden = [
    getPrototypeOf(async),
    getPrototypeOf(generator),
    getPrototypeOf(asyncGenerator),
    getPrototypeOf([][Symbol.iterator]()),
    getPrototypeOf(""[Symbol.iterator]()),
    getPrototypeOf(new root.Map().entries()),
    getPrototypeOf(new Set().values()),
    getPrototypeOf("".matchAll(/x/g)),
    getPrototypeOf(asyncGenerator.prototype),
    getPrototypeOf(Iterator.from({ next() {} })),
    getPrototypeOf([].values().map((x) => x)),
    getPrototypeOf(Uint8Array),
  ];

  // Code from text, memory shared with nobody, the collector's timing and a real clock.
  function unavailable() {
    throw new TypeError("code cannot be made from text here");
  }
  defineProperty(unavailable, "name", { value: "Function" });
  defineProperty(unavailable, "prototype", { value: Function.prototype });
  for (const prototype of [Function.prototype, ...hidden.slice(0, 3)]) {
    defineProperty(prototype, "constructor", { value: unavailable, writable: true, configurable: true });
  }
  for (const name of [
    "Atomics",
    "FinalizationRegistry",
    "Function",
    "SharedArrayBuffer",
    "WeakRef",
    "eval",
    "gc",
    "navigator",
    "performance",
    "__lw",
  ]) {
    delete root[name];
  }
  // A program's own formatter of stacks would run inside every error that is made.
  for (const name of ["prepareStackTrace", "stackTraceLimit", "captureStackTrace"]) delete Error[name];

  /** Turns `object[name]` into an accessor that lets heirs be assigned a member of the same name. */
  function overridable(object, name) {
    const member = getOwnPropertyDescriptor(object, name);
    if (member === undefined || !member.configurable || !("value" in member)) return;
    const { value } = member;
    const access = {
      get() {
        return value;
      },
      set(next) {
        if (this === object || !kit.isObject(this))
          throw new TypeError(`cannot assign to built-in \`${String(name)}\``);
        if (hasOwn(this, name)) this[name] = next;
        else defineProperty(this, name, { value: next, writable: true, enumerable: true, configurable: true });
      },
    };
    reach(value);
    defineProperty(object, name, { get: access.get, set: access.set, enumerable: member.enumerable });
  }
  const errors = ownKeys(root).filter((name) => typeof name === "string" && name.endsWith("Error"));
  const ERROR_MEMBERS = ["constructor", "message", "name", "toString"];
  const OVERRIDABLE = [
    [Object.prototype, ownKeys(Object.prototype).filter((name) => name !== "__proto__")],
    [Function.prototype, ["constructor", "name", "toString"]],
    [Array.prototype, ["concat", "constructor", "join", "toLocaleString", "toString"]],
    [Promise.prototype, ["catch", "constructor", "finally"]],
    [Iterator.prototype, ["constructor", "toString"]],
    [getPrototypeOf(Uint8Array).prototype, ["toLocaleString", "toString"]],
    [kit.TaskError.prototype, ERROR_MEMBERS],
    [Error.prototype, ERROR_MEMBERS],
    ...errors.map((name) => [root[name].prototype, ERROR_MEMBERS]),
    ...[root.Date, root.RegExp, root.Map, root.Set].map((type) => [
      type.prototype,
      ["constructor", "toString", "valueOf"],
    ]),
  ];

  /** Everything reachable, each object once; a list and not recursion, so that depth does not matter. */
  const seen = new Set();
  const queue = [];
  function reach(value) {
    if (!kit.isObject(value) || seen.has(value) || value === root || value === kit.tools) return;
    seen.add(value);
    queue.push(value);
  }

  for (const name of ownKeys(root)) {
    const member = getOwnPropertyDescriptor(root, name);
    for (const value of [member.value, member.get, member.set]) reach(value);
  }
  for (const value of [...hidden, ...Object.values(kit)]) reach(value);
  for (const [object, names] of OVERRIDABLE) for (const name of names) overridable(object, name);
  while (queue.length > 0) {
    const object = queue.pop();
    reach(getPrototypeOf(object));
    for (const name of ownKeys(object)) {
      const member = getOwnPropertyDescriptor(object, name);
      for (const value of [member.value, member.get, member.set]) reach(value);
    }
    freeze(object);
  }
})();
