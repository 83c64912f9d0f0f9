"""Random tokenizers and random texts: merganser against the tokenizers library.

    python differential_tokenizer.py MERGANSER [--models 100] [--texts 100] [--seed 1] [--keep DIR]

Every model is a random composition of normaliser, pre-tokeniser, model, post-processor, decoder and
added tokens, trained on a random corpus.  Encodings with and without special tokens and decodings are
compared; the first differences of each model are printed with the seed that makes it again, and its
folder is kept under --keep.  Needs tokenizers 0.22.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

WORDS = ("the a of Merge model's don't I'LL weights 12 345 6.5 円 りんご を 食べる。 日本語 モデル ﾓﾃﾞﾙ ガ Straße café "
         "naïve e\u0301 \u1112\u1161\u11ab 한글 привет мир שלום العربية नमस्ते 👨‍👩‍👧 🇯🇵 x=1; def f(x): return\tx \n\n "
         "\u3000 \u00a0 ﬁ Ⅷ ½ İı ΣΑΣ <s> </s> [X] foo foobar ##ing @@ ▁ ▁▁ Ġ").split(" ")
RANGES = [(0x20, 0x7e)] * 6 + [(0x0, 0x1f), (0x7f, 0x24f), (0x300, 0x36f), (0x370, 0x52f), (0x590, 0x6ff), (0x900, 0x97f),
          (0xe00, 0xe7f), (0x1100, 0x11ff), (0x1e00, 0x206f), (0x20a0, 0x21ff), (0x2460, 0x24ff), (0x3000, 0x30ff),
          (0x3040, 0x30ff), (0x4e00, 0x4fff), (0xac00, 0xacff), (0xf900, 0xfaff), (0xfb00, 0xfbff), (0xfe00, 0xffef),
          (0x1f300, 0x1f6ff), (0x20000, 0x20100), (0xe0000, 0xe007f), (0x10ff00, 0x10ffff)]
PATTERNS = [r"\s+", r"\d", r"\p{L}+|\p{N}+|[^\s\p{L}\p{N}]+", r" ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            r"[\p{Han}\p{Hiragana}\p{Katakana}]+", r"[A-Z]", r"\p{M}", r"(?<=\d)\D", r"[^\p{L}]", r"\w+|[^\w\s]+", r".", r"[\r\n]"]
BEHAVIOURS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def text(rng):
    parts = []
    for _ in range(rng.randrange(0, 12)):
        kind = rng.random()
        if kind < 0.5:
            parts.append(rng.choice(WORDS))
        elif kind < 0.8:
            low, high = rng.choice(RANGES)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 5))))
        else:
            parts.append(rng.choice([" ", "  ", "\n", "\t", "'", ".", "0", "a"]) * rng.choice([1, 1, 2, 3, 20]))
        if rng.random() < 0.6:
            parts.append(" ")
    return "".join(parts)


def some(rng, makers, most):
    chosen = [rng.choice(makers)() for _ in range(rng.randint(0, most))]
    return chosen


def normaliser(rng):
    makers = [normalizers.NFC, normalizers.NFD, normalizers.NFKC, normalizers.NFKD, normalizers.Lowercase,
              normalizers.StripAccents, lambda: normalizers.Strip(rng.random() < 0.5, rng.random() < 0.5),
              lambda: normalizers.Replace(rng.choice([" ", "a", "``", "ガ"]), rng.choice(["▁", "", "bb", " "])),
              lambda: normalizers.Replace(Regex(rng.choice(PATTERNS[:4] + [" {2,}", "[aeiou]"])), rng.choice([" ", "", "x"])),
              lambda: normalizers.Prepend(rng.choice(["▁", " ", "x"]))]
    chosen = some(rng, makers, 3)
    return None if not chosen else chosen[0] if len(chosen) == 1 else normalizers.Sequence(chosen)


def byte_level(rng):
    return pre_tokenizers.ByteLevel(add_prefix_space=rng.random() < 0.5, use_regex=rng.random() < 0.5)


def pretokeniser(rng, bytes_wanted, normalised):
    """Without "first" behind a normaliser: that asks where a piece was before, which merganser does not keep."""
    schemes = ["always", "never"] if normalised else ["always", "first", "never"]
    makers = [lambda: pre_tokenizers.Metaspace(replacement=rng.choice("▁_"), prepend_scheme=rng.choice(schemes),
                                               split=rng.random() < 0.7),
              lambda: pre_tokenizers.Split(Regex(rng.choice(PATTERNS)), rng.choice(BEHAVIOURS), rng.random() < 0.4),
              lambda: pre_tokenizers.Split(rng.choice([" ", "a", "、"]), rng.choice(BEHAVIOURS), rng.random() < 0.4),
              lambda: pre_tokenizers.Digits(rng.random() < 0.5),
              lambda: pre_tokenizers.Punctuation(rng.choice(BEHAVIOURS)),
              pre_tokenizers.Whitespace, pre_tokenizers.WhitespaceSplit]
    chosen = some(rng, makers, 2)
    if bytes_wanted:
        chosen.append(byte_level(rng))
    return None if not chosen else chosen[0] if len(chosen) == 1 else pre_tokenizers.Sequence(chosen)


def decoder(rng, bytes_wanted):
    makers = [lambda: decoders.Replace("▁", " "), decoders.Fuse, lambda: decoders.Strip(" ", rng.randint(0, 2), rng.randint(0, 2)),
              lambda: decoders.Metaspace("▁", rng.choice(["always", "first", "never"])), decoders.ByteFallback,
              lambda: decoders.BPEDecoder(rng.choice(["</w>", "x"]))]
    chosen = some(rng, makers, 3)
    if bytes_wanted and rng.random() < 0.9:
        chosen = [decoders.ByteLevel()]
    return None if not chosen else chosen[0] if len(chosen) == 1 else decoders.Sequence(chosen)


def train(rng, tokenizer, unigram, lines, added):
    special = [t for t in ("<unk>", "<s>", "</s>")]
    size = rng.choice([500, 900, 1500])
    if unigram:
        trainer = trainers.UnigramTrainer(vocab_size=3 * size, special_tokens=special, unk_token="<unk>", show_progress=False)
    else:
        affixes = rng.choice([{}, {}, {"continuing_subword_prefix": "##"}, {"end_of_word_suffix": "</w>"}])
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if rng.random() < 0.5 else [], **affixes)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_tokens([t for t in added if not t.special])
    tokenizer.add_special_tokens([t for t in added if t.special])


def add_bytes(rng, data):
    """Gives a model byte pieces, where byte fallback asks for them."""
    vocabulary = data["model"]["vocab"]
    names = ["<0x%02X>" % b for b in range(256) if rng.random() < 0.98]
    if isinstance(vocabulary, list):
        vocabulary += [[n, -20.0] for n in names]
    else:
        taken = max(list(vocabulary.values()) + [t["id"] for t in data["added_tokens"]]) + 1
        for i, name in enumerate(names):
            vocabulary[name] = taken + i
    data["model"]["byte_fallback"] = True


def make(rng):
    unigram = rng.random() < 0.35
    bytes_wanted = rng.random() < (0.2 if unigram else 0.6)
    tokenizer = Tokenizer(models.Unigram() if unigram else models.BPE(unk_token=rng.choice([None, "<unk>"]),
                                                                     fuse_unk=rng.random() < 0.5,
                                                                     ignore_merges=rng.random() < 0.3))
    made = normaliser(rng)
    if made is not None:
        tokenizer.normalizer = made
    made = pretokeniser(rng, bytes_wanted, tokenizer.normalizer is not None)
    if made is not None:
        tokenizer.pre_tokenizer = made
    added = [AddedToken(rng.choice(["foo", "[X]", "<|a|>", "<|a|>b", "é", "日本", "  ", "\n\n", "Merge", "e\u0301", "x y", "円", "İ", "ﬁ"]),
                        single_word=rng.random() < 0.3, lstrip=rng.random() < 0.3, rstrip=rng.random() < 0.3,
                        normalized=rng.random() < 0.5, special=rng.random() < 0.5) for _ in range(rng.randint(0, 4))]
    if tokenizer.normalizer is not None:  # a token that becomes nothing matches everywhere there, nowhere here
        added = [t for t in added if not t.normalized or tokenizer.normalizer.normalize_str(t.content)]
    train(rng, tokenizer, unigram, [text(rng) for _ in range(300)], added)
    made = decoder(rng, bytes_wanted)
    if made is not None:
        tokenizer.decoder = made
    kind = rng.randrange(5)
    bos, eos = ("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))
    if kind == 1:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[bos])
    elif kind == 2:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A $B </s>", special_tokens=[eos])
    elif kind == 3:
        tokenizer.post_processor = processors.RobertaProcessing(eos, bos, rng.random() < 0.5, rng.random() < 0.5)
    elif kind == 4:
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False),
                                                        processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B </s>",
                                                                                      special_tokens=[bos, eos])])
    data = json.loads(tokenizer.to_str())
    if rng.random() < 0.4:
        add_bytes(rng, data)
    return json.dumps(data, ensure_ascii=False)


def ask(program, folder, requests):
    path = os.path.join(folder, "requests.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        for i, request in enumerate(requests):
            file.write(json.dumps(dict(request, id=i)) + "\n")
    done = subprocess.run([program, "tokenize", folder, "--requests", path], capture_output=True, timeout=120)
    if done.returncode != 0:
        return None, done.stderr.decode("utf-8", "replace").strip()
    replies = [None] * len(requests)
    for line in done.stdout.decode("utf-8").split("\n")[:-1]:
        reply = json.loads(line)
        replies[reply["id"]] = reply
    return replies, ""


def expected(tokenizer, request):
    try:
        if "ids" in request:
            return {"text": tokenizer.decode(request["ids"], skip_special_tokens=request["skip_special_tokens"])}
        return {"ids": tokenizer.encode(request["text"], add_special_tokens=request["add_special_tokens"]).ids}
    except BaseException as error:  # the library panics on some models
        return {"error": str(error)}


def check(program, seed, texts, keep):
    rng = random.Random(seed)
    try:
        source = make(rng)
        tokenizer = Tokenizer.from_str(source)
    except BaseException:
        return "unmade", ""
    folder = os.path.join(keep, str(seed))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        file.write(source)
    size = tokenizer.get_vocab_size()
    requests = [{"text": text(rng), "add_special_tokens": rng.random() < 0.5} for _ in range(texts)]
    requests += [{"ids": [rng.randrange(size) for _ in range(rng.randrange(0, 12))], "skip_special_tokens": rng.random() < 0.5}
                 for _ in range(texts)]
    replies, message = ask(program, folder, requests)
    if replies is None:
        return "refused", message.splitlines()[0]
    wrong = []
    for request, reply in zip(requests, replies):
        want = expected(tokenizer, request)
        got = {k: v for k, v in (reply or {}).items() if k != "id"}
        if "error" in want:
            continue
        if want != got:
            wrong.append("first: %s\n    expected %s\n    got      %s" % (json.dumps(request), want, got))
    if wrong:
        return "different", "%d of %d; %s" % (len(wrong), len(requests), wrong[0])
    for name in ("tokenizer.json", "requests.jsonl"):
        os.remove(os.path.join(folder, name))
    os.rmdir(folder)
    return "equal", ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", default=None)
    options = parser.parse_args()
    keep = options.keep or tempfile.mkdtemp()
    counts = {}
    for seed in range(options.seed, options.seed + options.models):
        kind, note = check(options.program, seed, options.texts, keep)
        counts[kind] = counts.get(kind, 0) + 1
        if note:
            print("seed %d %s: %s" % (seed, kind, note))
    print(", ".join("%s %d" % pair for pair in sorted(counts.items())))
    sys.exit(1 if "different" in counts else 0)


if __name__ == "__main__":
    main()
