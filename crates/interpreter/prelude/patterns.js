// `loopwright:patterns`: the shapes most orchestration programs are made of, each a few lines over the program API.
//
// Wherever a pattern wants work done it takes a function that does it (any calls, either dialect) or a text, which
// becomes the prompt of an `agent()` call over what is at hand. `options.agent` holds options for those calls.
// Items and answers are set between tags, so that a subagent can tell them from its instructions. A subagent that
// fails is left out and counted as missing; a spent budget or a reached limit ends the whole pattern.

const { agent, listOf, optionsOf, parallel, pipeline, scoped, whole, wrong } = globalThis["loopwright:patterns"];
const { Array, JSON, Map, Math, Number, Object, String } = globalThis;

// Shared by all.

const given = (value) => value !== null && value !== undefined;

/** Anything as text for a prompt. */
const show = (value) => (typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? String(value)));

/** Anything between tags that it cannot close itself. */
const tagged = (tag, value) => `<${tag}>\n${show(value).replaceAll(`</${tag}`, `<\\/${tag}`)}\n</${tag}>`;

const TEXT = { type: "string" };
const BOOLEAN = { type: "boolean" };
const SCORE = { type: "number", minimum: 0, maximum: 10 };
const listSchema = (items) => ({ type: "array", items });
const objectSchema = (properties) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});

/** What a pattern knows while it runs: its name for errors, the program's options. */
class Pattern {
  constructor(name, options) {
    this.name = name;
    this.options = optionsOf(name, options);
  }

  /** A whole number among the options. */
  size(option, standard, least = 1) {
    const value = this.options[option];
    return given(value) ? whole(this.name, `option \`${option}\``, value, least, Infinity) : standard;
  }

  /** Work as a function: a text becomes an agent call, whose prompt and options `build(text, ...args)` gives. */
  work(what, value, build) {
    if (typeof value === "function") return value;
    if (typeof value !== "string" || value === "") throw wrong(this.name, what, "a function or a prompt", value);
    return (...args) => {
      const { prompt, ...own } = build(value, ...args);
      return agent(`${value}\n\n${prompt}`, { ...own, ...this.options.agent });
    };
  }
}

const times = (count, each) => parallel(Array.from({ length: count }, (_, index) => () => each(index)));

/** What a sceptic's answer says of what it judged; `undefined` when it says nothing. */
function holds(vote) {
  if (typeof vote === "boolean") return vote;
  return typeof vote?.refuted === "boolean" ? !vote.refuted : undefined;
}

const REFUTE = "Try to refute this. Look for evidence against it yourself; when in doubt, it is refuted.";
const VERDICT = objectSchema({ refuted: BOOLEAN, reason: TEXT });

// The patterns.

/**
 * Does the same work on every item at once, then brings the results together.
 * Gives the results in item order (`null` where the work failed), or what `synthesize(results, missing)` gives.
 */
async function fanOutOver(items, each, synthesize, options) {
  const pattern = new Pattern("fanOut", options);
  const list = listOf("fanOut", items, "its first argument");
  const one = pattern.work("its second argument", each, (_, item) => ({ prompt: tagged("item", item) }));
  const results = await pipeline(list, (item, _, index) => one(item, index));
  if (!given(synthesize)) return results;
  const join = pattern.work("its third argument", synthesize, (_, present, missing) => ({
    prompt: `${missing === 0 ? "" : `Items without a result: ${missing}; say so.\n\n`}${tagged("results", present)}`,
    label: "synthesize",
  }));
  const present = results.filter(given);
  return join(present, results.length - present.length);
}

/**
 * Lets a subagent choose one of the named classes for `input` and runs that class's action on it.
 * `actions` maps a class to a function, a prompt, or `{when, act}` where `when` describes the class.
 * `options`: `classify` (a prompt, or `(input, classes) => class`), `otherwise` (the class when none was chosen).
 * Gives `{class, result}`; both are `null` when there is no usable choice.
 */
