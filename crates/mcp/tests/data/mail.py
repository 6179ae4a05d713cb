"""An MCP server whose tool `send` has an effect, once for each key, and whose tool `send_status` tells what became of
a call: `mail.py [fault ...]`. The effects are lines of the file `sent` in its working directory; while there is a file
`hold`, `send` does not answer."""

import json
import os
import sys
import time

faults = set(sys.argv[1:])
KEY = "loopwright/idempotencyKey"


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def sent():
    if not os.path.exists("sent"):
        return {}
    with open("sent") as file:
        return {entry["key"]: entry["to"] for entry in map(json.loads, file)}


def tool(name, **properties):
    schema = {"type": "object", "properties": properties}
    return {"name": name, "description": f"Does {name}.", "inputSchema": schema}


def mail(key, to):
    if key not in sent():
        with open("sent", "a") as file:
            file.write(json.dumps({"key": key, "to": to}) + "\n")
    while os.path.exists("hold"):
        time.sleep(0.02)
    return f"sent to {to}"


def status(key, arguments):
    if "down" in faults:
        raise ValueError("the log is locked")
    if "odd" in faults:
        return {"status": "perhaps"}
    if "unknown" in faults:
        return {"status": "unknown", "message": "the log of that day is gone"}
    done = sent().get(key)
    if done is None:
        return {"status": "not_done"}
    assert arguments["to"] == done
    return {"status": "done", "result": f"sent to {done}"}


def call(params):
    key, arguments = params.get("_meta", {}).get(KEY, ""), params.get("arguments", {})
    try:
        if params["name"] == "send":
            text = mail(key, arguments["to"])
        else:
            text = json.dumps(status(arguments["key"], arguments["arguments"]))
        return {"content": [{"type": "text", "text": text}]}
    except ValueError as error:
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}


tools = [tool("send", to={"type": "string"})]
if "gone" not in faults:
    tools.append(tool("send_status", key={"type": "string"}, arguments={"type": "object"}))
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    identity, method = message["id"], message["method"]
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        info = {"name": "mail", "version": "1"}
        result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
        send({"id": identity, "result": result})
    elif method == "tools/list":
        send({"id": identity, "result": {"tools": tools}})
    elif method == "tools/call":
        send({"id": identity, "result": call(message["params"])})
    else:
        send({"id": identity, "error": {"code": -32601, "message": f"no method {method}"}})
