// An agent on the official TypeScript library. The first word of its task says what it does; `tests/sessions` knows the words.
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.env.LOOPWRIGHT_TEST_ACP_PEERS, "node_modules", "x.js"));
const acp = await import(pathToFileURL(require.resolve("@agentclientprotocol/sdk")));

const state = { mode: "ask", model: "small", effort: "low" };
let directory, servers, told, loggedIn, stop;
const stopped = new Promise((resolve) => (stop = resolve));
const sessionId = "s1";

const select = (id, category, values) => ({
  type: "select", id, name: id, category, currentValue: values[0],
  options: values.map((value) => ({ value, name: value[0].toUpperCase() + value.slice(1) })),
});
const touch = (name) => writeFileSync(join(directory, name), "");

const tasks = {
  async plain({ say }) { await say("It "); await say("works."); },
  async json({ say }) { await say('Here it is:\n```json\n{"count": 3, "names": ["ä"]}\n```\n'); },
  async told({ say, text }) { await say(JSON.stringify({ told, ...state, text })); },
  async servers({ say }) {
    const all = servers.map(({ name, url, headers, command, args, env }) => {
      if (url) return [name, url, ...headers.map((it) => `${it.name}: ${it.value}`)];
      const variables = Object.fromEntries(env.map((it) => [it.name, it.value]));
      const input = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize" }) + "\n";
      const { stdout } = spawnSync(command, args, { input, env: { ...process.env, ...variables } });
      return [name, JSON.parse(stdout).result.serverInfo.name];
    });
    await say(JSON.stringify(all));
  },
  async correct({ say, text }) {
    await say(text.includes("# Correction") && text.includes("not an integer") ? '{"count": 3}' : '{"count": "three"}');
  },
  async tools({ say, update }) {
    await say("I will look first.");
    await update({ sessionUpdate: "tool_call", toolCallId: "t1", title: "README.md", kind: "read", status: "in_progress" });
    await update({ sessionUpdate: "plan", entries: [{ content: "Read", priority: "high", status: "in_progress" }] });
    await update({ sessionUpdate: "tool_call_update", toolCallId: "t1", status: "failed" });
    await say("It is not there.");
  },
  async usage({ say, update }) {
    await update({ sessionUpdate: "usage_update", used: 300, size: 200000, cost: { amount: 0.0125, currency: "USD" } });
    await say("done");
    const usage = { totalTokens: 180, inputTokens: 100, outputTokens: 20, thoughtTokens: 10, cachedReadTokens: 50 };
    return { stopReason: "end_turn", usage };
  },
  async permit({ say, update, client, args: [kind] }) {
    await update({ sessionUpdate: "tool_call", toolCallId: "t1", title: "change notes.txt", kind, status: "pending" });
    const options = ["allow_always", "allow_once", "reject_once", "reject_always"].map((kind) => ({ optionId: kind, name: kind, kind }));
    const { outcome } = await client.request(acp.methods.client.session.requestPermission, { sessionId, toolCall: { toolCallId: "t1" }, options });
    await say(outcome.outcome === "selected" ? outcome.optionId : outcome.outcome);
  },
  async wait() {
    touch("waiting");
    await stopped;
    touch("cancelled");
    return { stopReason: "cancelled", usage: { totalTokens: 9, inputTokens: 7, outputTokens: 2 } };
  },
  async meet({ say, args: [own, other] }) {
    // Ends only when the other session is there too.
    touch(own);
    const until = Date.now() + 60_000;
    while (!existsSync(join(directory, other)) && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
    await say(`${own} met ${other}`);
  },
  async stop({ say, args: [stopReason] }) { await say("So far: half of it"); return { stopReason }; },
  async fail() { throw acp.RequestError.internalError({ details: "the model is on fire" }); },
  async files({ say, client }) {
    try {
      await client.request(acp.methods.client.fs.readTextFile, { sessionId, path: join(directory, "notes.txt") });
      await say("served");
    } catch (error) {
      await say(`refused ${error.code}`);
    }
  },
};

const { agent } = acp.methods;
acp
  .agent({ name: "scripted" })
  .onRequest(agent.initialize, ({ params }) => {
    const { clientInfo, clientCapabilities: { fs, terminal } } = params;
    const word = (flag) => (flag ? "True" : "False");
    told = `${clientInfo.name} fs=${word(fs?.readTextFile)} terminal=${word(terminal)}`;
    const mcpCapabilities = { http: "LOOPWRIGHT_TEST_HTTP" in process.env };
    return {
      protocolVersion: acp.PROTOCOL_VERSION, authMethods: [{ id: "key", name: "API key" }], agentCapabilities: { mcpCapabilities },
    };
  })
  .onRequest(agent.authenticate, ({ params }) => { loggedIn = params.methodId === "key"; return {}; })
  .onRequest(agent.session.new, ({ params }) => {
    directory = params.cwd;
    servers = params.mcpServers;
    if (existsSync(join(directory, "locked")) && !loggedIn) throw acp.RequestError.authRequired();
    return {
      sessionId,
      modes: { currentModeId: "ask", availableModes: [{ id: "ask", name: "Ask" }, { id: "plan", name: "Plan only" }] },
      configOptions: [select("model", "model", ["small", "large"]), select("effort", "thought_level", ["low", "high"])],
    };
  })
  .onRequest(agent.session.setMode, ({ params }) => { state.mode = params.modeId; return {}; })
  .onRequest(agent.session.setConfigOption, ({ params }) => { state[params.configId] = params.value; return { configOptions: [] }; })
  .onNotification(agent.session.cancel, () => stop())
  .onRequest(agent.session.prompt, async ({ params, client }) => {
    const text = params.prompt.map((block) => block.text).join("");
    const [word, ...args] = /# Task\n\n(.*)/.exec(text)[1].split(" ");
    const update = (update) => client.notify(acp.methods.client.session.update, { sessionId, update });
    const say = (text) => update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text } });
    return (await tasks[word]({ say, update, client, text, args })) ?? { stopReason: "end_turn" };
  })
  .connect(acp.ndJsonStream(Writable.toWeb(process.stdout), Readable.toWeb(process.stdin)));
