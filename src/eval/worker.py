"""The python3 side of eval/python.c: runs the functions that task files name with !function.

Requests and replies are JSON, one object a line, on two private file descriptors; the standard output
of user code goes to standard error.  The first line says that the worker is ready.  Requests name a
function by file and attribute:

  {"id", "op": "call_many", "file", "name", "calls": [[argument, ...], ...], "keywords": {...}}
      replies {"id", "item": i, "value": v} or {"id", "item": i, "error": text} for each call, in order,
      then {"id", "done": true}
  {"id", "op": "look", "file", "name"}           value: {"kind": "function" | "class" | "value", "value"}
  {"id", "op": "map_split", "file", "name", "rows", "columns"}                value: the new rows
  {"id", "op": "make_splits", "file", "name", "keywords"}                     value: split -> rows
  {"id", "op": "samples", "file", "name"}                                     value: rows
  {"id", "op": "filter", "file", "name", "keywords", "responses", "docs"}     value: responses
  {"id", "op": "sample", "file", "name", "pool", "count", "docs", "seed"}     value: rows of each doc
  {"id", "op": "score", "file", "name", "keywords", "pairs"}                  as call_many: metric values
  {"id", "op": "library", "name", "keywords", "pairs", "several"}             value: a known package's metrics

Failures name the place: "FILE:LINE: NAME: ERROR".  The end of the request stream ends the process,
whatever user code is doing.  Task files that import lm_eval get a small stand-in; datasets.Dataset is
used where it is installed and a list with the same methods where it is not.
"""
import base64
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import queue
import re
import sys
import threading
import traceback
import types

roots = [os.path.realpath(path) for path in sys.argv[3:]]
modules = {}
filters = {}  # file -> the names it gave to filters with register_filter


class UserError(Exception):
    """A mistake in the user's code, already worded."""


# ---- data sets -------------------------------------------------------------------------------------


class Dataset:
    """What task code uses of datasets.Dataset, over a list of rows."""

    def __init__(self, rows, columns=None):
        self.rows = rows
        names = list(columns or [])
        if not names:
            for row in rows:
                names.extend(name for name in row if name not in names)
        self.column_names = names

    @classmethod
    def from_list(cls, rows):
        return cls([dict(row) for row in rows])

    @classmethod
    def from_dict(cls, columns):
        names = list(columns)
        return cls([dict(zip(names, values)) for values in zip(*columns.values())], names)

    @property
    def features(self):
        return {name: None for name in self.column_names}

    @property
    def num_rows(self):
        return len(self.rows)

    def __len__(self):
        return len(self.rows)

    def __iter__(self):
        return (dict(row) for row in self.rows)

    def __getitem__(self, key):
        if isinstance(key, str):
            return [row[key] for row in self.rows]
        if isinstance(key, slice):
            return {name: [row.get(name) for row in self.rows[key]] for name in self.column_names}
        return dict(self.rows[key])

    def select(self, indices):
        return Dataset([self.rows[i] for i in indices], self.column_names)

    def filter(self, function=None, with_indices=False, input_columns=None, fn_kwargs=None, **_):
        if isinstance(input_columns, str):
            input_columns = [input_columns]
        kept = []
        for i, row in enumerate(self.rows):
            given = [row[name] for name in input_columns] if input_columns else [dict(row)]
            if function(*given, *([i] if with_indices else []), **(fn_kwargs or {})):
                kept.append(row)
        return Dataset(kept, self.column_names)

    def map(self, function=None, with_indices=False, batched=False, batch_size=1000, remove_columns=None,
            fn_kwargs=None, **_):
        removed = [remove_columns] if isinstance(remove_columns, str) else list(remove_columns or [])
        extra = fn_kwargs or {}
        rows = []
        if batched:
            size = batch_size or len(self.rows) or 1
            for start in range(0, len(self.rows), size):
                columns = self[start:start + size]
                indices = [list(range(start, start + len(next(iter(columns.values()), []))))]
                made = function(columns, *(indices if with_indices else []), **extra)
                kept = {n: v for n, v in columns.items() if n not in removed and n not in made}
                columns = {**kept, **made}
                rows.extend(dict(zip(columns, values)) for values in zip(*columns.values()))
            return Dataset(rows)
        for i, row in enumerate(self.rows):
            made = function(dict(row), *([i] if with_indices else []), **extra)
            kept = {name: value for name, value in row.items() if name not in removed}
            rows.append({**kept, **(made or {})})
        return Dataset(rows) if rows else Dataset([], [n for n in self.column_names if n not in removed])

    def remove_columns(self, names):
        names = [names] if isinstance(names, str) else names
        return Dataset([{k: v for k, v in row.items() if k not in names} for row in self.rows],
                       [n for n in self.column_names if n not in names])

    def rename_column(self, old, new):
        return self.rename_columns({old: new})

    def rename_columns(self, names):
        return Dataset([{names.get(k, k): v for k, v in row.items()} for row in self.rows],
                       [names.get(n, n) for n in self.column_names])

    def add_column(self, name, column, **_):
        return Dataset([{**row, name: value} for row, value in zip(self.rows, column)],
                       self.column_names + [name])

    def shuffle(self, seed=None, **_):
        import random
        order = list(range(len(self.rows)))
        random.Random(seed).shuffle(order)
        return self.select(order)

    def sort(self, column, reverse=False, **_):
        return Dataset(sorted(self.rows, key=lambda row: row[column], reverse=reverse), self.column_names)

    def unique(self, column):
        return list(dict.fromkeys(row[column] for row in self.rows))

    def flatten(self, **_):
        def spread(row):
            flat = {}
            for name, value in row.items():
                if isinstance(value, dict):
                    flat.update({f"{name}.{k}": v for k, v in spread(value).items()})
                else:
                    flat[name] = value
            return flat
        return Dataset([spread(row) for row in self.rows])

    def to_list(self):
        return [dict(row) for row in self.rows]

    def to_dict(self):
        return {name: self[name] for name in self.column_names}

    def to_pandas(self):
        import pandas
        return pandas.DataFrame(self.rows, columns=self.column_names)

    @classmethod
    def from_pandas(cls, frame, **_):
        return cls(frame.to_dict("records"))

    def train_test_split(self, *_, **__):
        raise UserError("train_test_split needs the datasets package: pip install datasets")


