// Types of everything a Loopwright program may call: the globals and the module `loopwright:patterns`.
// Reference: docs/reference/program-api.md

/** What JSON can hold. Only such values cross between a program and the world. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Why a call gave the program nothing. */
type FailureReason = "schema" | "provider" | "timeout" | "budget" | "limit" | "policy" | "cancelled" | "program";

/** What a call used. */
interface Usage {
  input_tokens?: number;
  output_tokens?: number;
  /** Millionths of a US dollar. */
  usd_micros?: number;
}

/** The record of one call. */
interface Receipt {
  call: string;
  subagent?: string;
  attempts: number;
  usage: Usage;
  ms: number;
}

/** Ceilings of one call. */
interface Ceilings {
  outputTokens?: number;
  tokens?: number;
  usd?: number;
}

/** Options of every call to a subagent; the names of both dialects are accepted by both functions. */
interface CallOptions {
  /** A JSON Schema: the answer is an object that was validated against it. */
  schema?: object;
  responseSchema?: object;
  /** Which subagent; `general-purpose` when absent. */
  agentType?: string;
  subagentType?: string;
  /** Shown in progress; decides a covered item of that key. */
  label?: string | number;
  /** Progress group of this call, instead of the one `phase()` set. */
  phase?: string | number;
  model?: string;
  effort?: string;
  isolation?: "worktree";
  /** Attempts after the first. */
  retries?: number;
  /** Time for the whole call, attempts and waits included. */
  timeoutMs?: number;
  /** What to give when the call fails: another subagent, or a value. A string that names a subagent is one. */
  fallback?: Json | { subagentType: string } | { agentType: string } | { value: Json };
  maxTurns?: number;
  /** Narrows the subagent's tools, never widens them. */
  tools?: string[];
  /** A number of output tokens, or ceilings. */
  budget?: number | Ceilings;
  /** Names a call whose identity must survive an edited prompt; decides a covered item of that key. */
  key?: string | number;
  /** May only tighten what the subagent's definition says. */
  effects?: "none" | "local" | "external";
}

interface TaskSpec extends CallOptions {
  /** What to do. With `prompt` beside it, the short title. */
  description?: string;
  prompt?: string;
}

/** Asks a subagent. Rejects with a {@link TaskError} when it fails. */
declare function task<T = any>(spec: TaskSpec & ({ responseSchema: object } | { schema: object })): Promise<T>;
declare function task(spec: TaskSpec): Promise<string>;

/**
 * Asks a subagent. Gives `null` when it was stopped or died after its retries; rejects when its answer never matched
 * the schema, when a budget is spent and when a limit is reached.
 */
declare function agent<T = any>(
  prompt: string,
  options: CallOptions & ({ schema: object } | { responseSchema: object }),
): Promise<T | null>;
declare function agent(prompt: string, options?: CallOptions): Promise<string | null>;

/** Runs all at once and waits for all. What throws becomes `null`; a spent budget or a limit rejects. */
declare function parallel<T>(thunks: Iterable<() => T | PromiseLike<T>>): Promise<(T | null)[]>;

type Stage<In, Item, Out> = (previous: In, item: Item, index: number) => Out | PromiseLike<Out>;

/** Takes every item through all stages, none waiting for another item. What throws becomes `null`. */
declare function pipeline<I>(items: Iterable<I>): Promise<I[]>;
declare function pipeline<I, A>(items: Iterable<I>, first: Stage<I, I, A>): Promise<(A | null)[]>;
declare function pipeline<I, A, B>(
  items: Iterable<I>,
  first: Stage<I, I, A>,
  second: Stage<A, I, B>,
): Promise<(B | null)[]>;
declare function pipeline<I, A, B, C>(
  items: Iterable<I>,
  first: Stage<I, I, A>,
  second: Stage<A, I, B>,
  third: Stage<B, I, C>,
): Promise<(C | null)[]>;
declare function pipeline<I>(items: Iterable<I>, ...stages: Stage<any, I, any>[]): Promise<any[]>;

/** Starts a progress group: calls from now on belong to it. */
declare function phase(title: string | number): void;
/** A line for the person who watches. */
declare function log(...values: unknown[]): void;
/** The run's arguments; `undefined` when there are none. */
declare const args: any;

interface Meter {
  /** The ceiling; `null` when there is none. */
  readonly total: number | null;
  spent(): number;
  /** `Infinity` when there is no ceiling. */
  remaining(): number;
}
/** Output tokens; `budget.tokens` counts all tokens, `budget.usd` dollars. */
declare const budget: Meter & { readonly tokens: Meter; readonly usd: Meter };

