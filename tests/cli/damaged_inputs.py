"""Damaged inputs of a merge: how a copy of a bundled model is damaged, and what is said about it."""
import collections
import json
import os
import pickle
import struct
import zipfile

from program import read_header, read_tensors, write_tensors

Case = collections.namedtuple("Case", "what damage part code config")
LINEAR = ("models: [{model: BAD, parameters: {weight: 0.5}}, {model: GOOD, parameters: {weight: 0.5}}]\n"
          "merge_method: linear\ndtype: bfloat16\n")
ADAPTER = LINEAR.replace("BAD", "GOOD+BAD", 1)
UNION = LINEAR + "tokenizer: {source: union}\n"
NORM = "model.norm.weight"
CASES = []


def case(what, part, code=3, config=LINEAR):
    """Adds the decorated function, which damages the model's folder."""
    def add(damage):
        CASES.append(Case(what, damage, part, code, config))
        return damage
    return add


def cases(table, part, code=3, config=LINEAR):
    """One case for each entry of a table from what it is to an argument of the decorated function."""
    def add(damage):
        for what, argument in table.items():
            own = part
            if isinstance(argument, tuple):
                argument, own = argument
            CASES.append(Case(what, lambda bad, argument=argument: damage(bad, argument), own, code, config))
        return damage
    return add


# ---- safetensors

@cases({"an empty file": 0, "half a length": 4, "a length alone": 8, "half a header": 300, "half the data": -60000,
        "the last byte gone": -1}, "bad/model.safetensors")
def cut_weights(bad, size):
    path = bad / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:size])


@cases({"a header of 2^63 bytes": 2 ** 63, "a header of 2^64 - 1 bytes": 2 ** 64 - 1, "a header of 1 GB": 10 ** 9,
        "a header of no bytes": 0}, "bad/model.safetensors")
def header_length(bad, size):
    path = bad / "model.safetensors"
    path.write_bytes(struct.pack("<Q", size) + path.read_bytes()[8:])


def write_header(bad, text):
    path = bad / "model.safetensors"
    _, begin = read_header(path)
    data = path.read_bytes()[begin:]
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


@cases({"no header object": b"[]", "a header that breaks off": b'{"a": ', "a header with bytes behind": b"{} x",
        "a deep header": b"[" * 100000, "a header of zeros": b"\0" * 64, "a header that is not UTF-8": b'{"\xff": 1}',
        "a tensor that is a number": b'{"a": 1}', "a tensor without a type": b'{"a": {"shape": [], "data_offsets": [0, 0]}}'},
       "bad/model.safetensors")
def whole_header(bad, text):
    write_header(bad, text)


@cases({"an end beyond the file": {"data_offsets": [0, 2 ** 40]}, "offsets that fall": {"data_offsets": [10, 4]},
        "a negative offset": {"data_offsets": [-2, 254]}, "three offsets": {"data_offsets": [0, 1, 2]},
        "offsets that are words": {"data_offsets": ["0", "256"]}, "a shape of another size": {"shape": [129]},
        "a shape that overflows": {"shape": [2 ** 62, 2 ** 62]}, "a negative shape": {"shape": [-128]},
        "a shape of a thousand dimensions": {"shape": [1] * 1000}, "a shape with a fraction": {"shape": [128.5]},
        "an unknown type": {"dtype": "F99"}, "a type that is a number": {"dtype": 16}},
       f"bad/model.safetensors.*{NORM}")
def lying_entry(bad, changes):
    header, _ = read_header(bad / "model.safetensors")
    write_header(bad, {**header, NORM: {**header[NORM], **changes}})


@case("two tensors over the same bytes", "bad/model.safetensors: tensor '.*' begins at byte [0-9]+ of the data, expected")
def overlap(bad):
    header, _ = read_header(bad / "model.safetensors")
    other = next(name for name, entry in header.items()
                 if name not in (NORM, "__metadata__") and entry["shape"] == header[NORM]["shape"])
    write_header(bad, {**header, NORM: header[other]})


