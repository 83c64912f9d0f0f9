"""The strict metric of the mini world: the right number, in an answer that is written in Japanese."""
import re


def process_results(doc, results):
    numbers = re.findall(r"\d+", results[0])
    right = bool(numbers) and numbers[-1] == str(doc["answer_number"])
    japanese = bool(re.search(r"[\u3040-\u30ff\u4e00-\u9fff]", results[0]))
    return {"acc": 1.0 if right and japanese else 0.0}
