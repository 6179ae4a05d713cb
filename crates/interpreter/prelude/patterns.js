// `loopwright:patterns`: the shapes most orchestration programs are made of, each a few lines over the program API.
//
// Wherever a pattern wants work done it takes a function that does it (any calls, either dialect) or a text, which
// becomes the prompt of an `agent()` call over the item at hand. `options.agent` holds options for those calls.
// Text that comes from items and answers is set between tags, so that a subagent can tell it from its instructions.
// A subagent that fails is left out and counted; a spent budget or a reached limit ends the whole pattern.

const { agent, listOf, optionsOf, parallel, pipeline, scoped, whole, wrong } = globalThis["loopwright:patterns"];
const { Array, JSON, Map, Math, Number, Object, Set, String } = globalThis;

/** Anything as text for a prompt. */
const show = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? String(value));
const tagged = (tag, value) => `<${tag}>\n${show(value)}\n</${tag}>`;

const object = (properties) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
const TEXT = { type: "string" };
const TEXTS = { type: "array", items: TEXT };

const given = (value) => value !== null && value !== undefined;

/** A function for what may be a function or a prompt: `prompt` builds the call from the text. */
function work(where, what, value, prompt) {
  if (typeof value === "function") return value;
  if (typeof value === "string" && value !== "") return (...args) => prompt(value, ...args);
  throw wrong(where, what, "a function or a prompt", value);
}

/** A whole number among a pattern's options. */
function size(where, options, name, standard, least = 1) {
  const value = options[name];
  return given(value) ? whole(where, `option \`${name}\``, value, least, Infinity) : standard;
}

const times = (count, each) => parallel(Array.from({ length: count }, (_, index) => () => each(index)));

/** The options of one agent call: the pattern's own beneath the program's. */
const calling = (options, own) => ({ ...own, ...options.agent });

/**
 * Does the same work on every item at once, then brings the results together.
 * Gives the results in item order (`null` where the work failed), or what `synthesize(results, missing)` gives.
 */
async function fanOutOver(items, each, synthesize, given_) {
  const options = optionsOf("fanOut", given_);
  const one = work("fanOut", "its second argument", each, (text, item) =>
    agent(`${text}\n\n${tagged("item", item)}`, calling(options)));
  const results = await pipeline(items, (item, _, index) => one(item, index));
  if (!given(synthesize)) return results;
  const whole_ = work("fanOut", "its third argument", synthesize, (text, present, missing) =>
    agent(`${text}\n\n${missing === 0 ? "" : `${missing} items gave no result; say so.\n\n`}${tagged("results", present)}`,
      calling(options)));
  const present = results.filter(given);
  return whole_(present, results.length - present.length);
}

/**
 * Lets a subagent choose one of the named classes for `input` and runs that class's action on it.
 * `actions` maps a class to a function, a prompt, or `{when, act}` where `when` describes the class.
 * Gives `{class, result}`; without a usable choice the class is `options.otherwise`, or `null` and nothing runs.
 */
async function classify(input, actions, given_) {
  const options = optionsOf("classifyAndAct", given_);
  const table = new Map(Object.entries(optionsOf("classifyAndAct", actions)));
  const names = [...table.keys()];
  if (names.length === 0) throw wrong("classifyAndAct", "its second argument", "an object with a class or more", actions);
  const lines = names.map((name) => `- ${name}${table.get(name)?.when ? `: ${table.get(name).when}` : ""}`);
  const choose = work("classifyAndAct", "option `classify`", options.classify ?? "Choose the one class that fits.",
    (text) => agent(`${text}\n\nClasses:\n${lines.join("\n")}\n\n${tagged("input", input)}`,
      calling(options, { label: "classify", schema: object({ class: { enum: names } }) })));
  const answer = await choose(input, names);
  const chosen = typeof answer === "string" ? answer : answer?.class;
  const name = table.has(chosen) ? chosen : options.otherwise ?? null;
  if (!table.has(name)) return { class: null, result: null };
  const action = table.get(name);
  const act = work("classifyAndAct", `the action of class \`${name}\``, action?.act ?? action, (text) =>
    agent(`${text}\n\n${tagged("input", input)}`, calling(options, { label: name })));
  return { class: name, result: await act(input, name) };
}

const REFUTE = "Try to refute this claim. Look for evidence against it yourself; when in doubt, it is refuted.";

