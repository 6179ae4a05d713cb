// `coverage(items)`: every item of the work ends as done, failed, skipped or dropped, and nothing is forgotten.
//
// An item's fate is recorded by `pipeline` and `fanOut` running over it, by calls whose `key` or `label` is the item's
// key, or by the tracker's methods; what the program says itself wins, else the last word.
(() => {
  "use strict";
  const { Array, Map, Object, String } = globalThis;
  const { kit, note } = globalThis.__lw;
  const { isObject, listOf, quote, usage, wrong } = kit;

  /** Items of the report that are not done, at most; the counts are always exact. */
  const LISTED_MAX = 5000;
  const KEY_MAX = 200;

  const byKey = new Map();
  const byItem = new Map();

  /** Members that name an item when the program does not say which one does. */
  const NAMES = ["id", "key", "name", "path", "file", "url", "title"];

  const isName = (value) => (typeof value === "string" && value !== "") || typeof value === "number";

  function keyOf(item, index, key) {
    if (typeof key === "function" || typeof key === "string") {
      const name = typeof key === "function" ? key(item, index) : isObject(item) ? item[key] : undefined;
      if (isName(name)) return String(name);
      throw wrong("coverage", `the key of item ${index}`, "a text or a number", name);
    }
    if (isName(item)) return String(item);
    if (isObject(item)) {
      for (const member of NAMES) {
        const name = item[member];
        if (isName(name)) return String(name);
      }
    }
    return "#" + index;
  }

  function coverage(items, key) {
    if (key !== undefined && key !== null && typeof key !== "function" && typeof key !== "string") {
      throw wrong("coverage", "its second argument", "a function or the name of a member", key);
    }
    const list = listOf("coverage", items, "its first argument");
    const keys = list.map((item, index) => keyOf(item, index, key));
    const mine = new Map();
    for (let at = 0; at < list.length; at++) {
      let entry = byKey.get(keys[at]);
      if (entry === undefined) {
        entry = { key: keys[at], status: "dropped", reason: undefined, said: false };
        byKey.set(entry.key, entry);
      }
      mine.set(entry.key, entry);
      byItem.set(list[at], entry);
    }
    kit.entryOf = (request) => byKey.get(request.key) ?? byKey.get(request.label);
    kit.entryOfItem = (item) => byItem.get(item);
    return tracker(mine);
  }

  function tracker(mine) {
    const say = (status) => (item, reason) => {
      const entry = byItem.get(item) ?? byKey.get(isName(item) ? String(item) : undefined);
      if (entry === undefined) {
        throw usage("LW0205", `\`coverage\`: ${quote(isName(item) ? item : typeof item)} is not among the items`);
      }
      entry.status = status;
      entry.reason =
        reason === undefined || reason === null
          ? undefined
          : String(isObject(reason) ? kit.errorData(reason).message : reason);
      entry.said = true;
    };
    return Object.freeze({
      done: say("done"),
      failed: say("failed"),
      skipped: say("skipped"),
      report: () => report(mine),
    });
  }

  /** What the program said about an item stands against what is recorded for it. */
  function decideEntry(entry, status, reason) {
    if (entry.said) return;
    entry.status = status;
    entry.reason = reason;
  }

  const short = (text) => (text.length > KEY_MAX ? text.slice(0, KEY_MAX) + "…" : text);

  function line({ key, status, reason }) {
    const item = { key: short(key), status };
    if (reason !== undefined) item.reason = short(reason);
    return item;
  }

  /** The account so far: an item nobody has worked on counts as dropped. */
  function report(entries) {
    const account = { total: entries.size, done: 0, failed: 0, skipped: 0, dropped: 0, items: [] };
    for (const entry of entries.values()) {
      account[entry.status] += 1;
      account.items.push(line(entry));
    }
    return account;
  }

  /** Sends the account of all items when the program has ended. */
  kit.onFinish = function () {
    if (byKey.size === 0) return;
    const { total, done, items } = report(byKey);
    const open = items.filter((item) => item.status !== "done").slice(0, LISTED_MAX);
    note({ note: "coverage", total, done, items: open });
  };

  Object.assign(kit, { coverage, decideEntry });
})();
