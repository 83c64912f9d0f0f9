"""Writes the PyTorch files of this folder, and the values they hold (expected.txt).

Run with an environment that has torch (any 2.x, CPU).  Each line of expected.txt is
FILE NAME DTYPE SHAPE CRC32, where the checksum is over the row-major little-endian bytes.
"""
import collections
import os
import zipfile
import zlib

import torch

here = os.path.dirname(os.path.abspath(__file__))
names = {
    torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint8: "U8", torch.bool: "BOOL",
}
lines = []


def note(file, state):
    for name in sorted(state):
        tensor = state[name].detach().contiguous()
        shape = "x".join(str(d) for d in tensor.shape) or "-"
        data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        lines.append(f"{file} {name} {names[tensor.dtype]} {shape} {zlib.crc32(data):08x}")


torch.manual_seed(1)
base = torch.randn(6, 10)
state = collections.OrderedDict()
state["plain"] = base
state["tied"] = base                       # shares the storage of plain
state["transposed"] = base.t()             # the same storage, other strides
state["slice"] = base[1:4, 2:7]            # an offset and a gap between rows
state["row"] = base[2]
state["scalar"] = torch.tensor(2.5)
state["empty"] = torch.empty(0, 3)
state["parameter"] = torch.nn.Parameter(torch.randn(3, 2))
for kind in names:
    state[f"of.{names[kind]}"] = (torch.arange(12) % 2 if kind == torch.bool
                                  else torch.arange(12)).to(kind).reshape(3, 4)
state["cube"] = torch.randn(2, 3, 4).permute(2, 0, 1)
state["名前"] = torch.ones(2)

torch.save(state, os.path.join(here, "zip.bin"))
note("zip.bin", state)
torch.save(state, os.path.join(here, "legacy.bin"), _use_new_zipfile_serialization=False)
note("legacy.bin", state)
nested = {"state_dict": {"w": base}, "epoch": 3, "lr": 1e-3, "names": ["a", "b"], "none": None}
torch.save(nested, os.path.join(here, "nested.bin"))
note("nested.bin", nested["state_dict"])

module = torch.nn.Linear(4, 3)             # its state dict carries _metadata
torch.save(module.state_dict(), os.path.join(here, "module.bin"))
note("module.bin", module.state_dict())
for protocol in (3, 4):
    file = f"protocol{protocol}.bin"
    torch.save({"w": base}, os.path.join(here, file), pickle_protocol=protocol)
    note(file, {"w": base})


class Evil:
    def __reduce__(self):
        return (os.system, ("true",))


torch.save({"w": base, "x": Evil()}, os.path.join(here, "evil.bin"))
torch.save({"w": base, "x": Evil()}, os.path.join(here, "evil_legacy.bin"),
           _use_new_zipfile_serialization=False)

# The same archive with ZIP64 records throughout, and one that is compressed.
with zipfile.ZipFile(os.path.join(here, "module.bin")) as source:
    members = [(info.filename, source.read(info)) for info in source.infolist()]
with zipfile.ZipFile(os.path.join(here, "deflated.bin"), "w", zipfile.ZIP_DEFLATED) as target:
    for name, data in members:
        target.writestr(name, data)
zipfile.ZIP64_LIMIT = 1
zipfile.ZIP_FILECOUNT_LIMIT = 1
with zipfile.ZipFile(os.path.join(here, "zip64.bin"), "w", zipfile.ZIP_STORED) as target:
    for name, data in members:
        with target.open(name, "w", force_zip64=True) as member:
            member.write(data)
with open(os.path.join(here, "zip64.bin"), "r+b") as target:
    target.seek(-14, os.SEEK_END)          # counts, size and offset stand in the ZIP64 record alone
    target.write(b"\xff" * 12)
note("zip64.bin", module.state_dict())

with open(os.path.join(here, "expected.txt"), "w", encoding="utf-8") as out:
    out.write("\n".join(lines) + "\n")
