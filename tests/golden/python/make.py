"""Python literals as ast.literal_eval reads them, and values as str, repr and json.dumps print them;
written to cases.json.

    python3 make.py

"literals" holds [text, value] with null for texts that are no literal ({"value": ...} otherwise);
"prints" holds {"value", "repr", "json", "ascii"}.
"""

import ast
import json
import os
import random

LITERALS = r"""1|-1|+1|--1|1.5|-.5|.5|5.|1e5|1E-5|0x1F|0b101|0o17|1_000|01|00|0_0|1__0|1_|1e|'a'|"a"|'a"b'|'a\'b'|
'\n\t\\\x41\u3042\U0001F600\101\q'|'a' 'b'|'''a
b'''|\"\"\"x"y\"\"\"|r'\n'|R'\d'|u'a'|b'a'|f'a'|'a|"a|[1, 2]|[1, 2,]|[]|[,]|(1)|(1,)|()|(1, 2)|1, 2|1,|{'a': 1, 2: [3]}|
{'a': 1, 'a': 2}|{}|{1, 2}|{1,}|{1: 2, 3}|{1, 2: 3}|{[1]: 2}|None|True|False|none|true|Nonex|[None, True]| 1|1 |[1
, 2]|['a','b']|["it's", 'x']|1 2|1 + 2|a|a()|-True|-'a'|[1, [2, (3, {'k': ()})]]||123456789012345678901234567890|
['yes', "no", 'maybe']|'日本'|['\u3000']|-0|-0.0|1e400|[1 2]|[1;2]|(|)|]|[[[[[[[[[[]]]]]]]]]]|'a\
b'|# c|[-1, +2.5]|{'a':{'b':{}}}|'\400'|'\ud800'|'\x4'|0xg|1j|...|[1, ...]""".replace('\\"', '"').split("|")


def plain(value):
    if isinstance(value, dict):
        if not all(isinstance(key, (str, int, float)) or key is None for key in value):
            raise ValueError
        return {"map": [[plain(k), plain(v)] for k, v in value.items()]}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -2**63 <= value < 2**63:
        return float(value)
    if isinstance(value, (bytes, complex)) or value is ...:
        raise ValueError
    if isinstance(value, str):
        value.encode()
    return value


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    literals = []
    for text in LITERALS:
        text = text.strip("\n") if text.startswith("\n") else text
        try:
            literals.append([text, {"value": plain(ast.literal_eval(text))}])
        except Exception:  # no literal
            literals.append([text, None])
    random.seed(5)
    floats = [0.0, -0.0, 1.0, 1.5, 0.1, 1e15, 1e16, 1e17, 123456789012345680.0, 1e-4, 1e-5, 5e-324,
              1.7976931348623157e308, 2.5e-8, 1 / 3] + [random.random() * 10.0**random.randint(-30, 30)
                                                        for _ in range(60)]
    values = floats + [True, None, 0, -7, 2**63 - 1, "a", "it's", "\"q\"", "both '\"", "\n\t\r\\\x00\x7f",
                       "日本語\u3000\u200b\xad\xa0é😀\ue000\ufeff", [], {}, [1, [2.0, "x"]],
                       {"a": None, "b": {"c": [True]}}, ["\x85\u2028"], {"k 'q'": "\u0301"}]
    prints = [{"value": v, "repr": repr(v), "str": str(v), "json": json.dumps(v, ensure_ascii=False),
               "ascii": json.dumps(v), "indented": json.dumps(v, indent=2, sort_keys=True),
               "tight": json.dumps(v, separators=(",", ":"))} for v in values]
    with open(os.path.join(here, "cases.json"), "w", encoding="utf-8") as file:
        json.dump({"literals": literals, "prints": prints}, file, indent=0)
        file.write("\n")
    print(len(literals), "literals,", len(prints), "prints")


if __name__ == "__main__":
    main()
