"""A command subagent: the request is one JSON object on stdin, the answer is the last line on stdout."""

import json
import sys

request = json.load(sys.stdin)
path = request["description"]
with open(path, encoding="utf-8", errors="replace") as file:
    words = len(file.read().split())
print(json.dumps({"result": {"file": path, "words": words}}))