/** Runs a saved program inside this run: by name, or by the path of its file. */
declare function workflow(nameOrRef: string | { name: string } | { scriptPath: string }, args?: Json): Promise<any>;

interface ToolFunction {
  (args?: object): Promise<any>;
  readonly [name: string]: any;
}
/** The allowed tools, under their names and their camelCase forms. */
declare const tools: { readonly [name: string]: ToolFunction };

type Outcome<T> =
  | { status: "done"; value: T; receipt: Receipt | null; receipts: Receipt[] }
  | {
      status: "failed" | "skipped" | "cancelled";
      reason: FailureReason;
      error: unknown;
      receipt: Receipt | null;
      receipts: Receipt[];
    };

/** Runs all at once and tells what became of each, typed; never rejects because of them. */
declare function settle<T>(thunks: Iterable<() => T | PromiseLike<T>>): Promise<Outcome<T>[]>;

/** Outcomes in the order in which they happen. Leaving the loop cancels the rest. */
declare function asCompleted<T>(
  thunks: Iterable<() => T | PromiseLike<T>>,
): AsyncGenerator<{ index: number } & Outcome<T>, void, void>;

/** The first `needed` values in the order in which they came; the rest is cancelled. */
declare function quorum<T>(
  needed: number,
  thunks: Iterable<() => T | PromiseLike<T>>,
  options?: { deadlineMs?: number },
): Promise<T[]>;

/** Runs the thunk a second time when it takes longer than `afterMs`; the first success wins, the other is cancelled. */
declare function hedge<T>(thunk: () => T | PromiseLike<T>, options: { afterMs: number }): Promise<T>;

/** Cancels the work at the deadline and gives `otherwise` (called when it is a function); rejects when there is none. */
declare function withDeadline<T, U = never>(
  ms: number,
  thunk: () => T | PromiseLike<T>,
  otherwise?: U | (() => U | PromiseLike<U>),
): Promise<T | U>;

/** Waits, on the run's clock. */
declare function sleep(ms: number): Promise<null>;
/** Asks a person and waits for the answer. */
declare function approve(
  question: string,
  options?: { choices?: string[]; data?: Json; deadlineMs?: number },
): Promise<any>;

interface Failure {
  call: string;
  reason: FailureReason;
  code: string;
  message: string;
  hint?: string;
  subagent?: string;
  attempts: number;
  retryable: boolean;
  usage: Usage;
}
/** Every call that gave the program nothing so far, in order; losers of a race are not among them. */
declare function failures(): Failure[];

interface CoverageReport {
  total: number;
  done: number;
  failed: number;
  skipped: number;
  /** Items nobody has finished: dropped, if the program ended now. */
  dropped: number;
  items: { key: string; status: "done" | "failed" | "skipped" | "dropped"; reason?: string }[];
}
interface Coverage<T> {
  done(item: T | string): void;
  failed(item: T | string, reason?: unknown): void;
  skipped(item: T | string, reason?: string): void;
  report(): CoverageReport;
}
/** Registers the work items: each must end done, or the run is not complete. Items of one key are one item. */
declare function coverage<T>(
  items: Iterable<T>,
  key?: string | ((item: T, index: number) => string | number),
): Coverage<T>;

/** A call failed. `reason`, `code` and `hint` are stable; the message is for people. */
declare class TaskError extends Error {
  constructor(message?: string, details?: Partial<Failure>);
  readonly reason: FailureReason;
  readonly code?: string;
  readonly hint?: string;
  readonly call?: string;
  readonly subagent?: string;
  readonly attempts?: number;
  readonly usage?: Usage;
  readonly retryable: boolean;
  readonly receipt?: Receipt;
}

declare const console: Record<"log" | "info" | "warn" | "error" | "debug" | "trace", (...values: unknown[]) => void>;
/** Plain data, dates, maps, sets, regular expressions, errors, buffers and cycles. */
declare function structuredClone<T>(value: T): T;

declare module "loopwright:patterns" {
  type Awaitable<T> = T | PromiseLike<T>;
  /** Options of the agent calls that a pattern makes from prompts. */
  type PatternOptions<Own = {}> = Own & { agent?: CallOptions };
  type Holds = boolean | { refuted: boolean; reason?: string } | null;
  type Score = number | boolean | { score: number } | null;

  /** The same work on every item; `null` where it failed. */
  export function fanOut<I, R = any>(
    items: Iterable<I>,
    each: string | ((item: I, index: number) => Awaitable<R>),
    synthesize?: null,
    options?: PatternOptions,
  ): Promise<(R | null)[]>;
  /** The same, brought together: `missing` is how many items gave nothing. */
  export function fanOut<I, R = any, S = any>(
    items: Iterable<I>,
    each: string | ((item: I, index: number) => Awaitable<R>),
    synthesize: string | ((results: R[], missing: number) => Awaitable<S>),
    options?: PatternOptions,
  ): Promise<S>;

