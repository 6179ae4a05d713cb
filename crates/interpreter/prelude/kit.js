// What every part of the prelude shares: errors with codes, argument checks, naming of values.
//
// The parts are scripts evaluated in the order of `sources.rs` while the image is built. They meet on `__lw.kit`,
// which the last part deletes. Each part captures the globals it needs when it is evaluated: a program may later
// replace or delete any global, and none of this may notice. Prototypes are frozen before a program starts, so
// methods of arrays, maps and strings that the prelude itself made are safe to call.
(() => {
  "use strict";
  const { Array, Error, Number, Object, Promise, String, TypeError } = globalThis;
  const { abs, min } = globalThis.Math;
  const { iterator } = globalThis.Symbol;
  const kit = Object.create(null);
  globalThis.__lw.kit = kit;

  /** Kinds and bits of calls, as `docs/design/bridge.md` defines them. */
  kit.kinds = Object.freeze({ TASK: 1, AGENT: 2, TOOL: 3, SLEEP: 4, APPROVE: 5, WORKFLOW: 6 });
  kit.bits = Object.freeze({ NULL_ON_FAILURE: 1, TRACKED: 2, OBSERVED: 4 });

  /** The largest piece of someone else's text that is repeated in a message. */
  const QUOTE_MAX = 80;

  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

  /** The start of a text, in backticks, for a message. */
  function quote(text) {
    const whole = String(text);
    return "`" + (whole.length > QUOTE_MAX ? whole.slice(0, QUOTE_MAX) + "…" : whole) + "`";
  }

  /** A number with thousands separators: `5,000`. */
  function count(number) {
    return String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  }

  /** What a value is, in words, without running any of its code. */
  function describe(value) {
    if (value === null) return "null";
    if (typeof value === "undefined") return "undefined";
    if (typeof value === "string") return value === "" ? "an empty string" : "the string " + quote(value);
    if (typeof value === "number") return quote(value);
    if (typeof value === "function") return "a function";
    if (typeof value !== "object") return "a " + typeof value;
    if (value instanceof Promise) return "a promise";
    return Array.isArray(value) ? "an array" : "an object";
  }

  /** An error about how the program called us, with a stable code. */
  function usage(code, message, hint) {
    const error = new TypeError(message);
    error.code = code;
    if (hint !== undefined) error.hint = hint;
    return error;
  }

  /** LW0205: `where` was given the wrong type. */
  function wrong(where, what, expected, value, hint) {
    return usage("LW0205", `\`${where}\`: ${what} must be ${expected}, not ${describe(value)}`, hint);
  }

  /** Edit distance of two short texts, or `max + 1` when it is larger than `max`. */
  function distance(left, right, max) {
    if (abs(left.length - right.length) > max) return max + 1;
    let row = Array.from({ length: right.length + 1 }, (_, at) => at);
    for (let i = 1; i <= left.length; i++) {
      const next = [i];
      for (let j = 1; j <= right.length; j++) {
        const change = row[j - 1] + (left[i - 1] === right[j - 1] ? 0 : 1);
        next.push(min(change, row[j] + 1, next[j - 1] + 1));
      }
      row = next;
    }
    return row[right.length];
  }

  /** The known name that `name` was probably meant to be, if there is one. */
  function closest(name, known) {
    if (name.length > 40) return undefined;
    const plain = (text) => text.replaceAll("_", "").toLowerCase();
    const wanted = plain(name);
    let best;
    let least = wanted.length < 5 ? 1 : 2;
    for (const candidate of known) {
      const far = distance(wanted, plain(candidate), least);
      if (far < least || (far === least && best === undefined)) {
        best = candidate;
        least = far;
      }
    }
    return best;
  }

  /** What `settle()` and a `catch` see of a call that gave nothing. */
  const DETAILS = ["call", "code", "hint", "subagent", "attempts", "usage", "retryable", "receipt"];
  let deliver;
  let reasonOf;

  class TaskError extends Error {
    /** Set only on failures that the engine or the prelude delivered; a program cannot forge it. */
    #delivered;

    constructor(message, details) {
      super(message);
      const given = isObject(details) ? details : {};
      this.reason = given.reason === undefined ? "program" : given.reason;
      for (const name of DETAILS) {
        const value = given[name];
        if (value !== undefined) this[name] = value;
      }
      if (this.retryable === undefined) this.retryable = false;
    }

    static {
      deliver = (failure) => {
        const error = new TaskError(failure.message, failure);
        error.#delivered = failure.reason;
        return error;
      };
      reasonOf = (error) => (isObject(error) && #delivered in error ? error.#delivered : undefined);
    }
  }
  Object.defineProperty(TaskError.prototype, "name", { value: "TaskError", writable: true, configurable: true });

  /** Whether an error stops a whole `parallel` or `pipeline` instead of becoming `null`. */
  function isFatal(error) {
    const reason = reasonOf(error);
    return reason === "budget" || reason === "limit";
  }

  /** A text member of anything that was thrown; its getters may throw or lie. */
  function textOf(error, name, max) {
    try {
      const value = error[name];
      if (typeof value === "string") return value.length > max ? value.slice(0, max) + "…" : value;
    } catch {
      // A getter that throws has nothing to tell.
    }
    return undefined;
  }

  /** Anything that was thrown, as plain bounded data for a note. */
  function errorData(error) {
    if (!isObject(error)) {
      return { name: "Error", message: "threw " + (typeof error === "symbol" ? "a symbol" : quote(error)) };
    }
    const data = {
      name: textOf(error, "name", 100) ?? "Error",
      message: textOf(error, "message", 2000) ?? "<unprintable>",
    };
    for (const name of ["stack", "code", "hint", "reason"]) {
      const text = textOf(error, name, 4000);
      if (text !== undefined && (name !== "code" || /^LW\d{4}$/.test(text))) data[name] = text;
    }
    return data;
  }

  /** The most items one call may be given; set from the host's configuration. */
  kit.itemsMax = 4096;

  function tooMany(where, found) {
    return deliver({
      reason: "limit",
      code: "LW0207",
      message: `\`${where}\` was given ${found} items (limit ${count(kit.itemsMax)})`,
      hint: "work in batches, or raise `run.items_per_call_max`",
      retryable: false,
    });
  }

  /** A copy of the items of an array or another iterable, at most as many as one call may be given. */
  function listOf(where, items, what) {
    const max = kit.itemsMax;
    if (Array.isArray(items)) {
      const length = items.length;
      if (length > max) throw tooMany(where, count(length));
      const list = [];
      for (let at = 0; at < length; at++) list.push(items[at]);
      return list;
    }
    if (!isObject(items) || typeof items[iterator] !== "function") {
      const hint = items instanceof Promise ? "await it first" : undefined;
      throw wrong(where, what, "an array", items, hint);
    }
    const list = [];
    for (const item of items) {
      if (list.length === max) throw tooMany(where, "more than " + count(max));
      list.push(item);
    }
    return list;
  }

  /** The same for functions that start work when they are called. */
  function thunksOf(where, thunks) {
    const list = listOf(where, thunks, "its argument");
    for (let at = 0; at < list.length; at++) {
      if (typeof list[at] === "function") continue;
      throw wrong(where, `item ${at}`, "a function", list[at], "wrap each call: `() => agent(…)`");
    }
    return list;
  }

  /** A whole number between `least` and `most`, or an error that names it. */
  function whole(where, what, value, least, most) {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    const range = most === Infinity ? `${least} or more` : `${least} to ${most}`;
    throw wrong(where, what, `a whole number of ${range}`, value);
  }

  /** A duration in milliseconds: finite and not negative. */
  function duration(where, what, value) {
    if (typeof value === "number" && value >= 0 && value < Infinity) return value;
    throw wrong(where, what, "a number of milliseconds of 0 or more", value);
  }

  /** An options object, an empty one when it is absent. */
  function optionsOf(where, options, hint) {
    if (options === undefined || options === null) return {};
    if (typeof options === "object" && !Array.isArray(options)) return options;
    throw wrong(where, "its options", "an object", options, hint);
  }

  Object.assign(kit, {
    TaskError,
    closest,
    count,
    deliver,
    describe,
    duration,
    errorData,
    isFatal,
    isObject,
    listOf,
    optionsOf,
    quote,
    reasonOf,
    textOf,
    thunksOf,
    usage,
    whole,
    wrong,
  });
})();
