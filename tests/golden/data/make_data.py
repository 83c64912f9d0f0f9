"""Makes the files that tests/unit/data reads and rows.json, what pyarrow says is in them.

usage: make_data.py   (needs pyarrow)
"""
import datetime
import decimal
import json
import pathlib
import struct

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

here = pathlib.Path(__file__).resolve().parent
DAY = datetime.date(2024, 2, 29)
NOW = datetime.datetime(2001, 9, 9, 1, 46, 40, 123000)

ROWS = 23
COLUMNS = {
    "i8": pyarrow.array([(-1) ** i * i for i in range(ROWS)], pyarrow.int8()),
    "u16": pyarrow.array([i * 2000 for i in range(ROWS)], pyarrow.uint16()),
    "i32": pyarrow.array([None if i % 3 == 0 else i * -70000 for i in range(ROWS)], pyarrow.int32()),
    "u32": pyarrow.array([4294967295 - i for i in range(ROWS)], pyarrow.uint32()),
    "i64": pyarrow.array([i * 10 ** 15 for i in range(ROWS)], pyarrow.int64()),
    "f32": pyarrow.array([i / 8 for i in range(ROWS)], pyarrow.float32()),
    "f64": pyarrow.array([None if i == 5 else i / 3 for i in range(ROWS)], pyarrow.float64()),
    "flag": pyarrow.array([None if i % 7 == 3 else i % 2 == 0 for i in range(ROWS)]),
    "text": pyarrow.array([None if i == 4 else "日本語 " * (i % 5) + str(i) for i in range(ROWS)]),
    "large": pyarrow.array(["x" * i for i in range(ROWS)], pyarrow.large_string()),
    "day": pyarrow.array([DAY + datetime.timedelta(days=400 * i) for i in range(ROWS)]),
    "time": pyarrow.array([NOW - datetime.timedelta(days=9000 * (i % 3), seconds=i) for i in range(ROWS)],
                          pyarrow.timestamp("us")),
    "list": pyarrow.array([None if i % 6 == 5 else list(range(i % 4)) for i in range(ROWS)]),
    "texts": pyarrow.array([["a", None, "é" * (i % 3)] if i % 2 else [] for i in range(ROWS)],
                           pyarrow.list_(pyarrow.string())),
    "struct": pyarrow.array([None if i % 5 == 4 else {"a": i, "b": {"c": [str(i)] * (i % 3), "d": None}}
                             for i in range(ROWS)],
                            pyarrow.struct([("a", pyarrow.int64()), ("b", pyarrow.struct([
                                ("c", pyarrow.list_(pyarrow.string())), ("d", pyarrow.float64())]))])),
    "nested": pyarrow.array([[[1, i], [], None] if i % 3 else None for i in range(ROWS)],
                            pyarrow.list_(pyarrow.list_(pyarrow.int64()))),
    "people": pyarrow.array([[{"name": f"n{k}", "age": k if k else None} for k in range(i % 3)] for i in range(ROWS)],
                            pyarrow.list_(pyarrow.struct([("name", pyarrow.string()), ("age", pyarrow.int32())]))),
    "word": pyarrow.array([["red", "green", "blue"][i % 3] for i in range(ROWS)]).dictionary_encode(),
    "nothing": pyarrow.nulls(ROWS),
}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, (datetime.date, datetime.datetime, decimal.Decimal)) else value


def write_ipc(name, table, opener, **options):
    with opener(here / name, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=9)


WORDS = ["red", "green", "red", "blue", "violet", "green", "blue", "black"]


def write_deltas():
    """A stream whose dictionary grows with every batch."""
    schema = pyarrow.schema([("word", pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))])
    options = pyarrow.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    known = []
    with pyarrow.ipc.new_stream(here / "deltas.arrow", schema, options=options) as writer:
        for at in range(0, len(WORDS), 2):
            known += [word for word in dict.fromkeys(WORDS[at:at + 2]) if word not in known]
            indices = pyarrow.array([known.index(word) for word in WORDS[at:at + 2]], pyarrow.int32())
            column = pyarrow.DictionaryArray.from_arrays(indices, pyarrow.array(known))
            writer.write_batch(pyarrow.record_batch([column], schema=schema))