def dataset_class():
    try:
        import datasets
        return datasets.Dataset
    except ImportError:
        return Dataset


def make_dataset(rows, columns):
    cls = dataset_class()
    if cls is Dataset:
        return Dataset(rows, columns)
    if not rows:
        return cls.from_dict({name: [] for name in columns})
    return cls.from_list(rows)


def rows_of(value, what):
    if isinstance(value, dict):
        raise UserError(f"{what} returned a dict, expected a data set or a list of rows")
    rows = value.to_list() if hasattr(value, "to_list") else list(value)
    for row in rows:
        if not isinstance(row, dict):
            raise UserError(f"{what} returned rows of type {type(row).__name__}, expected dicts")
    return rows


# ---- a stand-in for lm_eval ------------------------------------------------------------------------

STAND_IN = {
    "lm_eval": "",
    "lm_eval.api": "",
    "lm_eval.api.instance": """
class Instance:
    def __init__(self, request_type=None, doc=None, arguments=None, idx=None, **kwargs):
        self.request_type, self.doc, self.arguments, self.idx = request_type, doc, arguments, idx
        self.resps, self.filtered_resps = [], {}
        self.__dict__.update(kwargs)
""",
    "lm_eval.api.registry": """
filters = {}
def register(*names, **options):
    return lambda thing: thing
register_metric = register_aggregation = register_model = register_task = register
def register_filter(name):
    return lambda thing: filters.setdefault(name, thing)
""",
    "lm_eval.api.filter": """
class Filter:
    def __init__(self, **kwargs):
        pass
    def apply(self, resps, docs):
        return resps
""",
    "lm_eval.api.metrics": """
import math
def mean(values):
    return sum(values) / len(values)
def median(values):
    return sorted(values)[len(values) // 2]
def weighted_mean(pairs):
    values, weights = zip(*pairs)
    return sum(values) / sum(weights)
def perplexity(values):
    return math.exp(-mean(values))
def weighted_perplexity(pairs):
    return math.exp(-weighted_mean(pairs))
def bits_per_byte(pairs):
    return -weighted_mean(pairs) / math.log(2)
def sample_stddev(values):
    middle = mean(values)
    return math.sqrt(sum((x - middle) ** 2 for x in values) / (len(values) - 1))
def mean_stderr(values):
    return sample_stddev(values) / math.sqrt(len(values))
def metric_max_over_ground_truths(metric_fn, prediction, ground_truths):
    return max(metric_fn(prediction, truth) for truth in ground_truths)
""",
    "lm_eval.api.samplers": """
from random import Random
class ContextSampler:
    def __init__(self, df=None, *, rnd=None, fewshot_indices=None, **kwargs):
        self.df, self.rnd, self.fewshot_indices = df or [], Random(rnd), fewshot_indices
    def set_rnd(self, rnd):
        self.rnd = Random(rnd)
        return self
    def fewshot_docs(self):
        return list(self.df)
    @staticmethod
    def rm_eval_doc(doc, docs, n=None):
        return [row for row in docs if row != doc][:n]
    def sample(self, n, eval_doc=None, df=None, **kwargs):
        pool = list(df or self.df)
        if not eval_doc:
            return self.rnd.sample(pool, n)
        return self.rm_eval_doc(eval_doc, self.rnd.sample(pool, n + 1), n)
class FirstNSampler(ContextSampler):
    def sample(self, n, eval_doc=None, df=None, **kwargs):
        return (self.df if eval_doc is None else self.rm_eval_doc(eval_doc, self.df))[:n]
""",
    "lm_eval.filters": "",
    "lm_eval.filters.extraction": """
import re
from lm_eval.api.filter import Filter
def pick(matches, select, fallback):
    if not matches:
        return fallback
    match = matches[select]
    if isinstance(match, tuple):
        match = next((part for part in match if part), fallback)
    return match.strip()
class RegexFilter(Filter):
    def __init__(self, regex_pattern=r"#### (\\-?[0-9\\.\\,]+)", group_select=0, fallback="[invalid]"):
        self.regex_pattern, self.group_select, self.fallback = regex_pattern, group_select, fallback
        self.regex = re.compile(regex_pattern)
    def apply(self, resps, docs):
        return [[pick(self.regex.findall(text if isinstance(text, str) else ""), self.group_select,
                      self.fallback) for text in texts] for texts in resps]
class WhitespaceFilter(Filter):
    def apply(self, resps, docs):
        return [[text.strip() for text in texts] for texts in resps]
class MultiChoiceRegexFilter(RegexFilter):
    def __init__(self, regex_pattern=r"#### (\\-?[0-9\\.\\,]+)", group_select=0, fallback="[invalid]",
                 ignore_case=False, ignore_punctuation=False, regexes_to_ignore=None):
        super().__init__(regex_pattern, group_select, fallback)
        self.ignore_case, self.ignore_punctuation = ignore_case, ignore_punctuation
        self.regexes_to_ignore = regexes_to_ignore
""",
    "lm_eval.utils": """
import logging
import re
eval_logger = logging.getLogger("lm_eval")
def general_detokenize(text):
    for old, new in ((" n't", "n't"), (" )", ")"), ("( ", "("), ('" ', '"'), (' "', '"')):
        text = text.replace(old, new)
    return re.sub(r" (['.,])", r"\\1", text)
def weighted_f1_score(items):
    from sklearn.metrics import f1_score
    golds, predictions = zip(*items)
    return f1_score(golds, predictions, average="weighted")
""",
}


class StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves the modules above, and lm_eval.tasks from the include paths."""

    def find_spec(self, name, path=None, target=None):
        if name in STAND_IN:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        if name == "lm_eval.tasks":
            spec = importlib.machinery.ModuleSpec(name, self, is_package=True)
            spec.submodule_search_locations = list(roots)
            return spec
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(STAND_IN.get(module.__name__, ""), f"<{module.__name__}>", "exec"), module.__dict__)


# ---- functions of the user -------------------------------------------------------------------------


def load(file, name):
    """The attribute name of the module in file; loaded again when the file has changed."""
    stamp = os.stat(file).st_mtime_ns
    known = modules.get(file)
    if known is None or known[0] != stamp:
        spec = importlib.util.spec_from_file_location("merganser_" + re.sub(r"\W", "_", file), file)
        module = importlib.util.module_from_spec(spec)
        registry = importlib.import_module("lm_eval.api.registry")
        registry.filters = filters[file] = {}
        sys.modules[spec.name] = module
        folder = os.path.dirname(file)
        before = set(sys.modules)
        sys.path.insert(0, folder)
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.remove(folder)
            if folder not in sys.path:
                sys.path.append(folder)
            # Two tasks may each have a utils.py beside them: the next one must find its own.
            for other in set(sys.modules) - before - {spec.name}:
                if os.path.dirname(getattr(sys.modules[other], "__file__", None) or "") == folder \
                        and "." not in other:
                    del sys.modules[other]
        known = modules[file] = (stamp, module)
    if name in filters[file]:
        return filters[file][name]
    if not hasattr(known[1], name):
        raise UserError(f"{file}: has no function '{name}'")
    return getattr(known[1], name)


def line_of(function):
    code = getattr(function, "__code__", None)
    return code.co_firstlineno if code else 1


def place(error, file, name):
    """FILE:LINE: NAME: what, with the innermost line that lies in the user's file."""
    if isinstance(error, UserError):
        return str(error)
    line = None
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == file:
            line = frame.lineno
    where = f"{file}:{line}" if line else file
    return f"{where}: {name}: {type(error).__name__}: {error}"