/**
 * Puts every claim before independent sceptics and keeps it when enough of them cannot refute it.
 * `options`: `voters` (3), `needed` (a majority of the voters), `verify` (a prompt, or `(claim, voter) => holds`).
 * A voter that fails supports nothing. Gives `[{claim, kept, support, against, missing, reasons}]` in order.
 */
async function verifyClaims(claims, given_) {
  const options = optionsOf("adversarialVerify", given_);
  const voters = size("adversarialVerify", options, "voters", 3);
  const needed = size("adversarialVerify", options, "needed", Math.floor(voters / 2) + 1);
  const verify = work("adversarialVerify", "option `verify`", options.verify ?? REFUTE, (text, claim, voter) =>
    agent(`${text}\n\nYou are sceptic ${voter + 1} of ${voters}; nobody sees your answer but the count.\n\n${tagged("claim", claim)}`,
      calling(options, { label: "verify", schema: object({ refuted: { type: "boolean" }, reason: TEXT }) })));
  const judged = await pipeline(claims, (claim) => times(voters, (voter) => verify(claim, voter)), (votes, claim) => {
    const held = votes.map(holds);
    const support = held.filter((vote) => vote === true).length;
    const against = held.filter((vote) => vote === false).length;
    const reasons = votes.map((vote) => vote?.reason).filter((reason) => typeof reason === "string");
    return { claim, kept: support >= needed, support, against, missing: voters - support - against, reasons };
  });
  return judged;
}

/** What a sceptic's answer says of the claim: `undefined` when it says nothing. */
function holds(vote) {
  if (typeof vote === "boolean") return vote;
  if (typeof vote?.refuted === "boolean") return !vote.refuted;
  return undefined;
}

/**
 * Makes `count` candidates at once and keeps the good ones, best first.
 * `options`: `count` (5), `judge` (a rubric, or `(candidate) => score or boolean`), `least` (7 of 10), `top` (all).
 * Equal candidates are judged once. Gives the kept candidates.
 */
async function generate(make, given_) {
  const options = optionsOf("generateAndFilter", given_);
  const count = size("generateAndFilter", options, "count", 5);
  const least = options.least ?? 7;
  const one = work("generateAndFilter", "its first argument", make, (text, index) =>
    agent(`${text}\n\nThis is attempt ${index + 1} of ${count}, made independently: take an approach of its own.`,
      calling(options, { label: `candidate ${index + 1}` })));
  const judge = work("generateAndFilter", "option `judge`", options.judge, (rubric, candidate) =>
    agent(`Score this candidate from 0 (useless) to 10 (perfect).\n\n${rubric}\n\n${tagged("candidate", candidate)}`,
      { ...options.agent, label: "judge", schema: object({ score: { type: "number", minimum: 0, maximum: 10 } }) }));
  const made = (await times(count, one)).filter(given);
  const different = [...new Map(made.map((candidate) => [show(candidate), candidate])).values()];
  const scores = await parallel(different.map((candidate) => () => judge(candidate)));
  const score = (answer) => (answer === true ? Infinity : Number(answer?.score ?? (answer || -Infinity)));
  const kept = different.map((candidate, at) => ({ candidate, score: score(scores[at]) })).filter((one) => one.score >= least);
  kept.sort((left, right) => right.score - left.score);
  return kept.slice(0, size("generateAndFilter", options, "top", kept.length, 0)).map((one) => one.candidate);
}

/**
 * Finds the best of many by comparing two at a time: matches of a round run at once, so 16 entries take 4 rounds.
 * `judge` is what counts as better, or `(a, b) => "a" | "b"`. `options.bestOf` (1) judges vote on each match; every
 * second one sees the two in the other order. Without a majority the earlier entry goes on.
 * Gives `{winner, index, rounds}`, where `rounds` lists the matches as `{a, b, winner}` with positions in `entries`.
 */
