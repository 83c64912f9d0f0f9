"""Makes mgsm/: two folders as datasets' save_to_disk writes them, of questions of the mini world with
MGSM's columns.  Needs the `datasets` library; run from anywhere."""
import json
import pathlib

import datasets

here = pathlib.Path(__file__).parent
data = here.parents[2] / "examples" / "mini" / "data"
features = datasets.Features(
    question=datasets.Value("string"),
    answer=datasets.Value("string"),
    answer_number=datasets.Value("int32"),
    equation_solution=datasets.Value("string"),
)
for split, source in (("train", "mgsm_mini_ja_train.jsonl"), ("test", "mgsm_mini_ja_test.jsonl")):
    rows = [json.loads(line) for line in (data / source).read_text().splitlines()[:24]]
    table = {"question": [row["question"] for row in rows], "answer": [None] * len(rows),
             "answer_number": [row["answer_number"] for row in rows],
             "equation_solution": [None] * len(rows)}
    datasets.Dataset.from_dict(table, features=features).save_to_disk(here / "mgsm" / split)