def plain(value):
    """A value that JSON can carry."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(bytes(value)).decode("ascii")
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if hasattr(value, "isoformat"):
        return str(value)
    raise UserError(f"a value of type {type(value).__name__}, which is no number, text, list or dict")


def write(reply):
    data = (json.dumps(reply, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(reply_fd, data):]


def each(request, call):
    """Runs call for every item and answers each; a failure is that item's."""
    file, name = request["file"], request["name"]
    function = load(file, name)
    for i, arguments in enumerate(request["calls"]):
        try:
            value = plain(call(function, arguments))
            write({"id": request["id"], "item": i, "value": value})
        except UserError as error:
            write({"id": request["id"], "item": i,
                   "error": f"{file}:{line_of(function)}: {name}: returned {error}"})
        except Exception as error:
            write({"id": request["id"], "item": i, "error": place(error, file, name)})


def op_call_many(request):
    keywords = request.get("keywords") or {}
    each(request, lambda function, arguments: function(*arguments, **keywords))


def op_score(request):
    """A custom metric of one gold answer and one response, by either of the harness's interfaces."""
    keywords = request.get("keywords") or {}

    def call(function, pair):
        try:
            return function(references=[pair[0]], predictions=[pair[1]], **keywords)
        except TypeError:
            return function(pair)
    each(request, call)


def op_look(request):
    value = load(request["file"], request["name"])
    if isinstance(value, type):
        return {"kind": "class", "name": value.__name__}
    if callable(value):
        return {"kind": "function", "name": getattr(value, "__name__", request["name"]),
                "line": line_of(value)}
    return {"kind": "value", "value": plain(value)}


def op_map_split(request):
    function = load(request["file"], request["name"])
    made = function(make_dataset(request["rows"], request["columns"]))
    return plain(rows_of(made, f"{request['file']}:{line_of(function)}: {request['name']}"))


def op_make_splits(request):
    function = load(request["file"], request["name"])
    made = function(**(request.get("keywords") or {}))
    what = f"{request['file']}:{line_of(function)}: {request['name']}"
    if not hasattr(made, "items"):
        raise UserError(f"{what} returned {type(made).__name__}, expected a dict of splits")
    return plain({split: rows_of(rows, what) for split, rows in made.items()})


def op_samples(request):
    value = load(request["file"], request["name"])
    return plain(rows_of(value() if callable(value) else value, request["name"]))


def op_filter(request):
    thing = load(request["file"], request["name"])
    keywords = request.get("keywords") or {}
    responses, docs = request["responses"], request["docs"]
    if isinstance(thing, type):
        made = thing(**keywords).apply(responses, docs)
    else:
        made = thing(responses, docs)
    return plain([item if isinstance(item, (str, int, float, type(None))) else list(item)
                  for item in made])


def op_sample(request):
    cls = load(request["file"], request["name"])
    sampler = cls(request["pool"], rnd=None)
    if hasattr(sampler, "set_rnd"):
        sampler.set_rnd(request["seed"])
    return plain([list(sampler.sample(n=request["count"], eval_doc=doc)) for doc in request["docs"]])


def op_library(request):
    """Metrics of known packages, which must be installed where they are used."""
    name, pairs = request["name"], request["pairs"]
    try:
        import evaluate
    except ImportError:
        raise UserError(f"metric '{name}' needs a Python package: pip install evaluate") from None
    metric = evaluate.load(name)
    keywords = request.get("keywords") or {}

    def score(gold, said):
        return metric.compute(references=[gold], predictions=[said], **keywords)

    if request["several"]:  # right answers: one that scores is enough
        return plain([{name: float(any(score(gold, said)[name] for gold in golds))} for golds, said in pairs])
    return plain([score(gold, said) for gold, said in pairs])


OPERATIONS = {name[3:]: function for name, function in list(globals().items()) if name.startswith("op_")}


def answer(request):
    name = request["op"]
    try:
        value = OPERATIONS[name](request)
        reply = {"id": request["id"], "done": True}
        if name not in ("call_many", "score"):
            reply["value"] = value
        write(reply)
    except BaseException as error:  # SystemExit in user code too
        write({"id": request["id"], "done": True,
               "error": place(error, request.get("file", ""), request.get("name", name))})


def read_requests(stream, waiting):
    for line in stream:
        waiting.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    request_fd, reply_fd = int(sys.argv[1]), int(sys.argv[2])
    sys.argv = ["merganser-worker"]
    sys.path[:] = [path for path in sys.path if path]  # not the working folder
    sys.meta_path.insert(0, StandIn())
    if dataset_class.__module__ and importlib.util.find_spec("datasets") is None:
        stand_in = types.ModuleType("datasets")
        stand_in.Dataset = Dataset
        stand_in.DatasetDict = dict
        sys.modules["datasets"] = stand_in
    sys.stdout = sys.stderr
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    sys.dont_write_bytecode = True  # the folders of task files stay as they are
    waiting_requests = queue.Queue()
    reader = threading.Thread(target=read_requests, daemon=True,
                              args=(os.fdopen(request_fd, encoding="utf-8"), waiting_requests))
    reader.start()
    write({"ready": True})
    while True:
        answer(waiting_requests.get())
