"""Loads the YAML documents below with PyYAML's safe loader and writes them to cases.json as JSON.

    python3 make.py          # needs PyYAML

A case is [document, value as json.dumps writes it]; null where PyYAML refuses the document.  Dates are
the strings that they were written as, integers beyond 64 bits are floats.
"""

import json
import os

import yaml

SCALARS = """yes Yes YES no off On ON y n ~ null Null NULL nUll true TRUE tRue 0b101 0x1F 0777 0o17 08
1_000 1:30 12:30 1:60 190:20:30.15 1.5:3 .inf -.INF +.Inf .nan .NaN 1e-5 1.0e5 1.0e+5 1.e+3 .5 -.5 +.5
.5e-3 1. 1._ 0._5 9223372036854775807 9223372036854775808 -9223372036854775807 18446744073709551616
0xFFFFFFFFFFFFFFFF 1__0 _1 0_ 0_7 -0 +0 -1:30 99999999999999999999:30 2020-01-01 1_2:3_4 0.0 -1.5e-3
12e03 685.230_15e+03 --- ... a:b a#b 1,2 0xg 0b2 09.5 1e5 e5 . .e5 - + -x Infinity NaN none None
2001-12-14t21:59:43.10-05:00""".split()

DOCUMENTS = [
    "a: &x 1\nb: *x\n", "<<: {a: 1}\na: 2\n", "a: 1\n<<: {a: 2, b: 3}\n",
    "x: &x {p: 1, a: 1}\ny: {<<: [*x, {q: 3, a: 2}], a: 9}\n",
    "w: {<<: {a: 1, b: 1}, <<: [{a: 2, c: 3}, {c: 4}], k: 1, <<: {k: 5, a: 7}}\n", "\"<<\": 1\n",
    "? a\n: b\n? c\n", "- - a\n  - b\n- c: d\n  e: f\n",
    "a: |-\n  x\n   y\n\n  z\nb: >+\n  p\n  q\n\nc: |2\n    k\n", "a: 1 # c\n#d\nb: \"x # y\"\n",
    "- !!str 5\n- !!int \"7\"\n- !!float 1\n- !!bool yes\n- !!null \"\"\n- ! 5\n- ! '5'\n",
    "{a: 1, b: [1, 2, {c: d}], ? e : f}\n", "%YAML 1.1\n---\na: 1\n...\n",
    "a:\n- 1\n- 2\nb:\n  - 3\n", "a: 'it''s'\nb: \"\\x41\\u3042\\n\\\n   cont\"\n",
    "true: 1\nyes: 2\n1: 3\n1.0: 4\n2.5: x\n~: n\n", "a: b: c\n", "a: [1, 2\n", "\ta: 1\n", "*x\n",
    "a: *b\n", "- a\nb\n", "{a: 1, a: 2}\n", "b: 1\na: 2\nb: 3\n", "[a, b]: c\n",
    "a: !!python/tuple [1]\n", "a: 1\n---\nb: 2\n", "---\n", "--- a\n", "# only\n", "",
    "a: \"unclosed\n", "key: [a, b, ]\n", "- {a: 1,}\n", "a: -\n", "a: ~\n", "a:\n", "&a a: *a\n",
    "a: &a {b: 1}\nc: [*a, *a]\n", "<<: 3\n", "<<: [1]\n", "a: >\n  folded\n  text\n\n  more\n",
    "doc_to_text: \"{{question}}\\nA:\"\nuntil:\n  - \"\\n\\n\"\n  - Q:\n",
]


def plain(value):
    if isinstance(value, dict):
        return {key if isinstance(key, (str, int, float)) or key is None else str(key): plain(item)
                for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, int) and not -2**63 <= value < 2**63:
        return float(value)
    return value


class Loader(yaml.SafeLoader):
    """The safe loader without dates."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    cases = []
    for document in [f"[{scalar}]\n" for scalar in SCALARS] + [f"- {s}\n" for s in SCALARS] + DOCUMENTS:
        try:
            cases.append([document, json.dumps(plain(yaml.load(document, Loader)))])
        except Exception:  # refused
            cases.append([document, None])
    with open(os.path.join(here, "cases.json"), "w", encoding="utf-8") as file:
        json.dump(cases, file, indent=0)
        file.write("\n")
    print(len(cases), "cases")


if __name__ == "__main__":
    main()
