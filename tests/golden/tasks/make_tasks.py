"""Makes files/ (data and task files) and expected.json: what lm-evaluation-harness 0.4.13 asks and how it
scores given answers, on tasks of every output type.

The model is a stand-in on the tokenizer of mini-ja: it records the token ids of every request and answers
with texts and log-likelihoods that are made from the request by a fixed rule, so that the C test can give
the same answers and compare prompts, ids, filtered responses, metrics and standard errors.

usage: make_tasks.py [chat]   (chat: expected_chat.json alone; needs lm_eval, transformers, datasets, scikit-learn, sacrebleu)
"""
import csv
import gzip
import hashlib
import json
import os
import pathlib
import random

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
here = pathlib.Path(__file__).resolve().parent
files = here / "files"
root = here.parent.parent.parent

# ---- data -------------------------------------------------------------------------------------------

rng = random.Random(5)
NAMES = ["Tom", "Anna", "太郎", "花子", "Zoë", "O'Neil"]
THINGS = ["apples", "みかん", "books", "naïve stamps", "cards"]


def question(i):
    a, b = rng.randint(2, 60), rng.randint(2, 60)
    name, thing = NAMES[i % len(NAMES)], THINGS[i % len(THINGS)]
    right = a + b
    choices = [str(right), str(right + 1), str(abs(a - b)), f"{right + 10} {thing}"]
    order = list(range(4))
    rng.shuffle(order)
    return {"id": i, "question": f"{name} has {a} {thing} and gets {b} more. How many?",
            "answer": f"{a} plus {b} is {right}.\n#### {right:,}", "number": right,
            "choices": [choices[k] for k in order], "label": order.index(0),
            "letter": "ABCD"[order.index(0)], "passage": f"  A tale of {name}.\n", "short": choices[0],
            "targets": [str(right), f"{right} {thing}"], "flag": i % 2 == 0, "empty": None,
            "meta": {"level": i % 3, "tags": ["x", name]}, "score": i / 4}


def jsonl(name, rows):
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (files / name).write_text(text, encoding="utf-8")


