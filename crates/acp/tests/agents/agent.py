"""An agent on the official Python library. The first word of its task says what it does; `tests/sessions` knows the words."""

import asyncio
import json
import os
import pathlib
import re
import subprocess
import time

import acp
from acp import schema


class Scripted:
    def __init__(self):
        self.directory, self.mode, self.options = None, "ask", {"model": "small", "effort": "low"}
        self.logged_in, self.stop = False, asyncio.Event()

    def on_connect(self, client):
        self.client = client

    async def initialize(self, protocol_version, client_capabilities=None, client_info=None, **_):
        self.told = f"{client_info.name} fs={bool(client_capabilities.fs.read_text_file)} terminal={client_capabilities.terminal}"
        method = schema.AuthMethodAgent(id="key", name="API key")
        can = schema.McpCapabilities(http="LOOPWRIGHT_TEST_HTTP" in os.environ)
        return acp.InitializeResponse(
            protocol_version=protocol_version,
            auth_methods=[method],
            agent_capabilities=schema.AgentCapabilities(mcp_capabilities=can),
        )

    async def authenticate(self, method_id, **_):
        self.logged_in = method_id == "key"
        return acp.AuthenticateResponse()

    async def new_session(self, cwd, mcp_servers=None, **_):
        self.directory, self.servers = pathlib.Path(cwd), mcp_servers or []
        if (self.directory / "locked").exists() and not self.logged_in:
            raise acp.RequestError.auth_required()
        def select(name, category, values):
            choices = [schema.SessionConfigSelectOption(value=v, name=v.title()) for v in values]
            return schema.SessionConfigOptionSelect(
                type="select", id=name, name=name, category=category, current_value=values[0], options=choices
            )
        modes = [schema.SessionMode(id="ask", name="Ask"), schema.SessionMode(id="plan", name="Plan only")]
        options = [select("model", "model", ["small", "large"]), select("effort", "thought_level", ["low", "high"])]
        return acp.NewSessionResponse(
            session_id="s1",
            modes=schema.SessionModeState(current_mode_id="ask", available_modes=modes),
            config_options=options,
        )

    async def set_session_mode(self, session_id, mode_id, **_):
        self.mode = mode_id

    async def set_config_option(self, config_id, session_id, value, **_):
        self.options[config_id] = value
        return schema.SetSessionConfigOptionResponse(config_options=[])

    async def cancel(self, session_id, **_):
        self.stop.set()

    async def say(self, text):
        await self.client.session_update("s1", acp.update_agent_message_text(text))

    async def prompt(self, session_id, prompt, **_):
        text = "".join(block.text for block in prompt)
        word, *arguments = re.search(r"# Task\n\n(.*)", text).group(1).split()
        reason, usage = await getattr(self, f"do_{word}")(text, *arguments) or ("end_turn", None)
        return acp.PromptResponse(stop_reason=reason, usage=usage)

    async def do_plain(self, text):
        await self.say("It ")
        await self.say("works.")

    async def do_json(self, text):
        await self.say('Here it is:\n```json\n{"count": 3, "names": ["ä"]}\n```\n')

    async def do_told(self, text, *_):
        await self.say(json.dumps({"told": self.told, "mode": self.mode, **self.options, "text": text}))

    async def do_servers(self, text):
        told = []
        for server in self.servers:
            if isinstance(server, schema.McpServerStdio):
                env = {**os.environ, **{variable.name: variable.value for variable in server.env}}
                hello = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize"}) + "\n"
                run = subprocess.run([server.command, *server.args], input=hello, env=env, stdout=-1, text=True)
                told.append([server.name, json.loads(run.stdout)["result"]["serverInfo"]["name"]])
            else:
                told.append([server.name, server.url, *(f"{it.name}: {it.value}" for it in server.headers)])
        await self.say(json.dumps(told))

    async def do_correct(self, text):
        await self.say('{"count": 3}' if "# Correction" in text and "not an integer" in text else '{"count": "three"}')

    async def do_tools(self, text):
        await self.say("I will look first.")
        call = acp.start_tool_call("t1", "README.md", kind="read", status="in_progress")
        await self.client.session_update("s1", call)
        entry = schema.PlanEntry(content="Read", priority="high", status="in_progress")
        await self.client.session_update("s1", acp.update_plan([entry]))
        await self.client.session_update("s1", acp.update_tool_call("t1", status="failed"))
        await self.say("It is not there.")

    async def do_usage(self, text):
        cost = schema.Cost(amount=0.0125, currency="USD")
        update = schema.UsageUpdate(session_update="usage_update", used=300, size=200000, cost=cost)
        await self.client.session_update("s1", update)
        await self.say("done")
        usage = schema.Usage(
            total_tokens=180, input_tokens=100, output_tokens=20, thought_tokens=10, cached_read_tokens=50
        )
        return "end_turn", usage

    async def do_permit(self, text, kind):
        call = acp.start_tool_call("t1", "change notes.txt", kind=kind, status="pending")
        await self.client.session_update("s1", call)
        options = [
            schema.PermissionOption(option_id=k, name=k, kind=k)
            for k in ("allow_always", "allow_once", "reject_once", "reject_always")
        ]
        asked = schema.ToolCallUpdate(tool_call_id="t1")
        answer = await self.client.request_permission("s1", asked, options)
        outcome = answer.outcome
        await self.say(outcome.option_id if outcome.outcome == "selected" else outcome.outcome)

    async def do_wait(self, text):
        (self.directory / "waiting").touch()
        await self.stop.wait()
        (self.directory / "cancelled").touch()
        return "cancelled", schema.Usage(total_tokens=9, input_tokens=7, output_tokens=2)

    async def do_meet(self, text, own, other):
        # Ends only when the other session is there too.
        (self.directory / own).touch()
        until = time.monotonic() + 60
        while not (self.directory / other).exists() and time.monotonic() < until:
            await asyncio.sleep(0.01)
        await self.say(f"{own} met {other}")

    async def do_stop(self, text, reason):
        await self.say("So far: half of it")
        return reason, None

    async def do_fail(self, text):
        raise acp.RequestError.internal_error({"details": "the model is on fire"})

    async def do_files(self, text):
        try:
            await self.client.read_text_file("s1", str(self.directory / "notes.txt"))
            await self.say("served")
        except acp.RequestError as error:
            await self.say(f"refused {error.code}")


asyncio.run(acp.run_agent(Scripted()))