async function classify(input, actions, options) {
  const pattern = new Pattern("classifyAndAct", options);
  const table = new Map(Object.entries(optionsOf("classifyAndAct", actions)));
  const names = [...table.keys()];
  if (names.length === 0)
    throw wrong("classifyAndAct", "its second argument", "an object with a class or more", actions);
  const lines = names.map((name) => (table.get(name)?.when ? `- ${name}: ${table.get(name).when}` : `- ${name}`));
  const question = pattern.options.classify ?? "Choose the one class that fits.";
  const choose = pattern.work("option `classify`", question, () => ({
    prompt: `Classes:\n${lines.join("\n")}\n\n${tagged("input", input)}`,
    label: "classify",
    schema: objectSchema({ class: { enum: names } }),
  }));
  const answer = await choose(input, names);
  const chosen = typeof answer === "string" ? answer : answer?.class;
  const name = table.has(chosen) ? chosen : pattern.options.otherwise;
  if (!table.has(name)) return { class: null, result: null };
  const action = table.get(name);
  const act = pattern.work(`the action of class \`${name}\``, action?.act ?? action, () => ({
    prompt: tagged("input", input),
    label: name,
  }));
  return { class: name, result: await act(input, name) };
}

/**
 * Puts every claim before independent sceptics and keeps it when enough of them cannot refute it.
 * `options`: `voters` (3), `needed` (a majority of the voters), `verify` (a prompt, or `(claim, voter) => holds`).
 * A voter that fails supports nothing. Gives `[{claim, kept, support, against, missing, reasons}]` in order.
 */
async function verifyClaims(claims, options) {
  const pattern = new Pattern("adversarialVerify", options);
  const list = listOf("adversarialVerify", claims, "its first argument");
  const voters = pattern.size("voters", 3);
  const needed = pattern.size("needed", Math.floor(voters / 2) + 1);
  const verify = pattern.work("option `verify`", pattern.options.verify ?? REFUTE, (_, claim, voter) => ({
    prompt: `You are sceptic ${voter + 1} of ${voters}; the others do not see your answer.\n\n${tagged("claim", claim)}`,
    label: "verify",
    schema: VERDICT,
  }));
  const vote = (claim) => times(voters, (voter) => verify(claim, voter));
  const judged = await pipeline(list, vote, (votes, claim) => {
    const support = votes.filter((one) => holds(one) === true).length;
    const against = votes.filter((one) => holds(one) === false).length;
    const reasons = votes.map((one) => one?.reason).filter((reason) => typeof reason === "string");
    return { claim, kept: support >= needed, support, against, missing: voters - support - against, reasons };
  });
  return judged;
}

/** A judge's answer as a number: `true` passes, `false` and nothing do not. */
function scoreOf(answer) {
  if (typeof answer === "boolean" || !given(answer)) return answer ? Infinity : -Infinity;
  const score = Number(typeof answer === "object" ? answer.score : answer);
  return Number.isNaN(score) ? -Infinity : score;
}

/**
 * Makes `count` candidates at once and keeps the good ones, best first.
 * `make` is a prompt or `(index) => candidate`.
 * `options`: `judge` (a rubric, or `(candidate) => score or boolean`), `count` (5), `least` (7 of 10), `top` (all).
 * Equal candidates are judged once; a candidate without a score is not kept.
 */
async function generate(make, options) {
  const pattern = new Pattern("generateAndFilter", options);
  const count = pattern.size("count", 5);
  const { least = 7 } = pattern.options;
  if (typeof least !== "number") throw wrong("generateAndFilter", "option `least`", "a number", least);
  const one = pattern.work("its first argument", make, (_, index) => ({
    prompt: `This is attempt ${index + 1} of ${count}, made independently: take an approach of its own.`,
    label: `candidate ${index + 1}`,
  }));
  const judge = pattern.work("option `judge`", pattern.options.judge, (_, candidate) => ({
    prompt: `Score this from 0 (useless) to 10 (perfect) by what was said above.\n\n${tagged("candidate", candidate)}`,
    label: "judge",
    schema: objectSchema({ score: SCORE }),
  }));
  const made = (await times(count, one)).filter(given);
  const different = [...new Map(made.map((candidate) => [show(candidate), candidate])).values()];
  const answers = await parallel(different.map((candidate) => () => judge(candidate)));
  const scored = different.map((candidate, at) => ({ candidate, score: scoreOf(answers[at]) }));
  const kept = scored.filter(({ score }) => score >= least);
  kept.sort((left, right) => (right.score > left.score) - (right.score < left.score));
  return kept.slice(0, pattern.size("top", kept.length)).map(({ candidate }) => candidate);
}