def make_data():
    test = [question(i) for i in range(7)]
    train = [question(100 + i) for i in range(11)]
    test[5]["question"] = test[5]["question"] + "   "
    jsonl("test.jsonl", test)
    jsonl("train.jsonl", train)
    (files / "array.json").write_text(json.dumps(test[:5], ensure_ascii=False), encoding="utf-8")
    (files / "field.json").write_text(json.dumps({"version": 1, "data": test[:5]}), encoding="utf-8")
    packed = "".join(json.dumps(row) + "\n" for row in test[:4]).encode()
    with open(files / "packed.jsonl.gz", "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0,
                                                                    filename="") as file:
        file.write(packed)
    with open(files / "table.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["q", "a", "n", "maybe", "ok"])
        for i, row in enumerate(test):
            writer.writerow([row["question"], 'say "x", y\nz' if i == 2 else row["short"], row["number"],
                             "" if i == 1 else i, row["flag"]])
    with open(files / "table.tsv", "w", encoding="utf-8") as file:
        for row in test:
            file.write(f"{row['question'].strip()}\t{row['number']}\n")
    (files / "lines.txt").write_text("first line\n二行目のテキスト\nthird  line with  spaces \n", encoding="utf-8")
    jsonl("wiki.jsonl", [{"page": "The cat sat on the mat. " * 3}, {"page": "今日は晴れでした。\n\n太郎は公園へ行きました。"},
                         {"page": " word " * 400}, {"page": "x"}])
    jsonl("pairs.jsonl", [{"one": "The trophy does not fit because _ is big.", "option1": "the trophy",
                           "option2": "the case", "answer": "1"},
                          {"one": "Anna thanked Mia because _ had helped.", "option1": "Anna", "option2": "Mia",
                           "answer": "2"},
                          {"one": "The dog ate because _ was hungry.", "option1": "the dog", "option2": "the bowl",
                           "answer": "1"}])
    import datasets
    for name, rows in (("test", test), ("train", train)):
        datasets.Dataset.from_list(rows).to_parquet(files / f"{name}.parquet")
    datasets.Dataset.from_list(train).save_to_disk(files / "saved" / "train")
    datasets.Dataset.from_list(test).save_to_disk(files / "saved" / "test")
    (files / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    for path in files.glob("saved/*/state.json"):
        state = json.loads(path.read_text())
        state["_fingerprint"] = "0" * 16
        path.write_text(json.dumps(state, indent=2))


UTILS = '''
import re

import datasets
from lm_eval.api.samplers import ContextSampler


def doc_to_text(doc):
    return "Q: " + doc["question"].strip() + "\\nA:"


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
    numbers = re.findall(r"\\d+", results[0])
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
        return [[(re.findall(r"\\d+", text) or [self.fallback])[-1] for text in texts] for texts in resps]
'''

JSON = {"dataset_path": "json",
        "dataset_kwargs": {"data_files": {"train": "train.jsonl", "test": "test.jsonl"}}, "test_split": "test"}
GEN = {**JSON, "output_type": "generate_until", "doc_to_text": "{{question}}\\nAnswer:",
       "doc_to_target": "{{short}}", "generation_kwargs": {"until": ["\\n\\n", "Q:"], "max_gen_toks": 40}}
MC = {**JSON, "output_type": "multiple_choice", "doc_to_text": "Question: {{question}}\\nAnswer:",
      "doc_to_choice": "choices", "doc_to_target": "label"}


def mean(*names, **more):
    return [{"metric": name, "aggregation": "mean", "higher_is_better": True, **more} for name in names]


TASKS = {
    # generation
    "gen_plain": {**GEN},
    "gen_defaults": {**JSON, "doc_to_text": "{{question}}", "doc_to_target": "short"},
    "gen_column": {**GEN, "doc_to_text": "question", "doc_to_target": "short"},
    "gen_function": {**GEN, "doc_to_text": "!function utils.doc_to_text",
                     "process_results": "!function utils.process_results", "metric_list": mean("acc")},
    "gen_regex": {**GEN, "doc_to_target": "{{answer.split('####')[-1].strip()}}",
                  "metric_list": mean("exact_match", ignore_case=True, ignore_punctuation=False,
                                      regexes_to_ignore=[",", "\\\\$", "(?s).*#### ", "\\\\.$"]),
                  "filter_list": [
                      {"name": "strict-match", "filter": [
                          {"function": "regex", "regex_pattern": "#### (\\\\-?[0-9\\\\.\\\\,]+)"},
                          {"function": "take_first"}]},
                      {"name": "flexible-extract", "filter": [
                          {"function": "regex", "group_select": -1,
                           "regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)"},
                          {"function": "take_first"}]}]},
    "gen_ignore": {**GEN, "metric_list": mean("exact_match", ignore_case=True, ignore_punctuation=True,
                                              ignore_numbers=True)},
    "gen_multi_target": {**GEN, "doc_to_target": "targets"},
    "gen_literal_target": {**GEN, "doc_to_target": "{{targets}}"},
    "gen_number_target": {**GEN, "doc_to_target": "number"},
    "gen_float_target": {**GEN, "doc_to_target": "score"},
    "gen_choice_target": {**GEN, "doc_to_choice": "choices", "doc_to_target": "label"},
    "gen_fewshot": {**GEN, "training_split": "train", "num_fewshot": 3},
    "gen_fewshot_many": {**GEN, "training_split": "train", "num_fewshot": 8, "description": "Count well.\\n\\n"},
    "gen_fewshot_same": {**GEN, "fewshot_split": "test", "num_fewshot": 2},
    "gen_fewshot_first": {**GEN, "fewshot_split": "train", "num_fewshot": 2,
                          "fewshot_config": {"sampler": "first_n"}},
    "gen_fewshot_first_same": {**GEN, "fewshot_split": "test", "num_fewshot": 3,
                               "fewshot_config": {"sampler": "first_n"}},
    "gen_fewshot_samples": {**GEN, "num_fewshot": 2, "fewshot_config": {
        "sampler": "first_n", "samples": [{"question": "One and one?", "short": "2"},
                                          {"question": "Two and two?", "short": "4"}]}},
    "gen_fewshot_function": {**GEN, "num_fewshot": 1, "fewshot_config": {"samples": "!function utils.samples"}},
    "gen_fewshot_format": {**GEN, "fewshot_split": "train", "num_fewshot": 2, "target_delimiter": "\\n",
                           "fewshot_delimiter": "\\n---\\n", "fewshot_config": {
                               "doc_to_text": "E: {{question}}", "doc_to_target": "{{answer}}",
                               "fewshot_delimiter": "\\n===\\n", "target_delimiter": " -> "}},
    "gen_prefix": {**GEN, "fewshot_split": "train", "num_fewshot": 1, "gen_prefix": "The answer is"},
    "gen_prefix_space": {**GEN, "gen_prefix": "{{passage}}", "doc_to_text": "{{question}}\\n"},
    "gen_description": {**GEN, "description": "Level {{meta.level}}, tags {{meta['tags']|join('/')}}.\\n"},
    "gen_description_column": {**GEN, "description": "passage"},
    "gen_repeats": {**GEN, "repeats": 3, "generation_kwargs": {"until": [], "do_sample": True, "temperature": 0.5},
                    "filter_list": [
                        {"name": "first", "filter": [{"function": "take_first"}]},
                        {"name": "vote", "filter": [
                            {"function": "regex", "regex_pattern": "(\\\\d+)", "group_select": -1},
                            {"function": "majority_vote"}, {"function": "take_first"}]},
                        {"name": "two", "filter": [{"function": "take_first_k", "k": 2},
                                                   {"function": "majority_vote"}, {"function": "take_first"}]}]},
    "gen_custom_filter": {**GEN, "doc_to_target": "{{number}}", "filter_list": [
        {"name": "last", "filter": [{"function": "!function utils.LastNumber", "fallback": "?"},
                                    {"function": "take_first"}]}]},
    "gen_case_filter": {**GEN, "doc_to_target": "{{short|lower}}", "filter_list": [
        {"name": "low", "filter": [{"function": "lowercase"}, {"function": "remove_whitespace"},
                                   {"function": "take_first"}]},
        {"name": "up", "filter": [{"function": "uppercase"}, {"function": "take_first"}]},
        {"name": "map", "filter": [{"function": "remove_whitespace"},
                                   {"function": "map", "mapping_dict": {"A": "1", "B": "2"}, "default_value": "0"},
                                   {"function": "take_first"}]}]},
    "gen_choice_regex": {**GEN, "doc_to_target": "({{letter}})", "filter_list": [
        {"name": "flexible", "filter": [
            {"function": "multi_choice_regex", "group_select": 0, "ignore_case": True, "ignore_punctuation": True,
             "regex_pattern": "(\\\\([A-Z]\\\\))"}, {"function": "take_first"}]}]},
    "gen_metric_function": {**GEN, "metric_list": [
        {"metric": "!function utils.overlap", "aggregation": "mean", "higher_is_better": True, "scale": 2}]},
    "gen_metric_dict": {**GEN, "metric_list": [
        {"metric": "!function utils.two_metrics", "aggregation": "mean", "higher_is_better": True}]},
    "gen_metric_targets": {**GEN, "doc_to_target": "targets", "metric_list": [
        {"metric": "!function utils.contains", "aggregation": "mean", "higher_is_better": True}]},
    "gen_filter_function": {**GEN, "filter_list": [
        {"name": "word", "filter": [{"function": "custom", "filter_fn": "!function utils.first_word"},
                                    {"function": "take_first"}]}]},
    "gen_spans": {**GEN, "doc_to_target": "{{answer}}", "filter_list": [
        {"name": "span", "filter": [{"function": "format_span"}, {"function": "take_first"}]},
        {"name": "pos", "filter": [{"function": "regex_pos"}, {"function": "take_first"}]}],
        "process_results": "!function utils.process_length", "metric_list": mean("length")},
    "gen_sampler_class": {**GEN, "fewshot_split": "train", "num_fewshot": 2,
                          "fewshot_config": {"sampler": "!function utils.LastSampler"}},
    "gen_custom_dataset": {**JSON, "dataset_path": None, "dataset_kwargs": None, "output_type": "generate_until",
                           "custom_dataset": "!function utils.splits", "metadata": {"rows": 4, "version": 1},
                           "doc_to_text": "{{question}}", "doc_to_target": "{{short}}"},
    "gen_until_text": {**GEN, "generation_kwargs": {"until": "\\n", "max_new_tokens": 30, "temperature": "0.0"}},
    "gen_process_docs": {**GEN, "process_docs": "!function utils.keep_even", "doc_to_text": "marked",
                         "training_split": "train", "num_fewshot": 2},
    "gen_bleu": {**GEN, "doc_to_target": "answer", "metric_list": [
        {"metric": name, "aggregation": name, "higher_is_better": True} for name in ("bleu", "chrf", "chrf++")]},
    "gen_bypass": {**GEN, "metric_list": [{"metric": "bypass", "aggregation": "bypass", "higher_is_better": True}]},
    "gen_eval_rows": {**GEN, "dataset_kwargs": {"data_files": "array.json"}, "test_split": None,
                      "validation_split": "train"},
    "gen_field": {**GEN, "dataset_kwargs": {"data_files": "field.json", "field": "data"}, "test_split": "train"},
    "gen_gzip": {**GEN, "dataset_kwargs": {"data_files": {"test": ["packed.jsonl.gz"]}}},
    "gen_csv": {**GEN, "dataset_path": "csv", "dataset_kwargs": {"data_files": {"test": "table.csv"}},
                "doc_to_text": "{{q}} {{n}} {{maybe}} {{ok}}", "doc_to_target": "a"},
    "gen_tsv": {**GEN, "dataset_path": "csv", "dataset_kwargs": {
        "data_files": {"test": "table.tsv"}, "sep": "\\t", "names": ["q", "n"], "quoting": 3},
        "doc_to_text": "{{q}}", "doc_to_target": "n"},
    "gen_text": {**GEN, "dataset_path": "text", "dataset_kwargs": {"data_files": {"test": "lines.txt"}},
                 "doc_to_text": "text", "doc_to_target": ""},
    "gen_arrow": {**GEN, "dataset_path": "arrow", "dataset_kwargs": {"data_files": {
        "train": "saved/train/data-00000-of-00001.arrow", "test": "saved/test/data-00000-of-00001.arrow"}},
        "training_split": "train", "num_fewshot": 2},
    "gen_parquet": {**GEN, "dataset_path": "parquet", "dataset_kwargs": {"data_files": {"test": "test.parquet"}},
                    "doc_to_text": "{{question}} {{meta}} {{choices}} {{empty}} {{flag}} {{score}}"},
    # multiple choice
    "mc_plain": {**MC, "metric_list": mean("acc", "acc_norm", "acc_bytes", "exact_match")},
    "mc_fewshot_choice": {**MC, "fewshot_split": "train", "num_fewshot": 2, "fewshot_config": {
        "doc_to_choice": "{{choices[::-1]}}", "doc_to_target": "{{3 - label}}", "doc_to_text": "{{question}} ="}},
    "mc_defaults": {**MC, "doc_to_choice": "{{choices}}"},
    "mc_letters": {**MC, "doc_to_choice": ["A", "B", "C", "D"], "doc_to_target": "letter",
                   "doc_to_text": "{{question}}\\nA. {{choices[0]}}\\nB. {{choices[1]}}\\nAnswer:"},
    "mc_map": {**MC, "doc_to_choice": {"a": "yes", "b": "no"}, "doc_to_target": "{{1 if flag else 0}}"},
    "mc_function": {**MC, "doc_to_choice": "!function utils.doc_to_choice",
                    "doc_to_target": "!function utils.doc_to_target"},
    "mc_multi_target": {**MC, "doc_to_target": "{{[label, 0]}}", "metric_list": mean("acc", "acc_norm", "exact_match")},
    "mc_multi_input": {**MC, "dataset_kwargs": {"data_files": {"test": "pairs.jsonl"}},
                       "doc_to_text": "!function utils.winogrande_text",
                       "doc_to_choice": "!function utils.winogrande_choice",
                       "doc_to_target": "!function utils.winogrande_target", "metric_list": mean("acc")},
    "mc_fewshot": {**MC, "fewshot_split": "train", "num_fewshot": 5, "description": "Choose.\\n"},
    "mc_delimiter": {**MC, "target_delimiter": "", "doc_to_text": "{{question}} ", "fewshot_split": "train",
                     "num_fewshot": 1},
    "mc_mutual": {**MC, "metric_list": mean("acc", "acc_mutual_info")},
    "mc_f1": {**MC, "doc_to_choice": ["no", "yes"], "doc_to_target": "{{1 if flag else 0}}", "metric_list": [
        {"metric": "f1", "aggregation": "f1"}, {"metric": "mcc", "aggregation": "matthews_corrcoef"},
        {"metric": "acc", "aggregation": "mean"}]},
    "mc_brier": {**MC, "metric_list": [{"metric": "brier_score", "aggregation": "brier_score",
                                        "higher_is_better": False}]},
    "mc_results": {**MC, "process_results": "!function utils.process_choices", "metric_list": [
        {"metric": "acc", "aggregation": "mean"},
        {"metric": "spread", "aggregation": "!function utils.mean_ratio", "higher_is_better": False}]},
    "mc_prefix": {**MC, "gen_prefix": "So:", "fewshot_split": "train", "num_fewshot": 1},
    "mc_median": {**MC, "metric_list": [{"metric": "acc", "aggregation": "median", "higher_is_better": True}]},
    # likelihood
    "ll_plain": {**JSON, "output_type": "loglikelihood", "doc_to_text": "{{question}}",
                 "doc_to_target": "{{' ' + short}}"},
    "ll_empty": {**JSON, "output_type": "loglikelihood", "doc_to_text": "", "doc_to_target": "{{question}}"},
    "ll_fewshot": {**JSON, "output_type": "loglikelihood", "doc_to_text": "{{question}}  ",
                   "doc_to_target": "{{short}}", "fewshot_split": "train", "num_fewshot": 2},
    "roll_plain": {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "wiki.jsonl"}},
                   "test_split": "test", "output_type": "loglikelihood_rolling", "doc_to_text": "",
                   "doc_to_target": "{{page}}"},
    "roll_column": {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "wiki.jsonl"}},
                    "test_split": "test", "output_type": "loglikelihood_rolling", "doc_to_text": "",
                    "doc_to_target": "page", "metric_list": [
                        {"metric": "word_perplexity", "aggregation": "weighted_perplexity"},
                        {"metric": "bits_per_byte", "aggregation": "bits_per_byte"}]},
}

