// `parallel` and `pipeline`: many pieces of work at once, results in order, a failed piece becomes `null`.
(() => {
  "use strict";
  const { Array, Promise } = globalThis;
  const { kit, note, runIn } = globalThis.__lw;
  const { close, errorData, isFatal, listOf, open, reasonOf, thunksOf, wrong } = kit;

  /**
   * Pieces of work under way and their results. A failure becomes `null`, except that a spent budget or a reached
   * limit rejects the whole once everything that was running has ended.
   */
  class Gathering {
    fatal = undefined;

    constructor(where, count) {
      this.where = where;
      this.left = count;
      this.results = new Array(count).fill(null);
    }

    /** Starts `run(index)` for every piece; each ends in `ended()` and never rejects. */
    all(run) {
      return new Promise((resolve, reject) => {
        this.resolve = resolve;
        this.reject = reject;
        if (this.left === 0) resolve(this.results);
        for (let index = 0; index < this.results.length; index++) run(index);
      });
    }

    /**
     * A piece threw: keeps what must propagate and tells the host what became `null`. The host cannot know, even of a
     * failure that it delivered: the program may have caught it. What was cancelled on purpose goes without saying.
     */
    threw(index, error) {
      if (isFatal(error)) {
        if (this.fatal === undefined) this.fatal = error;
      } else if (reasonOf(error) !== "cancelled") {
        note({ note: "dropped", where: this.where, index, error: errorData(error) });
      }
    }

    ended() {
      this.left -= 1;
      if (this.left > 0) return;
      if (this.fatal === undefined) this.resolve(this.results);
      else this.reject(this.fatal);
    }
  }

  async function parallel(thunks) {
    const list = thunksOf("parallel", thunks);
    const work = new Gathering("parallel", list.length);
    return work.all(async (index) => {
      try {
        const thunk = list[index];
        work.results[index] = await thunk();
      } catch (error) {
        work.threw(index, error);
      }
      work.ended();
    });
  }

  async function pipeline(items, ...stages) {
    const list = listOf("pipeline", items, "its first argument");
    for (let at = 0; at < stages.length; at++) {
      if (typeof stages[at] !== "function") {
        throw wrong("pipeline", `stage ${at + 1}`, "a function", stages[at], "write `(previous, item, index) => …`");
      }
    }
    const work = new Gathering("pipeline", list.length);
    const run = async (index, covered) => {
      try {
        const item = list[index];
        let value = item;
        for (let at = 0; at < stages.length; at++) {
          if (work.fatal !== undefined) throw work.fatal; // the whole is about to reject
          const stage = stages[at];
          value = await stage(value, item, index);
        }
        work.results[index] = value;
        if (covered !== undefined) settleItem(covered, value);
      } catch (error) {
        work.threw(index, error);
        if (covered !== undefined) dropItem(covered, reasonOf(error) ?? "program");
      }
      work.ended();
    };
    return work.all((index) => {
      const entry = kit.entryOfItem === undefined ? undefined : kit.entryOfItem(list[index]);
      if (entry === undefined) return run(index);
      const covered = { entry, record: open(0) };
      return runIn(covered.record.id, run, index, covered);
    });
  }

  /** The work on a covered item ended with a value: `null` because of a failure is none. */
  function settleItem({ entry, record }, value) {
    const failure = value === null ? record.failure : undefined;
    if (failure === undefined) kit.decideEntry(entry, "done");
    else kit.decideEntry(entry, "failed", failure.reason);
    close(record);
  }

  function dropItem({ entry, record }, reason) {
    kit.decideEntry(entry, "failed", reason);
    close(record);
  }

  Object.assign(kit, { parallel, pipeline });
})();
