// `settle`, `asCompleted`, `quorum`, `hedge`, `withDeadline`: work whose outcomes the program looks at itself.
//
// Each piece of work runs in a scope of its own, so that it can be cancelled and so that a failure that `agent()`
// turned into `null` is still known. Only the order of completions decides, and that is in the journal: all replays.
(() => {
  "use strict";
  const { Object, Promise } = globalThis;
  const { kit, runIn } = globalThis.__lw;
  const { SLEEP } = kit.kinds;
  const { bits, close, deliver, duration, isFatal, lose, open, optionsOf, reasonOf, send } = kit;
  const { thunksOf, whole, wrong, count } = kit;

  /**
   * Runs one piece of work in its own scope and says what became of it; never rejects. `threw` tells a failure that
   * the work threw from one that became `null` inside it and was returned.
   */
  async function attempt(record, thunk) {
    try {
      const value = await thunk();
      const failure = value === null ? record.failure : undefined;
      return failure === undefined
        ? { status: "done", value, record }
        : { status: statusOf(failure), reason: failure.reason, error: deliver(failure), threw: false, record };
    } catch (error) {
      const reason = reasonOf(error) ?? "program";
      return { status: statusOf({ reason, code: error?.code }), reason, error, threw: true, record };
    } finally {
      close(record);
    }
  }

  /** Work that a person declined was skipped. */
  function statusOf({ reason, code }) {
    if (reason === "program") return "failed";
    if (code === "LW0513") return "skipped";
    return reason === "cancelled" ? "cancelled" : "failed";
  }

  /** An outcome as the program sees it: with the receipt of the last call that ended, and those of all. */
  function publish({ status, value, reason, error, record }) {
    const receipts = record.receipts;
    const receipt = receipts.length === 0 ? null : receipts[receipts.length - 1];
    if (status === "done") return { status, value, receipt, receipts };
    return { status, reason, error, receipt, receipts };
  }

  function openTracked() {
    const record = open(bits.TRACKED | bits.OBSERVED);
    record.receipts = [];
    return record;
  }

  async function settle(thunks) {
    const running = thunksOf("settle", thunks).map((thunk) => {
      const record = openTracked();
      return runIn(record.id, attempt, record, thunk);
    });
    const outcomes = [];
    for (const outcome of running) outcomes.push(publish(await outcome));
    return outcomes;
  }

  /** Work in competition: outcomes come out in the order in which they happen, the rest can be cancelled. */
  class Contest {
    #records = [];
    #ended = [];
    #taken = 0;
    #wake = undefined;

    /** Starts a piece of work and returns its number. */
    start(thunk, record = open(bits.OBSERVED)) {
      const index = this.#records.length;
      this.#records.push(record);
      this.#follow(index, runIn(record.id, attempt, record, thunk));
      return index;
    }

    async #follow(index, running) {
      const outcome = await running;
      this.#records[index] = undefined;
      this.#ended.push({ index, ...outcome });
      if (this.#wake !== undefined) this.#wake();
    }

    /** The next outcome, with the number of the work it belongs to. */
    async next() {
      if (this.#taken === this.#ended.length) {
        await new Promise((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      }
      const outcome = this.#ended[this.#taken];
      this.#ended[this.#taken] = undefined;
      this.#taken += 1;
      return outcome;
    }

    /** Cancels what still runs. */
    end() {
      for (const record of this.#records) if (record !== undefined) lose(record);
      this.#records = [];
    }
  }

  /** The value of a piece of work, or its error thrown: as if the program had awaited it itself. */
  function unwrap(outcome) {
    if (outcome.status === "done") return outcome.value;
    if (outcome.threw) throw outcome.error;
    return null;
  }

  const timer = (ms) => () => send(SLEEP, { ms }, 0);

  function deadlinePassed(where, ms, extra) {
    const error = deliver({
      reason: "timeout",
      code: "LW0510",
      message: `\`${where}\` did not end within ${count(ms)} ms`,
      hint: "give it more time, or a value to use instead",
      retryable: true,
      attempts: 0,
      usage: {},
    });
    return Object.assign(error, extra);
  }

  function thunkOf(where, what, thunk) {
    if (typeof thunk === "function") return thunk;
    throw wrong(where, what, "a function", thunk, "wrap the call: `() => agent(…)`");
  }

  async function withDeadline(ms, thunk, ...otherwise) {
    duration("withDeadline", "its first argument", ms);
    thunkOf("withDeadline", "its second argument", thunk);
    const contest = new Contest();
    const work = contest.start(thunk);
    contest.start(timer(ms));
    const first = await contest.next();
    if (first.index === work) {
      contest.end();
      return unwrap(first);
    }
    if (first.status !== "done") return unwrap(await contest.next()); // no timer: wait for the work
    contest.end();
    if (otherwise.length === 0) throw deadlinePassed("withDeadline", ms);
    return typeof otherwise[0] === "function" ? otherwise[0]() : otherwise[0];
  }

  async function hedge(thunk, options) {
    thunkOf("hedge", "its first argument", thunk);
    const { afterMs } = optionsOf("hedge", options, "write `hedge(thunk, {afterMs: 5000})`");
    duration("hedge", "option `afterMs`", afterMs);
    const contest = new Contest();
    const original = contest.start(thunk);
    contest.start(timer(afterMs));
    const first = await contest.next();
    if (first.index === original) {
      contest.end();
      return unwrap(first);
    }
    if (first.status !== "done") return unwrap(await contest.next());
    contest.start(thunk);
    const faster = await contest.next();
    if (faster.status === "done") {
      contest.end();
      return faster.value;
    }
    const slower = await contest.next();
    return unwrap(slower.status === "done" ? slower : faster);
  }

  async function quorum(needed, thunks, options) {
    const list = thunksOf("quorum", thunks);
    whole("quorum", "its first argument", needed, 1, list.length);
    const { deadlineMs } = optionsOf("quorum", options);
    const contest = new Contest();
    for (const thunk of list) contest.start(thunk);
    let clock = -1;
    if (deadlineMs !== undefined && deadlineMs !== null) {
      clock = contest.start(timer(duration("quorum", "option `deadlineMs`", deadlineMs)));
    }
    return decide(contest, needed, list.length, clock, deadlineMs);
  }

  /** Takes outcomes until enough are values or too many are not. */
  async function decide(contest, needed, entered, clock, deadlineMs) {
    const values = [];
    let failed = 0;
    let blame;
    for (;;) {
      const outcome = await contest.next();
      if (outcome.index === clock) {
        if (outcome.status !== "done") continue;
        contest.end();
        throw deadlinePassed("quorum", deadlineMs, { values });
      }
      if (outcome.status === "done") values.push(outcome.value);
      else {
        failed += 1;
        if (blame === undefined || (isFatal(outcome.error) && !isFatal(blame))) blame = outcome.error;
      }
      if (values.length === needed) {
        contest.end();
        return values;
      }
      if (entered - failed < needed) {
        contest.end();
        throw unreachable(needed, entered, failed, blame, values);
      }
    }
  }

  function unreachable(needed, entered, failed, blame, values) {
    if (isFatal(blame)) return blame;
    const reason = reasonOf(blame) ?? "program";
    const error = deliver({
      reason,
      code: typeof blame?.code === "string" ? blame.code : "LW0208",
      message: `a quorum of ${needed} out of ${entered} cannot be reached: ${failed} failed`,
      retryable: false,
      attempts: 0,
      usage: {},
    });
    return Object.assign(error, { cause: blame, values });
  }

  function asCompleted(thunks) {
    const list = thunksOf("asCompleted", thunks);
    const contest = new Contest();
    for (const thunk of list) contest.start(thunk, openTracked());
    return drain(contest, list.length);
  }

  async function* drain(contest, left) {
    try {
      for (; left > 0; left--) {
        const outcome = await contest.next();
        yield { index: outcome.index, ...publish(outcome) };
      }
    } finally {
      contest.end(); // the program left the loop early
    }
  }

  Object.assign(kit, { asCompleted, hedge, quorum, settle, withDeadline });
})();