# What include, groups and tags look like.
EXTRA = {
    "base_part": "dataset_path: json\ndataset_kwargs: {data_files: {test: test.jsonl}}\ntest_split: test\n"
                 "output_type: multiple_choice\ndoc_to_text: '{{question}}'\ndoc_to_choice: choices\n"
                 "doc_to_target: label\ntag: golden_tag\nmetadata: {version: 2}\n",
    "tag_one.yaml": "include: base_part\ntask: tag_one\n",
    "tag_two.yaml": "include: [base_part]\ntask: tag_two\ndoc_to_text: 'Two: {{question}}'\ntask_alias: second\n",
    "tag_three.yaml": "include: base_part\ntask: tag_three\ndoc_to_text: 'Three: {{question}}'\n"
                      "dataset_kwargs: {data_files: {test: array.json}}\n",
    "golden_group.yaml": "group: golden_group\ngroup_alias: Golden\ntask:\n  - tag_one\n  - tag_three\n"
                         "  - group: inner\n    task:\n      - task: tag_two\n        doc_to_text: 'Inner: {{question}}'\n"
                         "aggregate_metric_list:\n  - {metric: acc, weight_by_size: true}\n"
                         "  - {metric: acc_norm, weight_by_size: false, filter_list: none}\nmetadata: {version: 3}\n",
}