  type Action<I> = string | ((input: I, name: string) => unknown);
  /** Chooses one of the classes for the input and runs its action. */
  export function classifyAndAct<I>(
    input: I,
    actions: { [name: string]: Action<I> | { when: string; act: Action<I> } },
    options?: PatternOptions<{
      classify?: string | ((input: I, classes: string[]) => Awaitable<string | { class: string } | null>);
      otherwise?: string;
    }>,
  ): Promise<{ class: string | null; result: any }>;

  export interface Verdict<C> {
    claim: C;
    kept: boolean;
    support: number;
    against: number;
    missing: number;
    reasons: string[];
  }
  /** Keeps the claims that `needed` of `voters` independent sceptics cannot refute. */
  export function adversarialVerify<C>(
    claims: Iterable<C>,
    options?: PatternOptions<{
      voters?: number;
      needed?: number;
      verify?: string | ((claim: C, voter: number) => Awaitable<Holds>);
    }>,
  ): Promise<Verdict<C>[]>;

  /** Makes `count` candidates and keeps those with a score of `least` or more, best first. */
  export function generateAndFilter<C = any>(
    make: string | ((index: number) => Awaitable<C>),
    options: PatternOptions<{
      judge: string | ((candidate: C) => Awaitable<Score>);
      count?: number;
      least?: number;
      top?: number;
    }>,
  ): Promise<C[]>;

  /** Single elimination; `a` and `b` of a match are positions in `entries`. */
  export function tournament<E>(
    entries: Iterable<E>,
    judge: string | ((a: E, b: E) => Awaitable<"a" | "b" | { winner: "a" | "b" } | null>),
    options?: PatternOptions<{ bestOf?: number }>,
  ): Promise<{ winner: E | null; index: number; rounds: { a: number; b: number; winner: number }[][] }>;

  type Find<F> = string | ((round: number, seen: F[]) => Awaitable<F[] | { findings: F[] } | null>);
  /** Searches in rounds until `dryRounds` of them in a row bring nothing that was never seen before. */
  export function loopUntilDry<F = any>(
    find: Find<F> | Find<F>[],
    options?: PatternOptions<{
      dryRounds?: number;
      roundsMax?: number;
      key?: (finding: F) => string | number;
      verify?: string | ((finding: F) => Awaitable<Holds>);
    }>,
  ): Promise<{ found: F[]; seen: number; rounds: number; dry: boolean }>;

  /** Scores a candidate from several points of view. */
  export function judgePanel<C>(
    candidate: C,
    lenses: Iterable<string | ((candidate: C) => Awaitable<Score>)>,
    options?: PatternOptions,
  ): Promise<{ scores: (number | null)[]; mean: number | null; missing: number }>;

  /** Lets independent voters choose; no winner when the most votes are shared. */
  export function councilVote(
    question: string,
    choices: Iterable<string>,
    options?: PatternOptions<{
      voters?: number;
      vote?: string | ((choices: string[], voter: number) => Awaitable<string | { choice: string } | null>);
    }>,
  ): Promise<{ winner: string | null; votes: Record<string, number>; missing: number }>;

  /** Plans, researches, verifies and answers. */
  export function deepResearch(
    question: string,
    options?: PatternOptions<{
      questions?: number;
      voters?: number;
      plan?: string;
      research?: string;
      answer?: string;
    }>,
  ): Promise<{ answer: string | null; claims: Verdict<string>[]; missing: number }>;

  /** Drafts and revises until the critic approves or `rounds` of criticism are used up. */
  export function reflect<D = any>(
    prompt: string | ((draft: D | null, feedback: unknown) => Awaitable<D | null>),
    options?: PatternOptions<{
      critic?: string | ((draft: D) => Awaitable<{ approved: boolean; feedback: unknown } | null>);
      rounds?: number;
    }>,
  ): Promise<{ draft: D | null; approved: boolean; rounds: number }>;

  /** Members speak in turn, each seeing what was said. */
  export function groupChat(
    topic: unknown,
    members: { [name: string]: string | ((said: { name: string; text: any }[]) => unknown) },
    options?: PatternOptions<{ rounds?: number }>,
  ): Promise<{ name: string; text: any }[]>;

  /** Maps every item and reduces `width` results at a time in a tree. */
  export function mapReduce<I, R = any>(
    items: Iterable<I>,
    map: string | ((item: I, index: number) => Awaitable<R>),
    reduce: string | ((results: R[]) => Awaitable<R>),
    options?: PatternOptions<{ width?: number }>,
  ): Promise<{ value: R | null; missing: number }>;
}
