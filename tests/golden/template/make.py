"""Renders the templates below with Jinja 3.1 and writes what they give to cases.json.

    python3 make.py          # needs jinja2

Each case has a source and, for each profile ("chat", "task", or "both" when they agree), the text, or
"error": true where Jinja refuses to compile or render.  The chat environment is set up as Hugging Face libraries set up
theirs; the task environment as lm-evaluation-harness does.
"""

import copy
import json
import os
import re
from datetime import datetime

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime(2024, 7, 26, 13, 5, 9)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_show"), [], [], body).set_lineno(line)

    def _show(self, caller):
        return caller()


def chat_environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, "jinja2.ext.loopcontrols"])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: NOW.strftime(form)
    return env


def task_environment():
    env = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    env.filters["regex_replace"] = lambda text, pattern, repl, count=0: re.compile(pattern).sub(
        repl, text, count)
    return env


ENVIRONMENTS = {"chat": chat_environment(), "task": task_environment()}


def render(profile, source, variables):
    try:
        return {"text": ENVIRONMENTS[profile].from_string(source).render(**copy.deepcopy(variables))}
    except Exception:  # any refusal counts
        return {"error": True}


def main():
    from constructs import CONSTRUCTS, VARIABLES
    from chats import CONVERSATIONS, TEMPLATES

    cases = [{"source": source, "chat": render("chat", source, VARIABLES),
              "task": render("task", source, VARIABLES)} for source in CONSTRUCTS]
    chats = [{"template": name, "conversation": i, **render("chat", source, conversation)}
             for name, source in TEMPLATES.items()
             for i, conversation in enumerate(CONVERSATIONS)]
    for case in cases:
        if case["chat"] == case["task"]:
            case["both"] = case.pop("chat")
            del case["task"]
    text = json.dumps({"now": int((NOW - datetime(1970, 1, 1)).total_seconds()),
                       "variables": VARIABLES, "cases": cases, "templates": TEMPLATES,
                       "conversations": CONVERSATIONS, "chats": chats},
                      ensure_ascii=False, allow_nan=False, indent=0)
    with open(os.path.join(HERE, "cases.json"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    print(len(cases), "constructs,", len(chats), "chats")


if __name__ == "__main__":
    main()