@case("a hole between tensors", "bad/model.safetensors: tensor '.*' begins at byte [0-9]+ of the data, expected")
def hole(bad):
    header, _ = read_header(bad / "model.safetensors")
    order = sorted((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"])
    header.pop(order[3])
    write_header(bad, header)


@case("a tensor named twice", f"bad/model.safetensors: tensor '{NORM}' begins at byte [0-9]+ of the data, expected")
def duplicate(bad):
    header, _ = read_header(bad / "model.safetensors")
    text = json.dumps(header)
    write_header(bad, (text[:-1] + f', "{NORM}": {json.dumps(header[NORM])}}}').encode())


@case("a tensor that is missing", f"{NORM}", 2)
def missing(bad):
    tensors = read_tensors(bad)
    tensors.pop(NORM)
    write_tensors(bad / "model.safetensors", tensors)


@case("a value that is no number", f"{NORM}.*NaN.*bad")
def not_a_number(bad):
    tensors = read_tensors(bad)
    dtype, shape, data = tensors[NORM]
    tensors[NORM] = dtype, shape, b"\xc0\x7f" + data[2:]
    write_tensors(bad / "model.safetensors", tensors)


@cases({"a shape of nothing": {"shape": None}, "a shape of lists": {"shape": [[128]]}, "a dimension of 2^63": {"shape": [2 ** 63]},
        "a dimension beyond 64 bits": {"shape": [2 ** 64 + 128]}, "nothing times much": {"shape": [0, 2 ** 62, 2 ** 62]},
        "a scalar": {"shape": []}, "equal offsets": {"data_offsets": [5, 5]}, "offsets beyond 64 bits": {"data_offsets": [2 ** 64 - 256, 2 ** 64]},
        "offsets with a point": {"data_offsets": [0.0, 256.0]}, "offsets that are true": {"data_offsets": [True, False]},
        "offsets of 400 digits": {"data_offsets": [0, 10 ** 400]}, "a type of nothing": {"dtype": None}, "4-bit integers": {"dtype": "I4"},
        "a type in small letters": {"dtype": "bf16"}}, f"bad/model.safetensors: tensor '{NORM}'")
def hostile_entry(bad, changes):
    lying_entry(bad, changes)


@cases({"metadata that are a list": b'{"__metadata__": [1], ', "metadata of numbers": b'{"__metadata__": {"a": 1}, ',
        "metadata twice": b'{"__metadata__": {}, "__metadata__": {}, ', "a mark of bytes": b"\xef\xbb\xbf{",
        "a tensor that is no number": b'{"x": NaN, '}, "bad/model.safetensors")
def header_begin(bad, begin):
    header, _ = read_header(bad / "model.safetensors")
    header.pop("__metadata__", None)
    write_header(bad, begin + json.dumps(header).encode()[1:])


@case("8-bit floating point", f"{NORM}.*F8_E4M3|{NORM}.*differs|{NORM}", (2, 3))
def eight_bits(bad):
    tensors = read_tensors(bad)
    tensors[NORM] = "F8_E4M3", tensors[NORM][1], b"\x30" * 128
    write_tensors(bad / "model.safetensors", tensors)


@case("a million empty tensors and none of its own", "lacks tensor", 2)
def many_tensors(bad):
    empty = ",".join(f'"t{i}":{{"dtype":"BF16","shape":[0],"data_offsets":[0,0]}}' for i in range(200_000))
    (bad / "model.safetensors").write_bytes(struct.pack("<Q", len(empty) + 2) + b"{" + empty.encode() + b"}")


@cases({"weights that are a folder": os.mkdir, "weights that are a pipe": os.mkfifo}, "bad/model.safetensors: is (a folder|not a regular)")
def no_file(bad, make):
    (bad / "model.safetensors").unlink()
    make(bad / "model.safetensors")


@cases({"a link to nothing": ("nowhere", "is a link to nothing"), "a link to itself": ("model.safetensors", "is a link to nothing"),
        "a link to a device": ("/dev/zero", "is not a regular file")}, "bad/model.safetensors")
def linked(bad, to):
    (bad / "model.safetensors").unlink()
    (bad / "model.safetensors").symlink_to(to)


@case("a pointer of Git LFS", "bad/model.safetensors: is a pointer of Git LFS")
def lfs(bad):
    (bad / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")


# ---- the index of shards

@cases({"an index outside the folder": {NORM: "../away.safetensors"}, "an index to /etc": {NORM: "/etc/passwd"},
        "an index to a folder": {NORM: "."}, "an index with a hidden step": {NORM: "a/../../away.safetensors"},
        "a shard that is missing": {NORM: "model-00009-of-00009.safetensors"}, "a shard that is a number": {NORM: 5},
        "a shard without the tensor": ({"strange.weight": "part.safetensors"}, "strange.weight"),
        "a weight map that is a list": [], "an empty weight map": {}}, "model.safetensors.index.json|bad/model-00009")
def index(bad, weight_map):
    os.rename(bad / "model.safetensors", bad / "part.safetensors")
    if weight_map:
        names = read_header(bad / "part.safetensors")[0]
        weight_map = {**{name: "part.safetensors" for name in names if name != "__metadata__"}, **weight_map}
    (bad / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


@cases({"an index that breaks off": '{"weight_map": {', "an index that is empty": "", "an index of brackets": "[" * 9999},
       "model.safetensors.index.json")
def index_text(bad, text):
    os.rename(bad / "model.safetensors", bad / "part.safetensors")
    (bad / "model.safetensors.index.json").write_text(text)


# ---- pytorch_model.bin

def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def number(value):
    return b"J" + struct.pack("<i", value) if -2 ** 31 <= value < 2 ** 31 else b"\x8a\x08" + struct.pack("<q", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def global_name(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def tensor(key, count, shape, offset=0, strides=None):
    """Opcodes that build a bfloat16 tensor from storage key."""
    if strides is None:
        strides, step = [], 1
        for size in reversed(shape):
            strides.insert(0, step)
            step *= size
    storage = (b"(" + text("storage") + global_name("torch", "BFloat16Storage") + text(key) + text("cpu") +
               number(count) + b"tQ")
    return (global_name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + number(offset) + numbers(shape) +
            numbers(strides) + b"\x89" + global_name("collections", "OrderedDict") + b")RtR")


def write_bin(bad, value=None, compression=zipfile.ZIP_STORED, whole=None, extra=None):
    """pytorch_model.bin of the model's tensors; value replaces the final norm's opcodes."""
    tensors = read_tensors(bad)
    (bad / "model.safetensors").unlink()
    entries, items = {}, b""
    for number_of, (name, (_, shape, data)) in enumerate(tensors.items()):
        entries[f"archive/data/{number_of}"] = data
        made = tensor(str(number_of), len(data) // 2, shape)
        items += text(name) + (value if value is not None and name == NORM else made)
    whole = whole if whole is not None else b"\x80\x02}(" + items + b"u."
    with zipfile.ZipFile(bad / "pytorch_model.bin", "w", compression) as archive:
        archive.writestr("archive/data.pkl", whole)
        for name, data in {**entries, **(extra or {})}.items():
            archive.writestr(name, data)
    return bad / "pytorch_model.bin"


@cases({"a call of os.system": global_name("os", "system") + text("true") + b"\x85R",
        "a call of eval": global_name("builtins", "eval") + text("1") + b"\x85R",
        "a foreign class": global_name("subprocess", "Popen") + b")R",
        "a foreign name below torch": global_name("torch.hub", "load") + b")R",
        "a stacked foreign name": b"\x8c\x05posix\x8c\x06system\x93" + text("true") + b"\x85R",
        "an extension code": b"\x82\x01", "a storage that is missing": tensor("999", 128, [128]),
        "a storage outside the archive": tensor("../../etc/passwd", 128, [128]),
        "a view beyond its storage": tensor("1", 128, [2 ** 20, 2 ** 10]),
        "a view at a negative place": tensor("1", 128, [128], offset=-5),
        "strides that overflow": tensor("1", 128, [2, 2], strides=[2 ** 62, 2 ** 62]),
        "a negative size": tensor("1", 128, [-128]), "a storage of 2^60 values": tensor("1", 2 ** 60, [128]),
        "a tuple without its mark": b"t", "a memo that is empty": b"h\x05", "an opcode that is none": b"\xff"},
       "bad/pytorch_model.bin")
def pickled_value(bad, value):
    write_bin(bad, value)


@cases({"an empty pickle": b"", "a pickle that breaks off": b"\x80\x02}(", "a pickle of protocol 9": b"\x80\x09}.",
        "a pickle that is a list": b"\x80\x02].", "a text of 4 GB": b"\x80\x02X\xff\xff\xff\xffabc.",
        "a deep pickle": b"\x80\x02" + b"]" * 100000 + b"."}, "bad/pytorch_model.bin")
def whole_pickle(bad, content):
    write_bin(bad, whole=content)


@case("a zip that bursts", "bad/pytorch_model.bin.*(compress|stored|packed)")
def zip_bomb(bad):
    write_bin(bad, compression=zipfile.ZIP_DEFLATED, extra={"archive/data/bomb": b"\0" * (64 << 20)})


@cases({"half a zip": -50000, "a zip without its directory": -30, "four bytes of a zip": 4, "an empty .bin": 0},
       "bad/pytorch_model.bin")
def cut_bin(bad, size):
    path = write_bin(bad)
    path.write_bytes(path.read_bytes()[:size])


@cases({"a .bin of text": b"version https://git-lfs.github.com/spec/v1\n", "a .bin of noise": bytes(range(256)) * 40},
       "bad/pytorch_model.bin")
def not_a_bin(bad, content):
    write_bin(bad).write_bytes(content)


@cases({"strides below zero": tensor("1", 128, [128], strides=[-1]), "an offset of 2^63 - 1": tensor("1", 128, [128], offset=2 ** 63 - 1),
        "a hundred dimensions": tensor("1", 128, [1] * 100), "more strides than dimensions": tensor("1", 128, [128], strides=[1, 1]),
        "one element for all": tensor("1", 1, [128], strides=[0]), "a storage of another name": tensor("1", 128, [128]).replace(b"BFloat16", b"Evil"),
        "a quantised tensor": global_name("torch._utils", "_rebuild_qtensor") + b")R", "an object made by hand": b"(ios\nsystem\n",
        "a class made anew": global_name("os", "system") + b")\x81", "a number that is called": number(1) + b")R",
        "a long number of 2 GB": b"\x8b\xff\xff\xff\x7f", "a text of 2^63 bytes": b"\x8d" + struct.pack("<Q", 2 ** 63) + b"x",
        "a memo of 2^32": b"Nr\xff\xff\xff\xff", "an item of a number": number(1) + number(2) + number(3) + b"s", "the end at once": b"."},
       "bad/pytorch_model.bin")
def pickled_more(bad, value):
    write_bin(bad, value)


def patch_end(bad, offset, form, value):
    """Overwrites a field of the zip's end record."""
    path = write_bin(bad)
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.rfind(b"PK\x05\x06") + offset, value)
    path.write_bytes(data)


@cases({"more members than there are": [10, "<H", 65535], "one member of many": [10, "<H", 1], "a directory of 4 GB": [12, "<I", 2 ** 32 - 1],
        "a directory at 4 GB": [16, "<I", 2 ** 32 - 1], "a directory at the start": [16, "<I", 0], "a comment that is not there": [20, "<H", 65535]},
       "bad/pytorch_model.bin")
def zip_end(bad, place):
    patch_end(bad, *place)


def patch_entry(bad, offset, form, value, local=False):
    """Overwrites a field of the sixth member, in the directory or before its data."""
    path = write_bin(bad)
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(6):
        at = data.find(b"PK\x01\x02", at + 1)
    at = struct.unpack_from("<I", data, at + 42)[0] if local else at
    struct.pack_into(form, data, at + offset, value)
    path.write_bytes(data)


@cases({"a member of 4 GB": [20, "<I", 2 ** 32 - 1], "a member of two sizes": [24, "<I", 1], "a name of 64 KB": [28, "<H", 65535],
        "a member at the start": [42, "<I", 0], "a member at the end": [42, "<I", 2 ** 32 - 16], "a member between": [42, "<I", 77],
        "a long name before the data": [26, "<H", 65535, True], "no mark before the data": [0, "<I", 0, True],
        "an encrypted member": [8, "<H", 1], "a member of method 99": [10, "<H", 99]}, "bad/pytorch_model.bin")
def zip_entry(bad, place):
    patch_entry(bad, *place)


def write_legacy(bad, cut=None, keys=None, counts=None):
    """pytorch_model.bin as PyTorch wrote it before 1.6, cut at a byte behind its start, or with other keys or counts."""
    tensors = read_tensors(bad)
    (bad / "model.safetensors").unlink()
    items = b"".join(text(name) + tensor(str(i), len(data) // 2, shape).replace(b"tQ", b"NtQ")
                     for i, (name, (_, shape, data)) in enumerate(tensors.items()))
    content = b"".join(pickle.dumps(part, 2) for part in (0x1950a86a20f9469cfc6c, 1001, {"little_endian": True}))
    content += b"\x80\x02}(" + items + b"u." + pickle.dumps([str(i) for i in range(len(tensors))] if keys is None else keys, 2)
    for _, _, data in tensors.values():
        content += struct.pack("<Q", len(data) // 2 if counts is None else counts) + data
    (bad / "pytorch_model.bin").write_bytes(content[:cut])


@cases({"an old .bin cut in its start": {"cut": 20}, "an old .bin cut in its object": {"cut": 5000}, "an old .bin cut in its data": {"cut": -1},
        "an old .bin with strange keys": {"keys": ["x"]}, "an old .bin with one key for all": {"keys": ["0"] * 75},
        "an old .bin without keys": {"keys": []}, "an old .bin whose keys are a number": {"keys": 5},
        "an old .bin that counts to 2^63": {"counts": 2 ** 63}, "an old .bin that counts nothing": {"counts": 0}}, "bad/pytorch_model.bin")
def legacy(bad, changes):
    write_legacy(bad, **changes)


# ---- config.json

@cases({"an empty config": "", "half a config": '{"architectures": [', "a config that is a list": "[]",
        "a config of nothing": "null", "a deep config": "[" * 100000, "a config of zeros": "\0" * 99}, "bad/config.json")
def config_text(bad, content):
    (bad / "config.json").write_text(content)


@case("no config at all", "bad/config.json")
def no_config(bad):
    (bad / "config.json").unlink()


@cases({"a thousand million layers": {"num_hidden_layers": 10 ** 9}, "minus one layer": {"num_hidden_layers": -1},
        "layers that are a word": {"num_hidden_layers": "many"}, "more layers than weights": {"num_hidden_layers": 9}},
       "num_hidden_layers|gives 9", 2)
def config_entry(bad, changes):
    config = json.loads((bad / "config.json").read_text())
    (bad / "config.json").write_text(json.dumps({**config, **changes}))


# ---- adapters

LORA = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none"}


def write_adapter(bad, config, rows=4, name="base_model.model.model.layers.0.self_attn.q_proj"):
    for path in list(bad.iterdir()):
        path.unlink()
    (bad / "adapter_config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    write_tensors(bad / "adapter_model.safetensors", {
        f"{name}.lora_A.weight": ("F32", (rows, 128), struct.pack("<f", 0.01) * 128 * rows),
        f"{name}.lora_B.weight": ("F32", (128, 4), struct.pack("<f", 0.01) * 512)})


@cases({"an adapter of rank 0": {**LORA, "r": 0}, "an adapter of rank -1": {**LORA, "r": -1},
        "a rank that is a word": {**LORA, "r": "four"}, "an alpha that is a list": {**LORA, "lora_alpha": [8]},
        "DoRA": ({**LORA, "use_dora": True}, "(?i)dora"), "another kind of adapter": ({**LORA, "peft_type": "IA3"}, "peft_type is not LORA"),
        "an alpha that is no number": '{"peft_type": "LORA", "r": 4, "lora_alpha": NaN}', "an alpha of 10^300": {**LORA, "lora_alpha": 1e300},
        "no alpha": {**LORA, "lora_alpha": None}, "half a rank": {**LORA, "r": 4.5}, "a rank of 2^62": {**LORA, "r": 2 ** 62},
        "ranks that are a list": {**LORA, "rank_pattern": [1]}, "trained biases": {**LORA, "bias": "all"}, "a bias that is a number": {**LORA, "bias": 5},
        "rank-stabilised as a word": {**LORA, "use_rslora": "x"},
        "an adapter's config that breaks off": '{"r": 4', "an adapter's config that is a list": "[]"},
       "adapter_config.json|bad", (2, 3), ADAPTER)
def adapter_config(bad, config):
    write_adapter(bad, config)


@case("an adapter whose factors do not fit", "lora|adapter", (2, 3), ADAPTER)
def adapter_shape(bad):
    write_adapter(bad, LORA, rows=5)


@case("an adapter of a tensor that is not there", "layers.77|lora|adapter", (2, 3), ADAPTER)
def adapter_name(bad):
    write_adapter(bad, LORA, name="base_model.model.model.layers.77.self_attn.q_proj")


@case("an adapter without weights", "adapter_model", (2, 3), ADAPTER)
def adapter_empty(bad):
    write_adapter(bad, LORA)
    (bad / "adapter_model.safetensors").unlink()


# ---- tokenizers, where vocabularies are merged

@cases({"an empty tokenizer": "", "half a tokenizer": '{"model": {', "a tokenizer without a model": "{}",
        "a tokenizer that is a list": "[]", "a vocabulary that is a list": '{"model": {"type": "BPE", "vocab": [1], "merges": []}}',
        "an id that is a word": '{"model": {"type": "BPE", "vocab": {"a": "b"}, "merges": []}}',
        "an id of 2^40": '{"model": {"type": "BPE", "vocab": {"a": 1099511627776}, "merges": []}}',
        "a negative id": '{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}',
        "added tokens that are a map": '{"added_tokens": {"a": 1}, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}',
        "an added token of 2^40": '{"added_tokens": [{"id": 1099511627776, "content": "a"}], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}',
        "an added token without text": '{"added_tokens": [{"id": 1}], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}',
        "an id with a fraction": '{"added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0.5}, "merges": []}}',
        "an unknown kind of model": '{"model": {"type": "XYZ", "vocab": {}}}'}, "bad/tokenizer.json|bad", (2, 3), UNION)
def tokenizer_text(bad, content):
    (bad / "tokenizer.json").write_text(content)


@cases({"merges that are a map": {"merges": {"a": "b"}}, "a vocabulary that is a list, cut": {"vocab": [["a", 1], ["b", 1]]}},
       "bad: tokenizer.json: a BPE model needs", (2, 3), UNION)
def cut_tokenizer(bad, changes):
    tokenizer = json.loads((bad / "tokenizer.json").read_text())
    tokenizer["model"].update(changes)
    (bad / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((bad / "config.json").read_text())
    (bad / "config.json").write_text(json.dumps({**config, "vocab_size": 1}))