def write_overlap():
    """Two columns of eight numbers, the second one said to lie over both."""
    table = pyarrow.table({"a": list(range(8)), "b": list(range(8))})
    write_ipc("overlap.arrow", table, pyarrow.ipc.new_stream)
    data = (here / "overlap.arrow").read_bytes()
    before, after = struct.pack("<qqqq", 64, 0, 64, 64), struct.pack("<qqqq", 64, 0, 0, 128)
    assert data.count(before) == 1
    (here / "overlap.arrow").write_bytes(data.replace(before, after))


def main():
    table = pyarrow.table(COLUMNS)
    fixed = table.append_column("pair", pyarrow.array([[i, i + 1] for i in range(ROWS)],
                                                      pyarrow.list_(pyarrow.int64(), 2)))
    write_ipc("stream.arrow", fixed, pyarrow.ipc.new_stream)
    write_ipc("file.arrow", fixed, pyarrow.ipc.new_file)
    write_ipc("zstd.arrow", fixed, pyarrow.ipc.new_stream, compression="zstd")
    write_ipc("lz4.arrow", fixed, pyarrow.ipc.new_stream, compression="lz4")
    views = pyarrow.table({"view": COLUMNS["text"].cast(pyarrow.string_view())})
    write_ipc("view.arrow", views, pyarrow.ipc.new_stream)
    numbers = [None, "0", "1", "-1", "12345678.901", "-0.001", "99999999999.999", "-99999999999.999"]
    decimals = [number and decimal.Decimal(number) for number in numbers]
    times = [NOW + datetime.timedelta(days=i) for i in range(len(numbers))]
    rare = pyarrow.table({
        "three": pyarrow.array(decimals, pyarrow.decimal128(14, 3)),
        "wide": pyarrow.array([d and d.scaleb(9) for d in decimals], pyarrow.decimal256(60, 2)),
        "small": pyarrow.array([d and d.scaleb(-20) for d in decimals], pyarrow.decimal128(38, 26)),
        "short": pyarrow.array([d and d.scaleb(3) % 1000 for d in decimals], pyarrow.decimal128(5, 0)),
        "half": pyarrow.array([-2.5, None, 0.0, 1e-7, 65504.0, 1.5, 3.0, 0.1], pyarrow.float16()),
        "utc": pyarrow.array(times, pyarrow.timestamp("ms", tz="UTC"))})
    spans = pyarrow.table({"span": pyarrow.array([1], pyarrow.duration("s"))})
    write_ipc("duration.arrow", spans, pyarrow.ipc.new_stream)
    write_ipc("decimal.arrow", rare, pyarrow.ipc.new_stream)
    pyarrow.parquet.write_table(rare, here / "decimal.parquet", compression="zstd")
    pyarrow.parquet.write_table(rare.select(["short", "three"]), here / "decimal_int.parquet", store_decimal_as_integer=True)
    for codec in ("none", "snappy", "gzip", "zstd", "brotli", "lz4"):
        pyarrow.parquet.write_table(table, here / f"{codec}.parquet", compression=codec, row_group_size=10)
    pyarrow.parquet.write_table(table, here / "v2.parquet", compression="snappy", data_page_version="2.0",
                                use_dictionary=False, row_group_size=20, version="1.0")
    long = pyarrow.table({"i64": [i * i * (-7) ** (i % 9) for i in range(700)],
                          "i32": pyarrow.array([i % 77 - 30 for i in range(700)], pyarrow.int32()),
                          "text": [f"prefix {i // 10} and {i} 日本" if i % 13 else None for i in range(700)],
                          "bytes": ["y" * (i % 17) for i in range(700)]})
    pyarrow.parquet.write_table(long, here / "delta.parquet", use_dictionary=False, column_encoding={
        "i64": "DELTA_BINARY_PACKED", "i32": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY",
        "bytes": "DELTA_LENGTH_BYTE_ARRAY"})
    pyarrow.parquet.write_table(table, here / "split.parquet", use_dictionary=False,
                                column_encoding={"f64": "BYTE_STREAM_SPLIT", "f32": "BYTE_STREAM_SPLIT"})
    write_deltas()
    write_overlap()
    rows = {"deltas": [{"word": word} for word in WORDS], "table": plain(table.to_pylist()), "fixed": plain(fixed.to_pylist()), "view": plain(views.to_pylist()),
            "long": plain(long.to_pylist()), "rare": plain(rare.to_pylist()),
            "rare_ints": plain(rare.select(["short", "three"]).to_pylist())}
    (here / "rows.json").write_text(json.dumps(rows, ensure_ascii=False))


main()
