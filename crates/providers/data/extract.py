#!/usr/bin/env python3
"""Writes models.json: prices and limits of the models people ask for, from LiteLLM's table (MIT licence).

    pip download litellm --no-deps -d /tmp/wheel
    python3 extract.py /tmp/wheel/litellm-*.whl 2026-11-25 > models.json

The date is the day on which the wheel was fetched. Prices are written in millionths of a US dollar per million
tokens, the unit of `protocol::Price`. Surcharges for very long prompts and discounts for batches are left out.
"""

import json
import re
import sys
import zipfile

PROVIDERS = ["anthropic", "openai", "gemini", "mistral", "xai", "deepseek", "groq", "cerebras", "moonshot"]
TABLE = "litellm/model_prices_and_context_window_backup.json"
# Models that speak, draw, embed or are somebody's own fine-tuning, and entries that are no models.
NOT_ASKED = re.compile(
    r"^ft:|audio|tts|voxtral|lyria|robotics|container|learnlm|omni|deep-research|search|guard|beta|gv2|gemma-2"
    r"|experimental|gemini-exp|computer-use|image|-0[13]\d\d-|multi-agent|realtime|ocr"
)


def price(entry, name, otherwise):
    dollars_per_token = entry.get(name)
    return otherwise if dollars_per_token is None else round(dollars_per_token * 1e12)


def row(entry):
    plain = price(entry, "input_cost_per_token", 0)
    out = {
        "in": plain,
        "out": price(entry, "output_cost_per_token", 0),
        "read": price(entry, "cache_read_input_token_cost", plain),
        "write": price(entry, "cache_creation_input_token_cost", plain),
        "context": entry.get("max_input_tokens"),
        "reply": entry.get("max_output_tokens"),
    }
    flags = {
        "reasoning": entry.get("supports_reasoning"),
        "minimal": entry.get("supports_minimal_reasoning_effort"),
        "adaptive": entry.get("supports_adaptive_thinking"),
        "unforced": entry.get("supports_forced_tool_use") is False,
        "unstructured": entry.get("supports_response_schema") is None
        and entry.get("supports_native_structured_output") is None,
    }
    out["is"] = [name for name, value in flags.items() if value]
    return {key: value for key, value in out.items() if value not in (None, [])}


def main():
    wheel, date = sys.argv[1:]
    table = json.loads(zipfile.ZipFile(wheel).read(TABLE))
    version = re.search(r"litellm-([^-]+)-", wheel).group(1)
    models = {}
    for name, entry in table.items():
        provider = entry.get("litellm_provider")
        if provider not in PROVIDERS or entry.get("mode") not in ("chat", "responses"):
            continue
        bare = name.removeprefix(provider + "/")
        if NOT_ASKED.search(bare) or "input_cost_per_token" not in entry:
            continue
        models.setdefault(f"{provider}:{bare}", row(entry))
    head = {"source": f"LiteLLM {version} (MIT)", "date": date}
    print("{" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()) + ',\n"models": {')
    print(",\n".join(f"{json.dumps(key)}: {json.dumps(models[key])}" for key in sorted(models)) + "\n}}")


main()
