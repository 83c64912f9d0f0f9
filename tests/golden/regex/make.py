"""Matches the patterns below with Python's re and with Oniguruma (as the tokenizers library has it) and
writes all matches, as byte offsets, to cases.json.

    python3 make.py          # Python 3.11 or later, needs tokenizers

A case is [pattern, matches per text]; matches are "begin,end;begin,end ..." with groups behind ";" for
Python, and the pieces of the text for Oniguruma; null where the pattern is refused.
"""

import json
import os
import re
import warnings

from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

PYTHON = [
    r"#### (\-?[0-9\.\,]+)", r"(-?[$0-9.,]{2,})|(-?[0-9]+)", r"答えは(\-?[0-9\.\,]+)です。", r"\s+", r"\S+",
    r"\d*\.?\d+", r"\w+", r"[\w\s]+", r"[^\s]+", r"[^\w\d]+", r"(?s).*#### ", r"\.$", r"(?m)^a.*$", r"a{,2}",
    r"a{2,3}?b", r"x*", r"(a)|b", r"(?P<n>a+)(?P=n)", r"\Z", r"a\Z", r"[]a]+", r"[[a]+", r"[a\]b-d]+",
    r"\b\w", r"(?i)straße|k", r"(?x) a b # c [", r"(?:a|ab)(?:c|bcd)(d*)", r"(?<=a)b", r"(?<!a)b",
    r"(?=a)\w", r"a++b", r"(?>a+)b", r"\x41|\u3042|\101|\0", r"[\b]", r"\v+", r"(a)(?(1)b|c)", r"[\s-]+",
    r"[a-z&&b]+", r"[\d.-]+", r"a{,}", r"{a}", r"a{1", r"(?i:A)b", r"(?a)\w+", r"(?a)\d+|\s", r"$", r"^",
    r"(?m)$", r".", r"(?s).", r"(\()([A-Z])\)", r":\s*(A|B|C)", r"[\u3040-\u30ff]+", r"(a*)*", r"(a|b)*?c",
    r"\.", r"\-", r"\ ", r"[^]]", r"((a)(b)?)+", r"[\W]+", r"[\S\n]+", r"[^\S\n]+", r"\p{L}", r"(?R)",
    r"(*UTF)a", r"a)", r"(a", r"*a", r"[a", r"\e", r"(?<x>a)", r"a**", r"\1", r"(a)\1", r"(?#c)a",
    r"[\x00-\x1f]", r"\777", r"\377", r"[\101]", r"\8", r"(?P<1>a)",
    r"ans(?:wer)?\s*(?:is|:)?\s*\(?([A-D])\)?",
]

ONIGURUMA = [
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t)?|\p{N}{1,3}|\s+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"\w+", r"\W", r"[\W\d]+", r"[a-z&&[^aeiou]]+", r"[^a-z&&[^aeiou]]",
    r"[^[^a]b]", r"[[a-c][^\w]]+", r"\h+", r"\H", r"(?m).+", r"^\w", r"\w$", r"\p{Han}+", r"\p{^L}+",
    r"[\p{^L}a]+", r"[[:alpha:]]+", r"[[:^alpha:]]+", r"[[:punct:]]+", r"\p{Punct}+", r"[[:space:]]+",
    r"[[:word:]]+", r"[[:upper:]]+", r"\d{2}?", r"a{,2}", r"\R", r"\A.", r".\Z", r".\z",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+", r"\p{P}|\p{S}", r"[一-龥぀-ゟ゠-ヿ]+",
    r"\s?[\p{P}\p{S}]+", r"(?<x>\w)\k<x>", r"(\w)\1", r"\x{3042}|\u3044", r"[\x00-\x7f]+",
    r"\p{Hiragana}+|\p{Katakana}+", r"(?i:k)", r"\p{Letter}+", r"\p{Uppercase_Letter}", r"[^\S ]",
    r"\e|\v|\O", r"\q", r"[\q\-a]", r"(?x) a b # c", r"\p{Foo}", r"(", r"[", r"\p{White_Space}",
    r"\d+(?=\.)|(?<!\d)\.", r"\Gfoo", r"\N", r"ab{2}+",
]

TEXTS = [
    "", "a", "b", "aaab", "aab\n", "axb", "a b\tc\x1c\x1d\x85\u180e\u3000d",
    "12,345.6 ７８ #### -1,234.5\n", "答えは18です。問題", "ab\nabc\na", "A1あいうー²½Ⅷ café",
    "STRASSE straße K k ſ", "abcd", "(A) : B\n(C)", "a-b&c[d]e{a}", "\x0b\x0c", "1", "\x08x", "aaaa",
    "bab", "É\u0301ⓐ_‿", "answer is (B)", "\x00Aeあ", "$5.00 9 ,, 3.",
    "Hello world, it's 12345 degrees!!\n\n  ok  ", "あいうカタカナー漢字、。１２３", "a\nb\r\nc\n",
    "IT'S K ſ'ſ", "foofoo abb abbbb a.1.2", "\"$#\" [x]^`|~ …", "ABC\u0301def 😀", "  \n \n", "aab12ee",
    "tail   ", "\u200b\u00ad\ufeff", "abc\\q-",
]


def python_matches(pattern, text):
    def offset(index):
        return -1 if index < 0 else len(text[:index].encode())

    compiled = re.compile(pattern)
    return " ".join(";".join(f"{offset(m.start(g))},{offset(m.end(g))}"
                             for g in range(compiled.groups + 1)) for m in compiled.finditer(text))


def oniguruma_pieces(pattern, text):
    return [piece for piece, _ in Split(Regex(pattern), "isolated").pre_tokenize_str(text)]


def cases(patterns, match):
    result = []
    for pattern in patterns:
        try:
            result.append([pattern, [match(pattern, text) for text in TEXTS]])
        except Exception:  # refused
            result.append([pattern, None])
    return result


def main():
    warnings.simplefilter("ignore")
    here = os.path.dirname(os.path.abspath(__file__))
    data = {"texts": TEXTS, "python": cases(PYTHON, python_matches),
            "oniguruma": cases(ONIGURUMA, oniguruma_pieces)}
    with open(os.path.join(here, "cases.json"), "w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