async function knockOut(entries, judge, given_) {
  const options = optionsOf("tournament", given_);
  const list = listOf("tournament", entries, "its first argument");
  if (list.length === 0) return { winner: null, index: -1, rounds: [] };
  const bestOf = size("tournament", options, "bestOf", 1);
  const compare = work("tournament", "its second argument", judge, (criterion, a, b) =>
    agent(`Which of the two is better? ${criterion}\n\n${tagged("a", a)}\n\n${tagged("b", b)}`,
      calling(options, { label: "match", schema: object({ winner: { enum: ["a", "b"] } }) })));
  const match = async (a, b) => {
    const votes = await times(bestOf, async (vote) => {
      const swapped = vote % 2 === 1;
      const answer = await (swapped ? compare(list[b], list[a]) : compare(list[a], list[b]));
      const side = answer?.winner ?? answer;
      return side === "a" ? !swapped : side === "b" ? swapped : null;
    });
    const second = votes.filter((forFirst) => forFirst === false).length;
    const first = votes.filter((forFirst) => forFirst === true).length;
    return { a, b, winner: second > first ? b : a };
  };
  const rounds = [];
  let left = list.map((_, index) => index);
  while (left.length > 1) {
    const pairs = Array.from({ length: Math.floor(left.length / 2) }, (_, at) => [left[2 * at], left[2 * at + 1]]);
    const played = await Promise_all(pairs.map(([a, b]) => match(a, b)));
    const bye = left.length % 2 === 1 ? [left[left.length - 1]] : [];
    left = [...played.map((one) => one.winner), ...bye];
    rounds.push(played);
  }
  return { winner: list[left[0]], index: left[0], rounds };
}

const Promise_all = globalThis.Promise.all.bind(globalThis.Promise);

/**
 * Searches in rounds until nothing new turns up.
 * `find` is a prompt, `(round, seen) => findings`, or an array of these that search side by side.
 * `options`: `dryRounds` (2) rounds in a row without anything new end it, `roundsMax` (20) ends it anyway; `key`
 * (finding → text) tells when two are the same; `verify` (a prompt, or `(finding) => holds`) confirms new ones.
 * A finding is new when it was never *seen*: one that did not hold must not come back and keep the loop alive. A
 * round whose searchers all failed says nothing about dryness. Gives `{found, seen, rounds, dry}`.
 */
async function untilDry(find, given_) {
  const options = optionsOf("loopUntilDry", given_);
  const dryRounds = size("loopUntilDry", options, "dryRounds", 2);
  const roundsMax = size("loopUntilDry", options, "roundsMax", 20);
  const key = options.key ?? show;
  if (typeof key !== "function") throw wrong("loopUntilDry", "option `key`", "a function", key);
  const searchers = (Array.isArray(find) ? find : [find]).map((one) =>
    work("loopUntilDry", "its first argument", one, (text, round, known) =>
      agent(`${text}\n\nReport only what is not in this list:\n${tagged("known", known)}`,
        calling(options, { label: `round ${round}`, schema: object({ findings: TEXTS }) }))));
  const verify = given(options.verify)
    ? work("loopUntilDry", "option `verify`", options.verify, (text, finding) =>
        agent(`${text}\n\n${tagged("finding", finding)}`,
          calling(options, { label: "verify", schema: object({ refuted: { type: "boolean" }, reason: TEXT }) })))
    : () => true;
  const seen = new Map();
  const found = [];
  let rounds = 0;
  let dry = 0;
  while (dry < dryRounds && rounds < roundsMax) {
    rounds += 1;
    const reports = await parallel(searchers.map((search) => () => search(rounds, [...seen.values()])));
    const answered = reports.map((report) => report?.findings ?? report).filter(Array.isArray);
    const fresh = unseen(answered.flat(), key, seen);
    if (fresh.length > 0) dry = 0;
    else if (answered.length > 0) dry += 1;
    const verdicts = await parallel(fresh.map((finding) => () => verify(finding)));
    found.push(...fresh.filter((_, at) => holds(verdicts[at]) === true));
  }
  return { found, seen: seen.size, rounds, dry: dry >= dryRounds };
}

/** The findings never seen before, which are seen from now on. */
function unseen(findings, key, seen) {
  const fresh = [];
  for (const finding of findings) {
    const name = String(key(finding));
    if (seen.has(name)) continue;
    seen.set(name, finding);
    fresh.push(finding);
  }
  return fresh;
}

export const fanOut = scoped("fanOut", fanOutOver);
export const classifyAndAct = scoped("classifyAndAct", classify);
export const adversarialVerify = scoped("adversarialVerify", verifyClaims);
export const generateAndFilter = scoped("generateAndFilter", generate);
export const tournament = scoped("tournament", knockOut);
export const loopUntilDry = scoped("loopUntilDry", untilDry);
