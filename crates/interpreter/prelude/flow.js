// `parallel` and `pipeline`: many pieces of work at once, results in order, a failed piece becomes `null`.
(() => {
  "use strict";
  const { Array, Promise } = globalThis;
  const lw = globalThis.__lw;
  const { kit, note, runIn } = lw;
  const { close, errorData, isFatal, listOf, open, reasonOf, thunksOf, wrong } = kit;

  /**
   * Runs `each(item, index)` for all items at once and waits for all of them. A failure becomes `null`, except that
   * a spent budget or a reached limit rejects the whole once everything that was running has ended.
   */
  function gather(where, list, each) {
    const state = { fatal: undefined };
    return new Promise((resolve, reject) => {
      const results = new Array(list.length).fill(null);
      let left = list.length;
      const end = () => (state.fatal === undefined ? resolve(results) : reject(state.fatal));
      const run = async (index) => {
        try {
          results[index] = await each(list[index], index, state);
        } catch (error) {
          drop(where, index, error, state);
        }
        left -= 1;
        if (left === 0) end();
      };
      if (left === 0) end();
      for (let index = 0; index < list.length; index++) run(index);
    });
  }

  /** A piece of work threw: keep what must propagate, and tell the host of what it cannot know. */
  function drop(where, index, error, state) {
    if (isFatal(error)) {
      if (state.fatal === undefined) state.fatal = error;
    } else if (reasonOf(error) === undefined) {
      note({ note: "dropped", where, index, error: errorData(error) });
    }
  }

  const start = (thunk) => thunk();

  async function parallel(thunks) {
    return gather("parallel", thunksOf("parallel", thunks), start);
  }

  async function pipeline(items, ...stages) {
    const list = listOf("pipeline", items, "its first argument");
    for (let at = 0; at < stages.length; at++) {
      if (typeof stages[at] !== "function") {
        throw wrong("pipeline", `stage ${at + 1}`, "a function", stages[at], "write `(previous, item, index) => …`");
      }
    }
    return gather("pipeline", list, (item, index, state) => {
      const entry = kit.entryOfItem === undefined ? undefined : kit.entryOfItem(item);
      if (entry === undefined) return throughStages(stages, item, index, state);
      return covered(entry, () => throughStages(stages, item, index, state));
    });
  }

  async function throughStages(stages, item, index, state) {
    let value = item;
    for (const stage of stages) {
      if (state.fatal !== undefined) return null; // the whole call is about to reject
      value = await stage(value, item, index);
    }
    return value;
  }

  /** Runs the work on a covered item and records how it ended. */
  async function covered(entry, work) {
    const record = open(0);
    try {
      const value = await runIn(record.id, work);
      const failure = value === null ? record.failure : undefined;
      kit.decideEntry(entry, failure === undefined ? "done" : "failed", failure && failure.reason);
      return value;
    } catch (error) {
      kit.decideEntry(entry, "failed", reasonOf(error) ?? "program");
      throw error;
    } finally {
      close(record);
    }
  }

  Object.assign(kit, { covered, parallel, pipeline });
})();
