"""Wrong merge configurations: (what, text, part of the message); all end with code 2 unless a code is given.

JA, MA and MB are bundled fine-tunes of BASE, four models of one shape; NARROW is of another shape.
"""
TWO = """models:
  - model: JA
    parameters: {weight: 0.5}
  - model: MA
    parameters: {weight: 0.5}
"""
TASK = TWO + "base_model: BASE\n"
LINEAR = TWO + "merge_method: linear\n"
TIES = TASK + "merge_method: ties\n"
SLERP = "models: [{model: JA}, {model: MA}]\nmerge_method: slerp\nbase_model: JA\n"


def slices(text, more="merge_method: linear\ndtype: bfloat16\n"):
    return f"slices:\n  - sources:\n{text}{more}"


def source(model, layers, more=""):
    return f"      - {{model: {model}, layer_range: {layers}{more}}}\n"


CASES = [
    # the file as a whole
    ("empty", "", "config.yml"),
    ("a list", "- 1\n", "config.yml:1:1"),
    ("a word", "linear\n", "config.yml:1:1"),
    ("only a comment", "# nothing\n", "config.yml"),
    ("broken brackets", "models: [\n", r"config.yml:\d+:\d+"),
    ("a tab", "models:\n\t- model: JA\n", "config.yml:2:1"),
    ("an unknown escape", 'merge_method: "\\q"\n', "config.yml:1:"),
    ("an alias without anchor", "models: *x\n", "config.yml:1:9: alias of an anchor that does not exist"),
    ("an alias of itself", "models: &x [*x]\n", "config.yml:1:"),
    ("a list as key", "? [a]\n: b\n", "config.yml:1:3: a list or map cannot be a key"),
    ("not UTF-8", b"merge_method: \xff\xfe\n", "config.yml"),
    ("a NUL byte", b"merge_method: a\x00b\n", "config.yml"),
    ("nested too deeply", "models: " + "[" * 5000, "nested too deeply"),
    ("aliases that double", "a: &a [1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)) + LINEAR,
     "aliases expand to too much"),
    ("a python tag", LINEAR + "parameters: !!python/object/apply:os.system ['true']\n", r"config.yml:\d+:"),
    # what to merge
    ("no method", TWO, "merge_method"),
    ("an unknown method", TWO + "merge_method: linaer\n", "'linaer'.*'linear'"),
    ("a method that is a number", TWO + "merge_method: 5\n", r"config.yml:6:15: .*merge_method"),
    ("a method that is a list", TWO + "merge_method: [linear]\n", r"config.yml:6:\d+: .*merge_method"),
    ("neither models nor slices", "merge_method: linear\n", "models.*slices"),
    ("no models", "models: []\nmerge_method: linear\n", "models"),
    ("models that are a word", "models: JA\nmerge_method: linear\n", r"config.yml:1:\d+: .*models"),
    ("models and slices", LINEAR + "slices: [{sources: [{model: JA, layer_range: [0, 1]}]}]\n", "models.*slices"),
    ("a model that is a number", "models: [5]\nmerge_method: linear\n", r"config.yml:1:\d+"),
    ("an entry without model", "models: [{parameters: {weight: 1}}]\nmerge_method: linear\n", "'model'"),
    ("an empty model", "models: [{model: ''}]\nmerge_method: linear\n", "model"),
    ("two adapters", "models: [{model: JA+a+b, parameters: {weight: 1}}]\nmerge_method: linear\n", r"\+"),
    ("two revisions", "models: [{model: JA@a@b, parameters: {weight: 1}}]\nmerge_method: linear\n", "@"),
    ("an adapter without model", "models: [{model: +lora, parameters: {weight: 1}}]\nmerge_method: linear\n", "model"),
    ("a missing model", LINEAR.replace("MA", "gone"), r"config.yml:4:\d+: .*gone", 3),
    ("a missing adapter", LINEAR.replace("MA", "MA+gone"), "gone", 3),
    ("a missing base", TIES.replace("BASE", "gone"), "gone", 3),
    ("a model that is a file", LINEAR.replace("MA", "config.yml"), "config.yml", 3),
    ("models of two shapes", LINEAR.replace("MA", "NARROW"), "model.embed_tokens.weight|shape|vocab", (2, 3)),
    # types
    ("an unknown dtype", LINEAR + "dtype: bfloat61\n", "'bfloat61'.*'bfloat16'"),
    ("a dtype that is a number", LINEAR + "dtype: 16\n", r"config.yml:7:\d+: .*dtype"),
    ("an unknown out_dtype", LINEAR + "out_dtype: int4\n", "'int4'"),
    ("a base that is a list", TWO + "base_model: [BASE]\nmerge_method: ties\n", r"config.yml:6:\d+: .*base_model"),
    ("parameters that are a list", LINEAR + "parameters: [normalize]\n", r"config.yml:7:\d+: .*parameters"),
    ("a weight that is a word", LINEAR.replace("0.5", "much", 1), r"config.yml:3:\d+: .*weight"),
    ("a weight that is a map", LINEAR.replace("0.5", "{a: 1}", 1), r"config.yml:3:\d+: .*weight"),
    ("a weight without end", LINEAR.replace("0.5", ".inf", 1), r"weight"),
    ("a weight that is no number", LINEAR.replace("0.5", ".nan", 1), r"weight"),
    ("a condition without value", LINEAR.replace("0.5", "[{filter: mlp}]", 1), r"config.yml:3:\d+: .*value"),
    ("a condition on a number", LINEAR.replace("0.5", "[{filter: 5, value: 1}]", 1), r"config.yml:3:\d+: .*filter"),
    ("conditions that none meets", LINEAR.replace("0.5", "[{filter: mlp, value: 1}]"), "weight"),
    # parameters of methods
    ("no weight", LINEAR.replace("weight", "wait"), "'weight'"),
    ("no base", TWO + "merge_method: ties\n", "base_model"),
    ("a density below zero", TASK.replace("0.5}", "0.5, density: -1}", 1) + "merge_method: dare_ties\n", "density"),
    ("normalize as a word", LINEAR + "parameters: {normalize: maybe}\n", r"config.yml:7:\d+: .*normalize"),
    ("normalize as two", LINEAR + "parameters: {normalize: 2}\n", "normalize"),
    ("weights that add up to nothing", LINEAR.replace("0.5", "-0.5", 1), "NaN or infinity", 3),
    ("slerp without t", SLERP, "'t'"),
    ("t for a model", SLERP.replace("{model: MA}", "{model: MA, parameters: {t: 0.5}}"), "'t'"),
    ("slerp without base", SLERP.replace("base_model: JA\n", "") + "parameters: {t: 0.5}\n", "base_model"),
    ("slerp of three", SLERP.replace("{model: MA}", "{model: MA}, {model: MB}") + "parameters: {t: 0.5}\n", "slerp"),
    ("slerp of one", SLERP.replace(", {model: MA}", "") + "parameters: {t: 0.5}\n", "slerp"),
    ("passthrough of two", TWO + "merge_method: passthrough\n", "passthrough"),
    ("model_stock of one", "models: [{model: JA}]\nbase_model: BASE\nmerge_method: model_stock\n", "model_stock"),
    ("karcher with half a step", TWO + "merge_method: karcher\nparameters: {max_iter: 1.5}\n", "max_iter"),
    ("an unknown block of ours", LINEAR + "merganser: {mask: mersenne}\n", r"config.yml:7:\d+: .*mask"),
    # slices
    ("slices that are a map", "slices: {sources: []}\nmerge_method: linear\n", r"config.yml:1:\d+: .*slices"),
    ("a slice without sources", "slices: [{}]\nmerge_method: linear\n", "sources"),
    ("a source without range", slices("      - {model: JA, parameters: {weight: 1}}\n"), "layer_range"),
    ("a range of one number", slices(source("JA", "[0]", ", parameters: {weight: 1}")), "layer_range"),
    ("a range of words", slices(source("JA", "[a, b]", ", parameters: {weight: 1}")), "layer_range"),
    ("a range that falls", slices(source("JA", "[2, 1]", ", parameters: {weight: 1}")), "layer_range|layers"),
    ("a range below zero", slices(source("JA", "[-1, 1]", ", parameters: {weight: 1}")), "layer"),
    ("a range beyond the model", slices(source("JA", "[0, 99]", ", parameters: {weight: 1}")), "layer"),
    ("a huge range", slices(source("JA", "[0, 4000000000]", ", parameters: {weight: 1}")), "layer"),
    ("ranges of two lengths", slices(source("JA", "[0, 1]", ", parameters: {weight: 1}") +
                                     source("MA", "[0, 2]", ", parameters: {weight: 1}")), "layer"),
    # tokenizers
    ("both tokenizer keys", LINEAR + "tokenizer_source: base\ntokenizer: {source: base}\n", "tokenizer"),
    ("an unknown tokenizer source", LINEAR + "tokenizer_source: gone/away\n", "gone", (2, 3)),
    ("a tokenizer that is a number", LINEAR + "tokenizer: 5\n", r"config.yml:7:\d+: .*tokenizer"),
    ("padding to nothing", LINEAR + "tokenizer: {source: union, pad_to_multiple_of: 0}\n", "pad_to_multiple_of"),
    ("padding to a word", LINEAR + "tokenizer: {source: union, pad_to_multiple_of: all}\n", "pad_to_multiple_of"),
    ("tokens that are a list", LINEAR + "tokenizer: {source: union, tokens: [a]}\n", r"config.yml:7:\d+: .*tokens"),
    ("a token of a missing model", LINEAR + "tokenizer: {source: union, tokens: {a: {source: gone}}}\n", "gone", (2, 3)),
    # modules and documents
    ("an unknown module", "modules: {head: {models: [{model: JA, parameters: {weight: 1}}]}}\nmerge_method: linear\n",
     "head"),
    ("a module without content", "modules: {default: {}}\nmerge_method: linear\n", "default|models.*slices"),
    ("two documents without names", LINEAR + "---\n" + LINEAR, "two documents have no name"),
    ("documents in a circle", "name: a\n" + LINEAR.replace("MA", "b") + "---\nname: b\n" + LINEAR.replace("MA", "a") +
     "---\n" + LINEAR.replace("MA", "a"), "circle|'a'|'b'"),
    ("a document twice", "name: a\n" + LINEAR + "---\nname: a\n" + LINEAR + "---\n" + LINEAR.replace("MA", "a"), "'a'"),
    ("an unknown chat template", LINEAR + "chat_template: chatlm\n", "chatlm"),
    ("a broken chat template", LINEAR + "chat_template: '{% if %}'\n", "chat_template"),
]

# What only the merge itself finds: `check` looks at headers and at one document.
CHECK_PASSES = ("weights that add up to nothing", "a density below zero", "documents in a circle", "a document twice",
                "two documents without names")