/**
 * Finds the best of many by comparing two at a time: the matches of a round run at once, so 16 entries take 4 rounds.
 * `judge` says what counts as better, or is `(a, b) => "a" | "b"`. `options.bestOf` (1) judges vote on each match;
 * every second one sees the two in the other order. Without a majority the earlier entry goes on.
 * Gives `{winner, index, rounds}`, where `rounds` lists the matches as `{a, b, winner}` by position in `entries`.
 */
async function knockOut(entries, judge, options) {
  const pattern = new Pattern("tournament", options);
  const list = listOf("tournament", entries, "its first argument");
  const bestOf = pattern.size("bestOf", 1);
  const compare = pattern.work("its second argument", judge, (_, a, b) => ({
    prompt: `Which of the two is better?\n\n${tagged("a", a)}\n\n${tagged("b", b)}`,
    label: "match",
    schema: objectSchema({ winner: { enum: ["a", "b"] } }),
  }));
  const play = async ([a, b]) => {
    const votes = await times(bestOf, async (judgeNumber) => {
      const swapped = judgeNumber % 2 === 1;
      const answer = await (swapped ? compare(list[b], list[a]) : compare(list[a], list[b]));
      const side = answer?.winner ?? answer;
      return side === "a" ? !swapped : side === "b" ? swapped : null;
    });
    const first = votes.filter((vote) => vote === true).length;
    const second = votes.filter((vote) => vote === false).length;
    return { a, b, winner: second > first ? b : a };
  };
  const rounds = [];
  let left = list.map((_, index) => index);
  while (left.length > 1) {
    const pairs = Array.from({ length: Math.floor(left.length / 2) }, (_, at) => left.slice(2 * at, 2 * at + 2));
    const matches = await parallel(pairs.map((pair) => () => play(pair)));
    left = [...matches.map((match) => match.winner), ...left.slice(2 * pairs.length)];
    rounds.push(matches);
  }
  return { winner: list[left[0]] ?? null, index: left[0] ?? -1, rounds };
}

/** The findings never seen before, which are seen from now on. */
function unseen(findings, key, seen) {
  return findings.filter((finding) => {
    const name = String(key(finding));
    return !seen.has(name) && seen.set(name, finding);
  });
}

/**
 * Searches in rounds until nothing new turns up.
 * `find` is a prompt, `(round, seen) => findings`, or an array of these that search side by side.
 * `options`: `dryRounds` (2) rounds in a row without anything new end it, `roundsMax` (20) ends it anyway; `key`
 * (finding → text) tells when two are the same; `verify` (a prompt, or `(finding) => holds`) confirms new ones.
 * A finding is new when it was never *seen*: one that did not hold must not come back and keep the loop alive. A
 * round whose searchers all failed says nothing about dryness. Gives `{found, seen, rounds, dry}`.
 */
async function untilDry(find, options) {
  const pattern = new Pattern("loopUntilDry", options);
  const dryRounds = pattern.size("dryRounds", 2);
  const roundsMax = pattern.size("roundsMax", 20);
  const { key = show } = pattern.options;
  if (typeof key !== "function") throw wrong("loopUntilDry", "option `key`", "a function", key);
  const searchers = (Array.isArray(find) ? find : [find]).map((one) =>
    pattern.work("its first argument", one, (_, round, known) => ({
      prompt: `Report only what is not in this list:\n${tagged("known", known)}`,
      label: `round ${round}`,
      schema: objectSchema({ findings: listSchema(TEXT) }),
    })),
  );
  const verify = pattern.work("option `verify`", pattern.options.verify ?? (() => true), (_, finding) => ({
    prompt: tagged("finding", finding),
    label: "verify",
    schema: VERDICT,
  }));
  const seen = new Map();
  const found = [];
  let rounds = 0;
  let dry = 0;
  while (dry < dryRounds && rounds < roundsMax) {
    rounds += 1;
    const known = [...seen.values()];
    const reports = await parallel(searchers.map((search) => () => search(rounds, known)));
    const answered = reports.map((report) => report?.findings ?? report).filter((report) => Array.isArray(report));
    const fresh = unseen(answered.flat(), key, seen);
    if (answered.length > 0) dry = fresh.length === 0 ? dry + 1 : 0;
    const verdicts = await parallel(fresh.map((finding) => () => verify(finding)));
    found.push(...fresh.filter((_, at) => holds(verdicts[at]) === true));
  }
  return { found, seen: seen.size, rounds, dry: dry >= dryRounds };
}

