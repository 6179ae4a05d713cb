// Which call belongs to which piece of work.
//
// The guest gives every promise reaction the scope that was current when it was made. The prelude opens a scope where
// it must know, later, which call failed inside a piece of work (`settle`, coverage) or where it may have to cancel
// that work (`quorum`, `hedge`, `withDeadline`, `asCompleted`). Programs that use none of these pay one comparison.
(() => {
  "use strict";
  const { Object } = globalThis;
  const lw = globalThis.__lw;
  const { scope, newScope, runIn, cancel } = lw;
  const kit = lw.kit;
  const { deliver } = kit;

  /**
   * Records of open scopes by id, `undefined` for others; ids count up, and an array is five times as fast as a map.
   * Scopes that lost a race stay: calls still come out of them.
   */
  const table = [];
  kit.openScopes = 0;

  function store(record) {
    while (table.length < record.id) table.push(undefined);
    table[record.id] = record;
    kit.openScopes += 1;
  }

  /** Opens a child of the current scope. `wanted` bits are added to every call made in it. */
  function open(wanted) {
    const parent = table[scope()];
    const record = {
      id: newScope(),
      parent,
      bits: parent === undefined ? wanted : wanted | parent.bits,
      lost: false,
      failure: undefined, // the last failure that a call in here turned into `null`
      receipts: undefined,
      entry: undefined, // the covered item whose fate is decided in here
    };
    store(record);
    return record;
  }

  function close(record) {
    if (record.lost || table[record.id] === undefined) return;
    table[record.id] = undefined;
    kit.openScopes -= 1;
  }

  /** Cancels a scope and everything under it. */
  function lose(record) {
    record.lost = true;
    cancel(record.id, "cancelled");
  }

  /** Whether a scope or one around it lost its race. */
  function isLost(id) {
    for (let at = table[id]; at !== undefined; at = at.parent) if (at.lost) return true;
    return false;
  }

  /** The record of the current scope; throws `cancelled` when the scope lost its race, so that its loops end. */
  function current() {
    const record = table[scope()];
    if (record !== undefined && isLost(record.id)) {
      throw deliver({
        reason: "cancelled",
        code: "LW0504",
        message: "this part of the program was cancelled",
        retryable: false,
        attempts: 0,
        usage: {},
      });
    }
    return record;
  }

  /** Remembers a receipt or a failure that became `null` in all scopes around a call. */
  function attribute(id, receipt, failure) {
    const record = table[id];
    for (let at = record; at !== undefined; at = at.parent) {
      if (failure !== undefined) at.failure = failure;
      if (receipt !== undefined && at.receipts !== undefined) at.receipts.push(receipt);
    }
    return record;
  }

  /** `body` as a function whose calls carry the line where the program called it, wherever they are made. */
  function scoped(name, body) {
    const named = {
      [name](...args) {
        if (kit.openScopes === 0) return runIn(newScope(), body, ...args);
        const record = open(0); // keeps the scopes above it in sight
        return closing(record, runIn(record.id, body, ...args));
      },
    };
    return Object.freeze(named[name]);
  }

  async function closing(record, promise) {
    try {
      return await promise;
    } finally {
      close(record);
    }
  }

  Object.assign(kit, { attribute, close, current, isLost, lose, open, scoped });
})();
