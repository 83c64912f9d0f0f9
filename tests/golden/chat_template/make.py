#!/usr/bin/env python3
"""What mergekit's built-in chat templates make of conversations: cases.json, as transformers renders them.

    make.py     (in an environment with mergekit and transformers)
"""
import importlib.resources
import json
import os

from mergekit._data import chat_templates
from transformers.utils.chat_template_utils import render_jinja_template

NAMES = ("alpaca", "chatml", "exaone", "llama3", "mistral")
TEXTS = (" be brief ", "Hi\nthere ", "", "{{ x }} it's")


def conversations():
    yield ["user"]
    yield ["user", "assistant"]
    yield ["user", "assistant", "user"]
    yield ["system", "user"]
    yield ["system", "user", "assistant", "user", "assistant"]
    yield ["user", "user_context"]
    yield ["assistant", "system", "user", "system"]
    yield ["system", "user_context", "user", "assistant"]
    yield ["user", "tool", "assistant"]


def main():
    cases = []
    for name in NAMES:
        template = importlib.resources.files(chat_templates).joinpath(f"{name}.jinja").read_text()
        for number, roles in enumerate(conversations()):
            for generates in (False, True):
                messages = [{"role": role, "content": TEXTS[(number + i) % len(TEXTS)]}
                            for i, role in enumerate(roles)]
                case = {"name": name, "variables": {"messages": messages, "bos_token": "<s>", "eos_token": "</s>",
                                                    "add_generation_prompt": generates}}
                try:
                    case["text"] = render_jinja_template([messages], chat_template=template, bos_token="<s>",
                                                         eos_token="</s>", add_generation_prompt=generates)[0][0]
                except Exception:  # the template raises
                    case["text"] = None
                cases.append(case)
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "cases.json"), "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")


main()
