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

# Slips of people, and what a hostile file tries: places matter more than words.
MORE = [
    ("a slip in 'models'", "modles: [{model: JA}]\nmerge_method: linear\n", r"config.yml:1:1: unknown key 'modles'"),
    ("a slip in 'merge_method'", TWO + "merge_metod: linear\n", r"config.yml:6:1: .*did you mean 'merge_method'"),
    ("a slip in 'parameters'", LINEAR.replace("parameters", "paramters"), r"config.yml:3:5: .*did you mean 'parameters'"),
    ("a method in capitals", TWO + "merge_method: Linear\n", r"config.yml:6:15: .*'linear'"),
    ("a method of no letters", TWO + "merge_method: ''\n", r"config.yml:6:15: "),
    ("a method of 10 MB", TWO + f"merge_method: {'x' * 10_000_000}\n", r"config.yml:6:15: unknown merge method 'x+\.\.\."),
    ("the file of a search", "genome: {models: [JA, MA], merge_method: linear}\ntasks: [t]\n",
     r"config.yml:1:1: .*'merganser evolve' takes it"),
    ("models by name alone", "models: [JA, MA]\nmerge_method: linear\n", r"config.yml:1:10: .*'model'"),
    ("a model that is true", "models: [{model: true}]\nmerge_method: linear\n", r"config.yml:1:18: 'model' is true or false"),
    ("a map without a path", "models: [{model: {model: {revision: a}}}]\nmerge_method: linear\n", r"config.yml:1:\d+: .*'path'"),
    ("a model named twice", LINEAR.replace("MA", "JA"), r"config.yml:4:5: .*named twice"),
    ("a model of 10000 letters", f"models: [{{model: {'a' * 10000}}}]\nmerge_method: linear\n",
     r"config.yml:1:18: model reference has 10000 bytes"),
    ("a model with a NUL", 'models: [{model: "a\\0b"}]\nmerge_method: linear\n', r"config.yml:1:18: .*NUL"),
    ("a model of two lines", 'models: [{model: "a\\nb"}]\nmerge_method: linear\n', r"config.yml:1:\d+: a b: no such folder", 3),
    ("a device", "models: [{model: /dev/zero}]\nmerge_method: passthrough\n", r"config.yml:1:10: /dev/zero", 3),
    ("a process", "models: [{model: /proc/self}]\nmerge_method: passthrough\n", r"config.yml:1:10: /proc/self", 3),
    ("a model of the Hub", "models: [{model: nobody/nothing@v1}]\nmerge_method: passthrough\n",
     r"config.yml:1:10: .*revision v1 is not in the Hub cache", 3),
    ("a reference without revision", LINEAR.replace("MA", "MA@"), r"config.yml:4:12: .*@' lacks a revision"),
    ("a reference without adapter", LINEAR.replace("MA", "MA+"), r"config.yml:4:12: .*mini-math-a\+' lacks a path"),
    ("a whole model as adapter", LINEAR.replace("MA", "MA+JA"), r"config.yml:4:5: .*adapter_config.json", 3),
    # numbers
    ("a weight of 10^400", LINEAR.replace("0.5", "1" + "0" * 400, 1), r"config.yml:3:26: 'weight' is not a finite"),
    ("a weight 'nan'", LINEAR.replace("0.5", "'nan'", 1), r"config.yml:3:26: 'weight' is not a finite"),
    ("a weight beyond float32", LINEAR.replace("0.5", "1.0e39", 1), "the result holds NaN or infinity", 3),
    ("a weight with a comma", LINEAR.replace("0.5", "0,5", 1), r"config.yml:3:28: "),
    ("a weight that is a date", LINEAR.replace("0.5", "2024-01-01", 1), r"config.yml:3:26: 'weight'"),
    ("a weight of nothing in a list", LINEAR.replace("0.5", "[null]", 1), r"config.yml:3:27: 'weight'"),
    ("a list in a list", LINEAR.replace("0.5", "[[0.5]]", 1), r"config.yml:3:27: 'weight' is a list"),
    ("numbers among conditions", LINEAR.replace("0.5", "[{value: 1}, 0.5]", 1), r"config.yml:3:39: .*mixes"),
    ("a condition of no values", LINEAR.replace("0.5", "[{value: []}]", 1), r"config.yml:3:35: 'weight' is a list of 0"),
    ("a gradient of 200000", LINEAR.replace("0.5", "[" + "0.1," * 200000 + "]", 1), r"config.yml:3:26: .*200000"),
    ("a parameter named 5", LINEAR + "parameters: {5: 1}\n", r"config.yml:7:14: parameter name"),
    ("gamma beyond 1", TASK.replace("0.5}", "0.5, density: 0.5, gamma: 5}", 1) + "merge_method: breadcrumbs\n",
     r"config.yml:3:52: 'gamma' is 5, must be in \[0, 1\]"),
    ("epsilon beyond density", TASK.replace("0.5}", "0.5, density: 0.5, epsilon: 3}", 1) + "merge_method: della\n",
     r"config.yml:3:54: 'density' 0.5 and 'epsilon' 3"),
    ("epsilon below zero", TASK.replace("0.5}", "0.5, density: 0.5, epsilon: -1}", 1) + "merge_method: della_linear\n",
     r"config.yml:3:54: .*'epsilon' -1"),
    ("epsilon by default", TASK.replace("0.5}", "0.5, density: 0.9}", 1) + "merge_method: della\n",
     r"config.yml:2:5: 'density' 0.9 and 'epsilon' 0.15"),
    ("int8_mask as 7", TIES + "parameters: {int8_mask: 7}\n", r"config.yml:8:25: .*'int8_mask' is 7"),
    ("10^12 steps", TWO + "merge_method: karcher\nparameters: {max_iter: 1000000000000}\n",
     r"config.yml:7:\d+: .*'max_iter' is 1"),
    ("three for slerp and its base", SLERP.replace("base_model: JA", "base_model: BASE") + "parameters: {t: 0.5}\n",
     r"config.yml:1:9: .*too many inputs \(3 with the base model, at most 2\)"),
    ("a base that is a map of others", TWO + "base_model: {path: BASE}\nmerge_method: ties\n", r"config.yml:6:13: .*'model'"),
    ("an empty base", TWO + "base_model: ''\nmerge_method: ties\n", r"config.yml:6:13: "),
    ("dtype int64", LINEAR + "dtype: int64\n", r"config.yml:7:8: 'dtype' is 'int64'"),
    ("dtype float8", LINEAR + "dtype: float8_e4m3fn\n", r"config.yml:7:8: 'dtype' is 'float8_e4m3fn'"),
    # slices
    ("slices of numbers", "slices: [1, 2]\nmerge_method: linear\n", r"config.yml:1:10: (.|\n)*config.yml:1:13: "),
    ("sources that are a map", "slices: [{sources: {model: JA}}]\nmerge_method: linear\n", r"config.yml:1:20: 'sources'"),
    ("a range of three", slices(source("JA", "[0, 1, 2]")), r"config.yml:3:\d+: 'layer_range'"),
    ("a range with a fraction", slices(source("JA", "[0, 1.5]")), r"config.yml:3:\d+: 'layer_range'"),
    ("a range without end", slices(source("JA", "[0, .inf]")), r"config.yml:3:\d+: 'layer_range'"),
    ("a range of 500 digits", slices(source("JA", f"[0, {'9' * 500}]")), r"config.yml:3:\d+: 'layer_range'"),
    ("a quarter of a million layers", "slices:\n" + "  - {sources: [{model: JA, layer_range: [0, 8]}]}\n" * 30000 +
     "merge_method: passthrough\n", r"config.yml:2:3: the slices have 240000 layers, at most 10000"),
    ("a module of both kinds", "modules: {default: {models: [{model: JA}], slices: [{sources: []}]}}\nmerge_method: linear\n",
     r"config.yml:1:\d+: module 'default'"),
    # tokenizers
    ("force as a word", LINEAR + "tokenizer: {source: union, tokens: {'1': {source: JA, force: perhaps}}}\n",
     r"config.yml:7:\d+: 'force' is a string"),
    ("padding to 10^9", LINEAR + "tokenizer: {source: union, pad_to_multiple_of: 1000000000}\n",
     r"config.yml:7:48: 'pad_to_multiple_of' .*1048576"),
    ("a token of another kind", LINEAR + "tokenizer: {source: union, tokens: {'1': {source: {kind: magic}}}}\n",
     r"config.yml:7:\d+: 'kind'"),
    ("a token of a stranger", LINEAR + "tokenizer: {source: union, tokens: {'1': {source: MB}}}\n", r"config.yml:7:\d+: .*no part"),
    ("a template that is a list", LINEAR + "chat_template: [a]\n", r"config.yml:7:16: 'chat_template'"),
    ("a template that is not closed", LINEAR + "chat_template: '{{ messages'\n", r"config.yml:7:16: 'chat_template'"),
    # documents
    ("a document that leaves its folder", "name: ../x\n" + LINEAR + "---\n" + LINEAR, r"config.yml:1:7: .*plain file name"),
    ("a document of itself", "name: a\n" + LINEAR.replace("MA", "a") + "---\n" + LINEAR.replace("MA", "a"),
     r"config.yml:1:7: the merge 'a' needs itself"),
    ("a mistake in the second document", "name: a\n" + LINEAR + "---\n" + LINEAR.replace("linear", "linaer"),
     r"config.yml:14:15: .*'linear'"),
    ("2000 documents", "".join(f"name: n{i}\n{LINEAR}---\n" for i in range(2000)) + LINEAR, "2001 documents, at most 1000"),
    # bytes and YAML
    ("UTF-16", LINEAR.encode("utf-16"), r"config.yml:1:1: .*UTF-8"),
    ("Latin-1", "merge_method: linear\nmodels: [{model: caf\xe9}]\n".encode("latin-1"), r"config.yml:2:2\d: .*UTF-8"),
    ("a surrogate", b"merge_method: \xed\xa0\x80\n", r"config.yml:1:15: .*UTF-8"),
    ("an escape code", b"merge_method: \x1b[31m\n", r"config.yml:1:15: control characters"),
    ("10 MB of blanks", " " * 10_000_000, "config.yml: is empty"),
    ("17 MB", LINEAR + "#" * 17_000_000, "config.yml: 17000.*limit", 3),
    ("100000 unknown keys", "".join(f"k{i}: 1\n" for i in range(100_000)) + "merge_method: x\n",
     r"(?s)config.yml:20:1: .*config.yml: more warnings.*'models', 'slices' and 'modules'"),
    ("100000 mistakes", "merge_method: linear\nmodels:\n" + "- 1\n" * 100_000, r"(?s)config.yml:3:3: .*\.\.\. and 99\d+ more mistakes"),
    ("a long text by aliases", f"a: &a {'x' * 100_000}\nmodels: [{'*a,' * 50_000}]\nmerge_method: linear\n",
     r"config.yml:2:\d+: aliases expand to too much"),
    ("maps nested too deeply", "models: " + "{a: " * 5000 + "1" + "}" * 5000, r"config.yml:1:\d+: .*nested too deeply"),
    ("an alias inside its own map", "models: &m\n  - model: JA\n    parameters: *m\nmerge_method: linear\n", r"config.yml:3:17: alias inside"),
    ("a merge key of a number", LINEAR + "<<: 5\n", r"config.yml:7:1: '<<' needs a map"),
    ("a key that is there twice", LINEAR + "merge_method: linaer\n",
     r"(?s)config.yml:7:15: key 'merge_method' is there again.*config.yml:7:15: unknown merge method"),
    ("binary data", TWO + "merge_method: !!binary bGluZWFy\n", r"config.yml:6:15: "),
    ("a YAML of the future", "%YAML 9.9\n---\n" + LINEAR, r"config.yml:1:1: "),
    ("JSON with a comma too many", '{"merge_method": "linear", "models": [{"model": "JA"},]', r"config.yml:\d+:\d+: "),
    ("a web page", "<!DOCTYPE html>\n<html><body>Not: found</body></html>\n", r"config.yml:2:16: "),
]
CASES += MORE

# What only the merge itself finds: `check` looks at headers.
CHECK_PASSES = ("weights that add up to nothing", "a weight beyond float32")
