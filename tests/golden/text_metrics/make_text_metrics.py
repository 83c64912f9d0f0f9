"""Makes expected.json: pairs of texts, with sacrebleu's edits and words of each and the scores of all.

usage: make_text_metrics.py   (needs sacrebleu)
"""
import json
import pathlib
import random

import sacrebleu

here = pathlib.Path(__file__).resolve().parent
rng = random.Random(11)
WORDS = ["a", "b", "c", "Dog", "cat", "THE", "犬", "x.", "Straße", "y,"]


def sentence(count):
    return " ".join(rng.choice(WORDS) for _ in range(count))


def shifted(words):
    """words with phrases moved, words replaced and an end cut off."""
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(words))
        end = min(len(words), start + rng.randint(1, 12))
        phrase = words[start:end]
        del words[start:end]
        target = rng.randint(0, len(words))
        words[target:target] = phrase
    for _ in range(rng.randint(0, 3)):
        words[rng.randrange(len(words))] = rng.choice(WORDS)
    return words[:len(words) // 2] if rng.random() < 0.3 else words


def pair():
    wanted = sentence(rng.choice([0, 1, 3, 8, 20, 60, 120]))
    kind = rng.random()
    if kind < 0.6 and len(wanted.split()) > 3:
        said = " ".join(shifted(wanted.split()))
    elif kind < 0.7:
        said = wanted.upper() + "  \n"
    elif kind < 0.75:
        said = ""
    else:
        said = sentence(rng.choice([1, 5, 30, 150]))
    return said, [wanted] if rng.random() < 0.6 else [wanted, sentence(7)]


def main():
    metric = sacrebleu.metrics.TER()
    rows = []
    for _ in range(70):
        said, wanted = pair()
        score = metric.corpus_score([said], [[text] for text in wanted])
        rows.append({"said": said, "wanted": wanted, "edits": score.num_edits, "words": score.ref_length})
    single = [row for row in rows if len(row["wanted"]) == 1]
    said, wanted = [row["said"] for row in single], [[row["wanted"][0] for row in single]]
    scores = {"ter": sacrebleu.corpus_ter(said, wanted).score, "bleu": sacrebleu.corpus_bleu(said, wanted).score,
              "chrf": sacrebleu.corpus_chrf(said, wanted).score,
              "chrf++": sacrebleu.corpus_chrf(said, wanted, word_order=2).score}
    with open(here / "expected.json", "w", encoding="utf-8") as file:
        json.dump({"rows": rows, "scores": scores}, file, ensure_ascii=False, indent=0)
        file.write("\n")


main()
