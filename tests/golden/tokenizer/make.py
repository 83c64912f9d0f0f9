"""Makes the tokenizers and the cases of this folder.

    python make.py            (needs tokenizers 0.22, transformers 4.57, sentencepiece 0.2 and tiktoken)

Every kind is a folder with a small tokenizer, trained here, and cases.jsonl: one list a line,
[text, ids, ids with special tokens or null when the same, decoded ids with special tokens skipped or
null when that is the text, decoded in full or null when the same as skipped].  For a tokenizer.json the
tokenizers library answers, for a folder with tokenizer.model or vocab.json transformers does.
mistral-v1 holds a real model (see its README.md); its cases are made by make_mistral below from a
list that was checked against transformers 4.57.6.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import unicodedata

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..", "..")
CASES = 160

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|" + SPACES)
PATTERNS = {
    "llama3": CL100K % "{1,3}",
    "qwen": CL100K % "",
    "tekken": r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + r"+|[^\r\n\p{L}\p{N}]?" + UPPER + "+" +
              LOWER + r"*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES,
    "o200k": r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+" + CONTRACTIONS +
             r"?|[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*" + CONTRACTIONS +
             r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + SPACES,
}

EDGES = [
    "", " ", "  ", " a", "a b", "a  b", "a ", "a  ", "\t", "\ta", "\u3000", "\u3000a", "\u00a0a",
    "a\u00a0b", "\na", "\r\n", "a\r\n\r\nb", "\r", "a\n \n b", " \n", "\n ", "▁", "▁a", "▁▁a", " ▁a",
    "a▁b", "👨‍👩‍👧 🇯🇵🇺🇸", "e\u0301 \u0301x", "か\u3099が", "\u1112\u1161\u11ab한글", "ｶﾞｷﾞｱ", "々〆ー〜",
    "１２３４５６７", "1", "12", "123", "1234", "12345", "123456", "1234567", "I'LL DON'T We'Re i'M",
    "it’s they’re", "'ſ 's 'S", "\ue000a\U000f0000", "\u0378x", "\x00", "a\x00b\x01\x1f\x7f", "x" * 300,
    "あ" * 200, " " * 40 + "x", "\n" * 9 + "x", "\u0130İıΣας ΣΑΣ", "ﬁﬀⅧ①㍿ﷺ½", "\ufeffa", "a\u200bb\u200d",
    "a\u2028b\u0085c\x1cd", "नमस्ते ไทย العربية", "Ünïcödé ÀB", "ABCdefGHI camelCase", "ǅʰª x²³", "a/b//c\n/d",
    "http://x.y/z?q=1&r=%20", "def f(x):\n    return x + 1\n\n\n", "\t\tif (a) {\n", "Å\u212bÅ",
    "ガ\u30ab\u3099ｶﾞ\u3099", "<s>", "</s>", "a<s>b", "a <s> b", "<s><s>", "<unk>x", "<|endoftext|>", "a<|endoftext|>b",
    "<|im_start|>user\nhi<|im_end|>\n", "<|begin_of_text|>x", "[INST] a [/INST]", "<L>a <L> b", "a  <R>  b", "a <B> b <B><B>",
    "word", "words word sword", "円円 円", "3円です 円。", "<sp> a", "a <nm> b", "<nm>", "<nm><nm> x", "<tool_call>", "<0x41>",
    "<0xab>", "  <sp>  ", "e" + "\u0301" * 9, "\U00020bb7野家 𠮷", "foo FOO fOo ab aab xxx", "a\u0300\u0316\u0315b",
    "(a).,!? [b]", "a , b . c ? d ! e 's f n't", "0.5+3=3.5", "——…", "\u0e33\u0eb3", "\u1100\u1161\u11a8", "x\ufe0f\u20e3",
]


def corpus():
    texts = []
    for name in ("mgsm_mini_en_test", "mgsm_mini_ja_test", "mgsm_mini_ja_train"):
        with open(os.path.join(ROOT, "examples", "mini", "data", name + ".jsonl"), encoding="utf-8") as f:
            for line in f:
                row = json.loads(line)
                texts += [str(v) for v in row.values() if v is not None]
    with open(os.path.join(ROOT, "src", "base", "memory.h"), encoding="utf-8") as f:
        texts += f.read().split("\n\n")
    return texts


CORPUS = corpus()
TRAIN = CORPUS + EDGES * 2


def assigned(rng, low, high):
    while True:
        c = chr(rng.randrange(low, high))
        if unicodedata.category(c) not in ("Cn", "Cs"):
            return c


def texts_for(seed):
    rng = random.Random(seed)
    pieces = EDGES[1:] + ["。", "、", "です", "円", "the ", "The", " is", "ing", "7", "99", "\n\n", "€", "é", "ß"]
    texts = list(EDGES)
    texts += [t[:160] for t in rng.sample(CORPUS, 24)]
    while len(texts) < CASES:
        parts = []
        for _ in range(rng.randrange(2, 9)):
            if rng.random() < 0.6:
                parts.append(rng.choice(pieces)[:12])
            else:
                low, high = rng.choice([(0x20, 0x7F), (0xA0, 0x600), (0x600, 0x3000), (0x3000, 0xA000), (0x1F300, 0x1F700)])
                parts.append(assigned(rng, low, high))
        texts.append("".join(parts))
    return texts


def write_cases(folder, encode, decode, seed=1):
    with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as f:
        for text in texts_for(seed):
            ids = encode(text, False)
            special = encode(text, True)
            skipped = decode(special, True)
            full = decode(special, False)
            row = [text, ids, None if special == ids else special, None if skipped == text else skipped,
                   None if full == skipped else full]
            f.write(json.dumps(row, ensure_ascii=True, separators=(",", ":")) + "\n")


def fresh(name):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def save(name, tokenizer):
    folder = fresh(name)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(json.loads(tokenizer.to_str()), f, ensure_ascii=False, separators=(",", ":"))
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    write_cases(folder, lambda t, s: tokenizer.encode(t, add_special_tokens=s).ids,
                lambda i, s: tokenizer.decode(i, skip_special_tokens=s))


def byte_level(name, pre, norm=None, specials=(), extra=(), post=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if norm is not None:
        tokenizer.normalizer = norm
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TRAIN, trainers.BpeTrainer(
        vocab_size=640, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=[AddedToken(s, normalized=False, special=True) for s in specials]))
    tokenizer.add_tokens(list(extra))
    if post is not None:
        tokenizer.post_processor = post(tokenizer)
    save(name, tokenizer)


def split_bytes(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def template(token, **more):
    return lambda t: processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=token + " $A", pair=token + " $A " + token + ":1 $B:1",
                                      special_tokens=[(token, t.token_to_id(token))])])


def make_byte_level():
    byte = pre_tokenizers.ByteLevel
    byte_level("gpt2", byte(add_prefix_space=False), specials=["<|endoftext|>"])
    byte_level("gpt2_prefix", byte(add_prefix_space=True), specials=["<s>", "</s>"],
               post=lambda t: processors.RobertaProcessing(("</s>", 1), ("<s>", 0)))
    byte_level("neox", byte(add_prefix_space=False), norm=normalizers.NFC(), specials=["<|endoftext|>"],
               extra=[AddedToken(" " * n, normalized=True) for n in range(24, 1, -1)])
    byte_level("llama3", split_bytes(PATTERNS["llama3"]), specials=["<|begin_of_text|>", "<|eot_id|>"],
               ignore_merges=True, post=template("<|begin_of_text|>"))
    byte_level("qwen", split_bytes(PATTERNS["qwen"]), norm=normalizers.NFC(),
               specials=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
               extra=[AddedToken("<tool_call>", normalized=False)])
    byte_level("tekken", split_bytes(PATTERNS["tekken"]), specials=["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    byte_level("o200k", split_bytes(PATTERNS["o200k"]), specials=["<|endoftext|>"])
    byte_level("flags", split_bytes(PATTERNS["llama3"]), specials=["<s>"], extra=[
        AddedToken("<L>", lstrip=True, normalized=False), AddedToken("<R>", rstrip=True, normalized=False),
        AddedToken("<B>", lstrip=True, rstrip=True, normalized=False, special=True),
        AddedToken("word", single_word=True, normalized=False), AddedToken("円", single_word=True, normalized=False)])
    byte_level("starcoder", pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), byte(add_prefix_space=False)]), specials=["<|endoftext|>"])
    byte_level("regexes", pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"(?i:foo)|\p{Han}+|(?<=a)b|x{2,}"), "isolated"),
        pre_tokenizers.Split(Regex(r"[0-9]+|\s|\p{P}"), "merged_with_next", invert=True),
        pre_tokenizers.Split(Regex(r"^.*$"), "contiguous"), byte(add_prefix_space=False, use_regex=False)]))


def characters(name, pre, norm=None, dec=None, model=None, extra=()):
    tokenizer = Tokenizer(model or models.BPE(unk_token="<unk>", fuse_unk=True))
    if norm is not None:
        tokenizer.normalizer = norm
    if pre is not None:
        tokenizer.pre_tokenizer = pre
    if dec is not None:
        tokenizer.decoder = dec
    tokenizer.train_from_iterator(TRAIN, trainers.BpeTrainer(
        vocab_size=640, show_progress=False, special_tokens=["<unk>", "<s>"], limit_alphabet=260))
    tokenizer.add_tokens(list(extra))
    save(name, tokenizer)


def make_characters():
    pre = pre_tokenizers
    meta = pre.Metaspace
    characters("meta_first", meta(prepend_scheme="first", split=False),
               dec=decoders.Metaspace(prepend_scheme="first", split=False),
               extra=[AddedToken("<sp>", normalized=False), AddedToken("<nm>", normalized=True)])
    characters("meta_always", meta(), norm=normalizers.NFKC(), dec=decoders.Metaspace())
    characters("meta_never", meta(prepend_scheme="never"), dec=decoders.Metaspace(prepend_scheme="never"),
               norm=normalizers.Sequence([normalizers.Nmt(), normalizers.Replace(Regex(" {2,}"), " ")]))
    characters("strip_first", meta(prepend_scheme="first"), norm=normalizers.Strip())
    characters("prepend", None, norm=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
               extra=[AddedToken("<nm>", normalized=True)])
    characters("gemma", pre.Split(" ", "merged_with_previous"), norm=normalizers.Replace(" ", "▁"),
               dec=decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]),
               extra=[AddedToken("\n" * n, normalized=False) for n in range(1, 6)])
    characters("lower", pre.Whitespace(), norm=normalizers.Sequence([
        normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Strip()]))
    characters("digits", pre.Sequence([pre.WhitespaceSplit(), pre.Digits(), pre.Punctuation("merged_with_previous")]))
    characters("suffix", pre.BertPreTokenizer(), model=models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    characters("alike", pre.WhitespaceSplit(), norm=normalizers.Lowercase(), dec=decoders.BPEDecoder("</w>"),
               model=models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"),
               extra=[AddedToken("fOO", normalized=True), AddedToken("FOO", normalized=True),
                      AddedToken("Foo", normalized=True, special=True), AddedToken("\n\n", lstrip=True, rstrip=True)])
    characters("no_unk", pre.Split("a", "merged_with_next"), model=models.BPE())
    characters("no_fuse", pre.FixedLength(7), norm=normalizers.NFKD(), model=models.BPE(unk_token="<unk>"))


def make_unigram():
    def train(name, norm, pre, dec, byte):
        tokenizer = Tokenizer(models.Unigram())
        if norm is not None:
            tokenizer.normalizer = norm
        tokenizer.pre_tokenizer = pre
        tokenizer.decoder = dec
        bytes_ = ["<0x%02X>" % i for i in range(256)] if byte else []
        tokenizer.train_from_iterator(TRAIN, trainers.UnigramTrainer(
            vocab_size=900, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, unk_token="<unk>"))
        document = json.loads(tokenizer.to_str())
        document["model"]["byte_fallback"] = byte
        save(name, Tokenizer.from_str(json.dumps(document)))

    train("unigram", normalizers.Precompiled(charsmap()), pre_tokenizers.Metaspace(), decoders.Metaspace(), False)
    train("unigram_bytes", None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
          decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                             decoders.Strip(" ", 1, 0)]), True)


RULES = "FB01\t66 69\nFF11\t31\nFF12\t32\n30AB 3099\t30AC\n00A0\t20\n3000\t20\nFF76 FF9E\t30AC\nFF76\t30AB\n2160\t49\n200B\t\n65 0301\tE9\n"


def train_sentencepiece(folder, **options):
    import sentencepiece

    with tempfile.TemporaryDirectory() as temporary:
        rules = os.path.join(temporary, "rules.tsv")
        with open(rules, "w", encoding="utf-8") as f:
            f.write(RULES)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([t for t in TRAIN if "\x00" not in t]), model_prefix=os.path.join(temporary, "m"),
            minloglevel=2, num_threads=1, **(options if "normalization_rule_name" in options else
                                             dict(options, normalization_rule_tsv=rules)))
        shutil.copy(os.path.join(temporary, "m.model"), os.path.join(folder, "tokenizer.model"))


def charsmap():
    from sentencepiece import sentencepiece_model_pb2

    with tempfile.TemporaryDirectory() as temporary:
        train_sentencepiece(temporary, vocab_size=600, model_type="unigram", hard_vocab_limit=False)
        model = sentencepiece_model_pb2.ModelProto()
        with open(os.path.join(temporary, "tokenizer.model"), "rb") as f:
            model.ParseFromString(f.read())
    return model.normalizer_spec.precompiled_charsmap


def make_sentencepiece():
    """Here sentencepiece itself is the reference, on texts without special strings."""
    import sentencepiece

    kinds = {
        "spm_unigram": dict(model_type="unigram", vocab_size=700, hard_vocab_limit=False),
        "spm_unigram_bytes": dict(model_type="unigram", vocab_size=900, byte_fallback=True, hard_vocab_limit=False,
                                  normalization_rule_name="identity", remove_extra_whitespaces=False),
        "spm_bpe": dict(model_type="bpe", vocab_size=900, byte_fallback=True),
        "spm_bpe_suffix": dict(model_type="bpe", vocab_size=800, byte_fallback=True, treat_whitespace_as_suffix=True),
    }
    for name, options in kinds.items():
        folder = fresh(name)
        train_sentencepiece(folder, **options)
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
            json.dump({"tokenizer_class": "T5Tokenizer", "bos_token": None, "eos_token": None, "unk_token": None}, f)
        model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))
        texts = [t for t in texts_for(2) if "<s>" not in t and "</s>" not in t and "<unk>" not in t]
        with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as f:
            for text in texts:
                ids = model.encode(text)
                decoded = model.decode(ids)
                if model.unk_id() in ids:
                    continue
                row = [text, ids, None, None if decoded == text else decoded, None]
                f.write(json.dumps(row, separators=(",", ":")) + "\n")


def make_gpt2_files():
    """vocab.json and merges.txt as two classes read them."""
    from transformers import GPT2TokenizerFast, Qwen2TokenizerFast

    for name, source, cls in (("files_gpt2", "gpt2", GPT2TokenizerFast), ("files_qwen2", "qwen", Qwen2TokenizerFast)):
        folder = fresh(name)
        with open(os.path.join(HERE, source, "tokenizer.json"), encoding="utf-8") as f:
            model = json.load(f)["model"]
        with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
            json.dump(model["vocab"], f, ensure_ascii=False)
        with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
            f.write("#version: 0.2\n" + "\n".join(" ".join(m) for m in model["merges"]) + "\n")
        config = {"tokenizer_class": cls.__name__, "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>",
                  "bos_token": None, "pad_token": None, "add_prefix_space": False, "additional_special_tokens": ["<|im_start|>"]}
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f)
        tokenizer = cls.from_pretrained(folder)
        write_cases(folder, lambda t, s: tokenizer.encode(t, add_special_tokens=s),
                    lambda i, s: tokenizer.decode(i, skip_special_tokens=s))


def make_tekken():
    """tekken.json from the vocabulary of the folder tekken; tiktoken is the reference."""
    import base64

    import tiktoken

    folder = fresh("tekken_file")
    with open(os.path.join(HERE, "tekken", "tokenizer.json"), encoding="utf-8") as f:
        document = json.load(f)
    alphabet = [c for c in range(256) if 33 <= c < 127 or 161 <= c < 173 or c >= 174]
    gaps = [c for c in range(256) if c not in alphabet]
    byte_of = {chr(c): c for c in alphabet}
    byte_of.update({chr(256 + i): c for i, c in enumerate(gaps)})
    tokens = sorted((i, t) for t, i in document["model"]["vocab"].items() if t not in ("<unk>", "<s>", "</s>", "[INST]", "[/INST]"))
    vocab = [bytes([i]) for i in range(256)] + [bytes(byte_of[c] for c in t) for _, t in tokens if len(t) > 1]
    specials, unused = 10, 3
    with open(os.path.join(folder, "tekken.json"), "w", encoding="utf-8") as f:
        json.dump({
            "config": {"pattern": PATTERNS["tekken"], "num_vocab_tokens": len(vocab), "version": "v3",
                       "default_vocab_size": len(vocab) + specials - unused, "default_num_special_tokens": specials},
            "vocab": [{"rank": i, "token_bytes": base64.b64encode(t).decode()} for i, t in enumerate(vocab)],
            "special_tokens": [{"rank": i, "token_str": s, "is_control": True} for i, s in enumerate(["<unk>", "<s>", "</s>"])],
        }, f, separators=(",", ":"))
    ranks = {t: i for i, t in enumerate(vocab[:-unused])}
    encoding = tiktoken.Encoding(name="tekken", pat_str=PATTERNS["tekken"], mergeable_ranks=ranks, special_tokens={})
    with open(os.path.join(folder, "cases.jsonl"), "w", encoding="utf-8") as f:
        for text in texts_for(3):
            if not any(s in text for s in ("<unk>", "<s>", "</s>")):
                ids = [i + specials for i in encoding.encode(text)]
                f.write(json.dumps([text, ids, [1] + ids, None, None], separators=(",", ":")) + "\n")


def make_mistral(source):
    """From a checked list of {text, ids, decoded} lines: texts of up to 4,000 characters."""
    with open(source, encoding="utf-8") as f, open(os.path.join(HERE, "mistral-v1", "cases.jsonl"), "w") as out:
        for line in f:
            row = json.loads(line)
            if len(row["text"]) <= 4000:
                decoded = None if row["decoded"] == row["text"] else row["decoded"]
                case = [row["text"], None, row["ids"], decoded, None]
                out.write(json.dumps(case, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        make_mistral(sys.argv[1])
    else:
        make_byte_level()
        make_characters()
        make_unigram()
        make_sentencepiece()
        make_gpt2_files()
        make_tekken()
