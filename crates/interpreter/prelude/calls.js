// `agent`, `task`, `workflow`, `sleep`, `approve`: the calls a program makes, checked and brought into one form.
//
// A call returns the native promise itself: no wrapper, so 100,000 of them can be pending in a small heap.
(() => {
  "use strict";
  const { Array, Number, Object, Promise, Set, String } = globalThis;
  const lw = globalThis.__lw;
  const kit = lw.kit;
  const { call, log, runIn } = lw;
  const { attribute, bits, closest, current, duration, isObject, open, quote, wrong } = kit;

  const { AGENT, APPROVE, SLEEP, TASK, WORKFLOW } = kit.kinds;

  /** Turns a thrown error into a rejected promise: a function that returns a promise never throws. */
  const rejected = Promise.reject.bind(Promise);

  // Options. `accept` returns the value to send, or `undefined` when the type is wrong.

  const isText = (value) => typeof value === "string" && value !== "";
  const text = (value) => (isText(value) ? value : undefined);
  const name = (value) => (isText(value) ? value : Number.isFinite(value) ? String(value) : undefined);
  const record = (value) => (typeof value === "object" && !Array.isArray(value) ? value : undefined);
  const wholeFrom = (least) => (value) => (Number.isSafeInteger(value) && value >= least ? value : undefined);
  const amount = (value) => (typeof value === "number" && value >= 0 && value < Infinity ? value : undefined);

  const EFFECTS = ["none", "local", "external"];
  const effects = (value) => (EFFECTS.includes(value) ? value : undefined);

  function toolNames(value) {
    if (!Array.isArray(value) || value.length > 1000) return undefined;
    const names = [];
    for (let at = 0; at < value.length; at++) names.push(value[at]);
    return names.every(isText) ? names : undefined;
  }

  const CEILINGS = ["outputTokens", "tokens", "usd"];
  function ceilings(value) {
    if (typeof value === "number") return amount(value);
    if (record(value) === undefined) return undefined;
    const budget = {};
    for (const member in value) {
      if (!CEILINGS.includes(member) || amount(value[member]) === undefined) return undefined;
      budget[member] = value[member];
    }
    return budget;
  }

  /** Names of the subagents of this run: a fallback that is one of them names it, any other text is the value. */
  kit.subagents = new Set();

  const SUBAGENT_OPTIONS = ["subagentType", "agentType", "subagent_type"];
  function fallback(value) {
    if (typeof value === "string" && kit.subagents.has(value)) return { subagent: value };
    if (isObject(value) && !Array.isArray(value)) {
      const members = Object.keys(value);
      if (members.length === 1 && members[0] === "value") value = value.value;
      else if (members.length === 1 && SUBAGENT_OPTIONS.includes(members[0])) {
        const subagent = value[members[0]];
        return isText(subagent) ? { subagent } : undefined;
      }
    }
    return { value: value === undefined ? null : value };
  }

  const schema = { field: "schema", expected: "a JSON Schema object", accept: record };
  const subagent = { field: "subagent", expected: "the name of a subagent", accept: text };
  const label = (field) => ({ field, expected: "a text", accept: name });
  const OPTIONS = {
    __proto__: null,
    schema,
    responseSchema: schema,
    response_schema: schema,
    agentType: subagent,
    subagentType: subagent,
    subagent_type: subagent,
    label: label("label"),
    phase: label("phase"),
    key: label("key"),
    model: { field: "model", expected: "the name of a model", accept: text },
    effort: { field: "effort", expected: "a word such as `low` or `high`", accept: text },
    isolation: { field: "isolation", expected: "`worktree`", accept: text },
    retries: { field: "retries", expected: "a whole number of 0 or more", accept: wholeFrom(0) },
    timeoutMs: {
      field: "timeoutMs",
      expected: "a number of milliseconds above 0",
      accept: (v) => amount(v) || undefined,
    },
    fallback: { field: "fallback", expected: "a value, or `{subagentType: name}`", accept: fallback, nullable: true },
    maxTurns: { field: "maxTurns", expected: "a whole number of 1 or more", accept: wholeFrom(1) },
    tools: { field: "tools", expected: "an array of tool names", accept: toolNames },
    budget: {
      field: "budget",
      expected: "a number of output tokens, or `{outputTokens?, tokens?, usd?}`",
      accept: ceilings,
    },
    effects: { field: "effects", expected: "`none`, `local` or `external`", accept: effects },
  };
  const OPTION_NAMES = Object.keys(OPTIONS).filter((option) => !option.includes("_"));

  /** Unknown options already warned about; a program written for another system still runs. */
  const warned = new Set();
  function unknownOption(where, option) {
    if (warned.has(option) || warned.size >= 100) return;
    warned.add(option);
    const meant = closest(option, OPTION_NAMES);
    const hint = meant === undefined ? "" : `: did you mean ${quote(meant)}?`;
    log("warn", `\`${where}\` ignores its unknown option ${quote(option)}${hint}`);
  }

  /** Adds the options of one call to its request. */
  function readOptions(where, options, request) {
    for (const key in options) {
      const option = OPTIONS[key];
      if (option === undefined) {
        if (where !== "task" || (key !== "description" && key !== "prompt")) unknownOption(where, key);
        continue;
      }
      const value = options[key];
      if (value === undefined || (value === null && option.nullable !== true)) continue;
      const accepted = option.accept(value);
      if (accepted === undefined) throw wrong(where, `option \`${key}\``, option.expected, value);
      request[option.field] = accepted;
    }
    return request;
  }

  // Sending.

  /** The covered item that a call works on, if any; `coverage.js` sets it when items are registered. */
  kit.entryOf = undefined;

  /** Sends a request from a scope that somebody watches, or for an item that is covered. */
  function sendWatched(kind, request, flags) {
    const around = current();
    if (around !== undefined) flags |= around.bits;
    const entry = kit.entryOf === undefined ? undefined : kit.entryOf(request);
    if (entry === undefined) return call(kind, request, flags);
    const own = open(0); // closed when the call ends
    own.entry = entry;
    try {
      return runIn(own.id, call, kind, request, flags | bits.TRACKED);
    } catch (error) {
      kit.close(own);
      throw error;
    }
  }

  function send(kind, request, flags) {
    if (kit.openScopes === 0 && kit.entryOf === undefined) return call(kind, request, flags);
    return sendWatched(kind, request, flags);
  }

  function agent(prompt, options) {
    try {
      if (!isText(prompt)) throw wrong("agent", "its prompt", "a text", prompt, promptHint(prompt));
      const request = { prompt };
      if (options !== undefined && options !== null) {
        if (record(options) === undefined) {
          throw wrong("agent", "its options", "an object", options, "write `agent(prompt, {agentType: …})`");
        }
        readOptions("agent", options, request);
      }
      return send(AGENT, request, bits.NULL_ON_FAILURE);
    } catch (error) {
      return rejected(error);
    }
  }

  function promptHint(prompt) {
    if (prompt instanceof Promise) return "await it first";
    return isObject(prompt)
      ? 'write `agent("what to do", {…})`, or put the data into the text with `JSON.stringify`'
      : undefined;
  }

  function task(spec) {
    try {
      if (!isObject(spec) || Array.isArray(spec)) {
        throw wrong("task", "its argument", "an object", spec, 'write `task({description: "what to do"})`');
      }
      const { description, prompt } = spec;
      const request = { prompt: prompt === undefined ? description : prompt };
      if (!isText(request.prompt)) throw wrong("task", "`description`", "a text", request.prompt);
      // Given both, the description is the short title, as in tools that name their argument `prompt`.
      if (prompt !== undefined && isText(description)) request.label = description;
      return send(TASK, readOptions("task", spec, request), 0);
    } catch (error) {
      return rejected(error);
    }
  }

  function workflow(nameOrRef, args) {
    try {
      let name = nameOrRef;
      if (isObject(name)) name = name.name ?? name.scriptPath ?? name.path;
      if (!isText(name)) throw wrong("workflow", "its first argument", "the name of a saved program", name);
      return send(WORKFLOW, args === undefined ? { name } : { name, args }, 0);
    } catch (error) {
      return rejected(error);
    }
  }

  function sleep(ms) {
    try {
      return send(SLEEP, { ms: duration("sleep", "its argument", ms) }, 0);
    } catch (error) {
      return rejected(error);
    }
  }

  const APPROVE_OPTIONS = ["choices", "data", "deadlineMs"];
  function approve(question, options) {
    try {
      if (!isText(question)) throw wrong("approve", "its question", "a text", question);
      const request = { question };
      const given = kit.optionsOf("approve", options);
      const { choices, data, deadlineMs } = given;
      if (choices !== undefined && choices !== null) {
        request.choices = toolNames(choices);
        if (request.choices === undefined || request.choices.length === 0) {
          throw wrong("approve", "option `choices`", "an array of texts", choices);
        }
      }
      if (data !== undefined) request.data = data;
      if (deadlineMs !== undefined && deadlineMs !== null) {
        request.deadlineMs = duration("approve", "option `deadlineMs`", deadlineMs);
      }
      for (const option in given) if (!APPROVE_OPTIONS.includes(option)) unknownOption("approve", option);
      return send(APPROVE, request, 0);
    } catch (error) {
      return rejected(error);
    }
  }

  // What the program is told when a call ends; C calls these two.

  /** Failures in the order in which they were delivered; losers of a race are not among them. */
  const failed = [];
  const NULL = Object.freeze([false, null]);
  const BECOMES_NULL = ["provider", "timeout", "cancelled"];

  kit.onFailure = function (flags, scope, failure) {
    let nothing = (flags & bits.NULL_ON_FAILURE) !== 0 && BECOMES_NULL.includes(failure.reason);
    let lost = false;
    if (kit.openScopes !== 0) {
      lost = kit.isLost(scope);
      // In work that lost its race `null` would let a loop spin for ever; the rejection ends it.
      if (lost) nothing = false;
      const record = attribute(scope, failure.receipt, nothing ? failure : undefined);
      if (record !== undefined && record.entry !== undefined) {
        if (!lost) kit.decideEntry(record.entry, "failed", failure.reason);
        kit.close(record);
      }
    }
    if (!lost) failed.push(failure);
    return nothing ? NULL : [true, kit.deliver(failure)];
  };

  kit.onSuccess = function (scope, receipt) {
    const record = attribute(scope, receipt, undefined);
    if (record !== undefined && record.entry !== undefined) {
      kit.decideEntry(record.entry, "done");
      kit.close(record);
    }
  };

  const FAILURE_FIELDS = ["call", "reason", "code", "message", "hint", "subagent", "attempts", "retryable", "usage"];
  function failures() {
    return failed.map((failure) => {
      const copy = {};
      for (const field of FAILURE_FIELDS) if (failure[field] !== undefined) copy[field] = failure[field];
      return copy;
    });
  }

  Object.assign(kit, { agent, approve, failures, rejected, send, sleep, task, unknownOption, workflow });
})();