def scalar(value):
    """JSON is YAML, but for !function and the doubled backslashes of the tables above."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(scalar(v) for v in value) + "]"
    if isinstance(value, str) and value.startswith("!function"):
        return value
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    return json.dumps(value)


def make_tasks():
    for name, task in TASKS.items():
        lines = [f"task: {name}"] + [f"{key}: {scalar(value)}" for key, value in task.items()]
        (files / f"{name}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, text in EXTRA.items():
        (files / name).write_text(text, encoding="utf-8")
    (files / "utils.py").write_text(UTILS.lstrip(), encoding="utf-8")


# ---- the stand-in model -----------------------------------------------------------------------------


def number_of(*parts):
    """A number from 0 to 1 that the request decides: FNV-1a over its parts."""
    value = 0xcbf29ce484222325
    for part in parts:
        for byte in part.encode() + b"\0":
            value = ((value ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return (value >> 11) / 2 ** 53


def answer_text(doc, index):
    """A text with something of the row in it, right in about half of the rows."""
    right = doc.get("number", 7)
    options = [f"{right}", f"It is {right + 3}.", f" so #### {right:,}", f"The answer is ({doc.get('letter', 'A')}).",
               f"{doc.get('short', 'x')}", f"A: {right}. Yes", "no idea", f"{' '.join(doc.get('targets', ['?']))}",
               f"person: {doc.get('short', 'x')}, Bob $$ Location : none\nDATE: {right}",
               f"['x'] ('a', 'NOUN') ('{right}', 'NUM')"]
    return options[(index * 5 + doc.get("id", 0) * 3) % len(options)]


def ids_key(ids):
    return ",".join(str(i) for i in ids)


def build_model():
    from lm_eval.models.huggingface import HFLM

    class Recorder(HFLM):
        def reset(self):
            self.asked = []

        def _loglikelihood_tokens(self, requests, disable_tqdm=False, override_bs=None):
            answers = []
            for _, context, continuation in requests:
                share = number_of(ids_key(context), ids_key(continuation))
                answers.append((round(-20 * share, 6), share < 0.3))
                self.asked.append([list(context), list(continuation), *answers[-1]])
            return answers

        def generate_until(self, requests, disable_tqdm=False):
            answers = []
            for i, request in enumerate(requests):
                context, arguments = request.args
                limit = self.max_length - arguments.get("max_gen_toks", 256)
                answers.append(answer_text(request.doc, i % request.repeats))
                self.asked.append([self.tok_encode(context, left_truncate_len=limit), answers[-1]])
            return answers

    return Recorder(pretrained=str(root / "examples/mini/models/mini-ja"), device="cpu", dtype="float32")


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def arguments_of(sample):
    """Prompts and continuations; generation arguments are in the task file."""
    return [[part for part in argument if isinstance(part, str)] for argument in sample["arguments"]]


def run():
    import lm_eval
    from lm_eval.tasks import TaskManager
    os.chdir(files)
    manager = TaskManager(include_path=str(files), include_defaults=False)
    model = build_model()
    expected = {}
    for name in list(TASKS) + ["golden_group", "golden_tag"]:
        model.reset()
        result = lm_eval.simple_evaluate(model=model, tasks=[name], task_manager=manager, bootstrap_iters=2000,
                                         log_samples=True, random_seed=0, numpy_random_seed=0,
                                         torch_random_seed=0, fewshot_random_seed=1234)
        entry = {"results": plain(result["results"]), "groups": plain(result.get("groups", {})), "tasks": {}}
        for task, samples in result["samples"].items():
            rows = []
            for sample in samples:
                metrics = {m: plain(sample[m]) for m in sample["metrics"]}
                rows.append({"doc_id": sample["doc_id"], "filter": sample["filter"],
                             "arguments": arguments_of(sample), "filtered": plain(sample["filtered_resps"]),
                             "metrics": metrics})
            entry["tasks"][task] = rows
        entry["asked"] = model.asked
        expected[name] = entry
        print(name, {k: v for k, v in list(result["results"].values())[0].items() if "," in k and "stderr" not in k})
    with open(here / "expected.json", "w", encoding="utf-8") as file:
        json.dump(expected, file, ensure_ascii=False, separators=(",", ":"))


# ---- chat templates ---------------------------------------------------------------------------------

PLAIN_CHAT = ("{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n"
              "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}")
NO_SYSTEM_CHAT = ("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
                  "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] | trim }} "
                  "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}")
CHATS = [("gen_plain", True, None), ("gen_fewshot", True, None), ("gen_fewshot", False, "Be brief."),
         ("gen_prefix", True, None), ("gen_prefix", False, None), ("gen_description", True, "Be brief."),
         ("gen_prefix_space", True, None), ("mc_plain", True, None), ("mc_fewshot", True, None),
         ("mc_fewshot", False, None), ("mc_prefix", True, None), ("mc_multi_input", True, None),
         ("ll_fewshot", True, "Be brief."), ("gen_fewshot_format", False, None)]


def run_chat():
    import lm_eval
    from lm_eval.tasks import TaskManager
    os.chdir(files)
    manager = TaskManager(include_path=str(files), include_defaults=False)
    model = build_model()
    cases = []
    for template in (PLAIN_CHAT, NO_SYSTEM_CHAT):
        model.tokenizer.chat_template = template
        for name, multiturn, system in CHATS:
            model.reset()
            result = lm_eval.simple_evaluate(model=model, tasks=[name], task_manager=manager, bootstrap_iters=0,
                                             log_samples=True, apply_chat_template=True, limit=3,
                                             fewshot_as_multiturn=multiturn, system_instruction=system)
            rows = [arguments_of(sample) for sample in result["samples"][name]]
            cases.append({"task": name, "template": template, "multiturn": multiturn, "system": system,
                          "arguments": rows, "asked": [entry[:2] for entry in model.asked]})
            print(name, rows[0][0])
    with open(here / "expected_chat.json", "w", encoding="utf-8") as file:
        json.dump(cases, file, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    import sys
    if sys.argv[1:] != ["chat"]:
        make_data()
        make_tasks()
        run()
    run_chat()