/**
 * Scores one candidate from several points of view at once. `lenses` are prompts or `(candidate) => score`.
 * Gives `{scores, mean, missing}`: a score of `null` is missing and does not count in the mean.
 */
async function panel(candidate, lenses, options) {
  const pattern = new Pattern("judgePanel", options);
  const judges = listOf("judgePanel", lenses, "its second argument").map((lens, at) =>
    pattern.work(`lens ${at}`, lens, () => ({
      prompt: `Score this from 0 (useless) to 10 (perfect) from that point of view only.\n\n${tagged("candidate", candidate)}`,
      label: `judge ${at + 1}`,
      schema: objectSchema({ score: SCORE, reason: TEXT }),
    })),
  );
  const answers = await parallel(judges.map((judge) => () => judge(candidate)));
  const scores = answers.map(scoreOf).map((score) => (Number.isFinite(score) ? score : null));
  const present = scores.filter(given);
  const mean = present.length === 0 ? null : present.reduce((sum, score) => sum + score, 0) / present.length;
  return { scores, mean, missing: scores.length - present.length };
}

/**
 * Asks independent voters to choose. `options`: `voters` (3), `vote` (a prompt, or `(choices, voter) => choice`).
 * Gives `{winner, votes, missing}`; `winner` is `null` when nobody voted or the most votes are shared.
 */
async function council(question, choices, options) {
  const pattern = new Pattern("councilVote", options);
  const names = listOf("councilVote", choices, "its second argument").map(show);
  const voters = pattern.size("voters", 3);
  const vote = pattern.work("option `vote`", pattern.options.vote ?? show(question), () => ({
    prompt: `Choose one of:\n${names.map((name) => `- ${name}`).join("\n")}`,
    label: "vote",
    schema: objectSchema({ choice: { enum: names } }),
  }));
  const answers = await times(voters, (voter) => vote(names, voter));
  const counts = new Map(names.map((name) => [name, 0]));
  for (const answer of answers) {
    const choice = answer?.choice ?? answer;
    if (counts.has(choice)) counts.set(choice, counts.get(choice) + 1);
  }
  const most = Math.max(0, ...counts.values());
  const first = names.filter((name) => counts.get(name) === most);
  const cast = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return {
    winner: most > 0 && first.length === 1 ? first[0] : null,
    votes: Object.fromEntries(counts),
    missing: voters - cast,
  };
}

/**
 * Drafts, has the draft criticised, and revises it until the critic approves or the rounds are used up.
 * `options`: `critic` (criteria, or `(draft) => {approved, feedback}`), `rounds` (2).
 * Gives `{draft, approved, rounds}`; the draft is `null` when the first attempt failed.
 */
async function draftAndReflect(prompt, options) {
  const pattern = new Pattern("reflect", options);
  const rounds = pattern.size("rounds", 2);
  const write = pattern.work("its first argument", prompt, (_, draft, feedback) => ({
    prompt: given(draft)
      ? `Revise your draft.\n\n${tagged("draft", draft)}\n\n${tagged("feedback", feedback)}`
      : "Write a draft.",
    label: "write",
  }));
  const critic = pattern.work(
    "option `critic`",
    pattern.options.critic ?? "Find what is wrong or missing.",
    (_, draft) => ({
      prompt: `Approve this, or say what to change.\n\n${tagged("draft", draft)}`,
      label: "critic",
      schema: objectSchema({ approved: BOOLEAN, feedback: TEXT }),
    }),
  );
  let draft = await write(null, null);
  for (let round = 1; given(draft) && round <= rounds; round++) {
    const verdict = await critic(draft);
    if (verdict?.approved === true) return { draft, approved: true, rounds: round };
    if (given(verdict)) draft = (await write(draft, verdict.feedback)) ?? draft;
  }
  return { draft: draft ?? null, approved: false, rounds };
}

/**
 * Lets members speak in turn, each seeing what was said. `members` maps a name to a prompt or `(said) => text`.
 * `options.rounds` (2). Gives `[{name, text}]`; a member that fails is silent in that turn.
 */
async function chat(topic, members, options) {
  const pattern = new Pattern("groupChat", options);
  const speakers = Object.entries(optionsOf("groupChat", members)).map(([name, member]) => {
    const speak = pattern.work(`member \`${name}\``, member, (_, said) => ({
      prompt: `You are ${name}. Add one contribution.\n\n${tagged("topic", topic)}\n\n${tagged("said", said)}`,
      label: name,
    }));
    return { name, speak };
  });
  const said = [];
  for (let round = pattern.size("rounds", 2); round > 0; round--) {
    for (const { name, speak } of speakers) {
      const text = await speak([...said]);
      if (given(text)) said.push({ name, text });
    }
  }
  return said;
}

