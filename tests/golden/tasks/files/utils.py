import re

import datasets
from lm_eval.api.samplers import ContextSampler


def doc_to_text(doc):
    return "Q: " + doc["question"].strip() + "\nA:"


def doc_to_target(doc):
    return doc["label"]


def doc_to_choice(doc):
    return [choice.upper() for choice in doc["choices"]]


def keep_even(dataset):
    def mark(doc):
        doc["marked"] = "[" + doc["question"] + "]"
        return doc
    return dataset.filter(lambda doc: doc["id"] % 2 == 0).map(mark)


def process_results(doc, results):
    numbers = re.findall(r"\d+", results[0])
    right = bool(numbers) and numbers[-1] == str(doc["number"])
    return {"acc": 1.0 if right else 0.0, "length": len(results[0])}


def process_length(doc, results):
    return {"length": len(results[0])}


def process_choices(doc, results):
    lls, greedy = zip(*results)
    return {"acc": float(lls.index(max(lls)) == doc["label"]), "spread": (max(lls) - min(lls), 2)}


def mean_ratio(items):
    return sum(a / b for a, b in items) / len(items)


def overlap(references, predictions, **kwargs):
    gold, said = set(references[0].split()), set(predictions[0].split())
    return len(gold & said) / max(len(gold), 1) * kwargs.get("scale", 1)


def samples():
    return [{"question": "What is 1 and 1?", "short": "2", "number": 2, "label": 0, "choices": ["2", "3", "4", "5"]},
            {"question": "What is 2 and 3?", "short": "5", "number": 5, "label": 1, "choices": ["4", "5", "6", "7"]}]


def winogrande_text(doc):
    return {"1": 0, "2": 1}[doc["answer"]]


def winogrande_choice(doc):
    at = doc["one"].index("_")
    return [doc["one"][:at] + doc[option] for option in ("option1", "option2")]


def winogrande_target(doc):
    return doc["one"][doc["one"].index("_") + 1:].strip()


def splits(rows=3, **kwargs):
    made = [{"question": f"{i} and {i}?", "short": str(2 * i), "number": 2 * i, "id": i} for i in range(rows)]
    return {"test": datasets.Dataset.from_list(made)}


class LastSampler(ContextSampler):
    def sample(self, n, eval_doc=None, df=None, **kwargs):
        first = self.rnd.randrange(3)
        return self.fewshot_docs()[::-1][first:first + n]


def two_metrics(references, predictions, **kwargs):
    return {"same": float(references[0] == predictions[0]), "chars": len(predictions[0])}


def contains(items):
    gold, said = items
    return float(gold in said)


def first_word(resps, docs):
    return [[text.split()[0] if text.split() else "" for text in texts] for texts in resps]


class LastNumber:
    def __init__(self, fallback="none"):
        self.fallback = fallback

    def apply(self, resps, docs):
        return [[(re.findall(r"\d+", text) or [self.fallback])[-1] for text in texts] for texts in resps]