/**
 * Maps every item, then reduces `width` (8) results at a time in a tree, the groups of a level at once.
 * `map` is a prompt or `(item, index) => result`, `reduce` a prompt or `(results) => result`.
 * Gives `{value, missing}`: how many items are not in the value, because their map or a reduce above them failed.
 */
async function mapAndReduce(items, map, reduce, options) {
  const pattern = new Pattern("mapReduce", options);
  const list = listOf("mapReduce", items, "its first argument");
  const width = pattern.size("width", 8, 2);
  const mapped = pattern.work("its second argument", map, (_, item) => ({
    prompt: tagged("item", item),
    label: "map",
  }));
  const join = pattern.work("its third argument", reduce, (_, results) => ({
    prompt: tagged("results", results),
    label: "reduce",
  }));
  const results = await pipeline(list, (item, _, index) => mapped(item, index));
  let level = results.filter(given).map((value) => ({ value, count: 1 }));
  while (level.length > 1) {
    const groups = Array.from({ length: Math.ceil(level.length / width) }, (_, at) =>
      level.slice(at * width, (at + 1) * width),
    );
    const joined = await parallel(
      groups.map((group) => () => (group.length === 1 ? group[0].value : join(group.map((one) => one.value)))),
    );
    const counts = groups.map((group) => group.reduce((sum, one) => sum + one.count, 0));
    level = joined.map((value, at) => ({ value, count: counts[at] })).filter((one) => given(one.value));
  }
  const [top] = level;
  return { value: top?.value ?? null, missing: results.length - (top?.count ?? 0) };
}

/**
 * Answers a question from several sides: plans sub-questions, researches them at once, puts every claim before
 * sceptics and writes the answer from the claims that stand. `options`: `questions` (4), `voters` (3), and `plan`,
 * `research`, `answer` (prompts). Gives `{answer, claims, missing}`: all claims with their votes, failed researchers.
 */
async function research(question, options) {
  const pattern = new Pattern("deepResearch", options);
  const { plan, research: look, answer, agent: calls } = pattern.options;
  const count = pattern.size("questions", 4);
  const split = pattern.work(
    "option `plan`",
    plan ?? `Split this into ${count} questions that can be researched apart.`,
    () => ({
      prompt: tagged("question", question),
      label: "plan",
      schema: objectSchema({ questions: listSchema(TEXT) }),
    }),
  );
  const search = pattern.work(
    "option `research`",
    look ?? "Research this. State what you found as single claims.",
    (_, one) => ({
      prompt: tagged("question", one),
      label: "research",
      schema: objectSchema({ claims: listSchema(TEXT) }),
    }),
  );
  const write = pattern.work("option `answer`", answer ?? "Answer the question from these claims only.", (_, kept) => ({
    prompt: `${tagged("question", question)}\n\n${tagged("claims", kept)}`,
    label: "answer",
  }));
  const planned = await split(question);
  const questions = (planned?.questions ?? [question]).slice(0, count);
  const reports = await parallel(questions.map((one) => () => search(one)));
  const stated = unseen(
    reports.flatMap((report) => report?.claims ?? []),
    show,
    new Map(),
  );
  const claims = await verifyClaims(stated, { voters: pattern.options.voters, agent: calls });
  const kept = claims.filter((claim) => claim?.kept).map(({ claim }) => claim);
  return { answer: await write(kept), claims, missing: reports.filter((report) => !given(report)).length };
}

export const adversarialVerify = scoped("adversarialVerify", verifyClaims);
export const classifyAndAct = scoped("classifyAndAct", classify);
export const councilVote = scoped("councilVote", council);
export const deepResearch = scoped("deepResearch", research);
export const fanOut = scoped("fanOut", fanOutOver);
export const generateAndFilter = scoped("generateAndFilter", generate);
export const groupChat = scoped("groupChat", chat);
export const judgePanel = scoped("judgePanel", panel);
export const loopUntilDry = scoped("loopUntilDry", untilDry);
export const mapReduce = scoped("mapReduce", mapAndReduce);
export const reflect = scoped("reflect", draftAndReflect);
export const tournament = scoped("tournament", knockOut);
