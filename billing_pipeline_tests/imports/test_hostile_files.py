"""Files that are broken or built to do harm: one line each, within bounds, and nothing of them is loaded."""

import gzip
import os
import random
import re
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing_pipeline.core.errors import UserError
from billing_pipeline.imports.files import ImportFile
from billing_pipeline.imports.problems import ImportRefused
from billing_pipeline.imports.regular_files import read_small_text
from billing_pipeline.usage.rules.fields import USAGE_FIELDS

UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
NAMES = [field.name for field in USAGE_FIELDS]
HEADER = "event_id,customer_id,meter,dimensions,quantity,occurred_at\n"
ROW = 'e{0},0042,users,"{{""tier"": ""a""}}",{0},2026-10-01T00:00:00Z\n'


def refusal(path: Path, batch_rows: int = 100) -> str:
    with pytest.raises(ImportRefused) as caught:
        read(path, batch_rows)
    return str(caught.value)


def read(path: Path, batch_rows: int = 100) -> int:
    file = ImportFile(path, USAGE_FIELDS, batch_rows)
    rows = sum(table.num_rows for table in file.tables())
    file.problems.raise_if_any()
    return rows


def _columns(rows: int = 4) -> dict[str, Any]:
    values: dict[str, list[str]] = {name: ["x"] * rows for name in NAMES}
    values |= {
        "event_id": [f"e{number}" for number in range(rows)],
        "dimensions": ['{"tier": "a"}'] * rows,
        "properties": ['{"user": "u"}'] * rows,
        "quantity": ["1.5"] * rows,
        "occurred_at": ["2026-10-01T00:00:00Z"] * rows,
    }
    return {name: pa.array(column, pa.string()) for name, column in values.items()}


def _bad(rows: int, at: int) -> Any:
    return pa.array([b"ok"] * at + [b"\xff\xfe"] + [b"ok"] * (rows - at - 1), pa.binary()).view(pa.string())


def _parquet(path: Path, over: dict[str, Any], rows: int = 4, **options: Any) -> Path:
    columns = {**_columns(rows), **over}
    pq.write_table(pa.Table.from_arrays(list(columns.values()), list(columns)), path, **options)
    return path


@pytest.mark.parametrize("name", ["event_id", "meter", "dimensions", "quantity"])
def test_text_of_a_parquet_column_that_is_no_utf8_is_named_by_row_group_row_and_column(tmp_path, name):
    path = _parquet(tmp_path / "u.parquet", {name: _bad(40, 33)}, 40, row_group_size=10)
    assert refusal(path, 7) == f"u.parquet:34: {name}: expected UTF-8 text (row group 4)"


def test_no_utf8_is_also_found_within_structs_maps_and_dictionaries(tmp_path):
    texts = _bad(4, 2)
    for column in (
        pa.StructArray.from_arrays([texts], ["tier"]),
        pa.MapArray.from_arrays([0, 1, 2, 3, 4], ["t"] * 4, texts),  # type: ignore[call-overload]
        pa.DictionaryArray.from_arrays(pa.array([0, 0, 2, 1], pa.int32()), texts),
    ):
        path = _parquet(tmp_path / "u.parquet", {"dimensions": column})
        assert refusal(path) == "u.parquet:3: dimensions: expected UTF-8 text (row group 1)"


def test_a_struct_with_a_name_twice_is_one_line(tmp_path):
    twice = pa.StructArray.from_arrays([pa.array(["a"] * 4), pa.array(["b"] * 4)], ["tier", "tier"])
    expected = 'u.parquet: dimensions "struct<tier: string, tier: string>": expected a struct that has each name once'
    assert refusal(_parquet(tmp_path / "u.parquet", {"dimensions": twice})) == expected


def test_a_struct_without_a_name_is_one_line(tmp_path):
    unnamed = pa.StructArray.from_arrays([pa.array(["a"] * 4)], [""])
    assert "\n" in refusal(_parquet(tmp_path / "u.parquet", {"dimensions": unnamed}))  # a line a row


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "usage.csv"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    said: list[str] = []
    reading = threading.Thread(target=lambda: said.append(refusal(path)), daemon=True)
    reading.start()
    reading.join(5)
    assert said == ["usage.csv: expected a regular file, found a pipe, a socket or a device"]
    with pytest.raises(UserError, match="a regular file"):
        read_small_text(path, 1000)


def test_a_small_gzip_file_that_becomes_huge_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("billing_pipeline.imports.files.UNZIPPED_FREE_BYTES", 1 << 20)
    path = tmp_path / "usage.csv.gz"
    path.write_bytes(gzip.compress(HEADER.encode() + (b"x" * 1000 + b"\n") * 100_000))
    assert refusal(path) == "usage.csv.gz: expected a gzip file that becomes at most 200 times as large"


def test_usage_that_repeats_itself_a_lot_may_still_be_compressed(tmp_path):
    path = tmp_path / "usage.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "".join(ROW.format(n) for n in range(20_000))).encode()))
    assert read(path, 10_000) == 20_000


@pytest.mark.parametrize("name", ["usage.csv", "usage.csv.gz", "usage.parquet"])
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        _parquet(path, {}, 30)
    else:
        content = (HEADER + "".join(ROW.format(n) for n in range(30))).encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    file = ImportFile(path, USAGE_FIELDS, 10)
    tables = file.tables()
    next(tables)
    status = path.stat()
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(bytes(changed))
    if name.endswith("parquet"):  # even with the old time: its bytes are digested twice
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ImportRefused, match="stays as it is while it is read"):
        for _ in tables:
            pass


def _corpus(folder: Path) -> list[Path]:
    text = HEADER + "".join(ROW.format(n) for n in range(30))
    lines = [f'{{"event_id": "e{n}", "customer_id": "a", "meter": "m", "dimensions": {{"t": "é"}}, "quantity": {n},'
             f' "occurred_at": "2026-10-01T00:00:00Z"}}\n' for n in range(30)]  # fmt: skip
    files = {
        "u.csv": text.encode(),
        "u.csv.gz": gzip.compress(text.encode()),
        "u.jsonl": "".join(lines).encode(),
        "u.jsonl.gz": gzip.compress("".join(lines).encode()),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    struct = pa.StructArray.from_arrays([pa.array(["a"] * 30), pa.array(["b"] * 30)], ["t", "u"])
    _parquet(folder / "plain.parquet", {}, 30, compression="none", row_group_size=10)
    _parquet(folder / "struct.parquet", {"dimensions": struct}, 30, use_dictionary=False)
    _parquet(folder / "zstd.parquet", {}, 30, compression="zstd")
    return sorted(folder.iterdir())


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_refused_in_lines_and_never_break_the_reader(tmp_path, seed):
    chance = random.Random(seed)
    (tmp_path / "good").mkdir()
    for good in _corpus(tmp_path / "good"):
        content = good.read_bytes()
        path = tmp_path / good.name
        for _ in range(25):
            mutated = bytearray(content)
            for _ in range(chance.choice([1, 1, 2, 8])):
                at = chance.randrange(len(mutated))
                kind = chance.randrange(4)
                if kind == 0:
                    mutated[at] = chance.randrange(256)
                elif kind == 1:
                    del mutated[at : at + chance.randrange(1, 20)]
                elif kind == 2:
                    mutated[at:at] = chance.randbytes(chance.randrange(1, 20))
                else:
                    mutated[at] ^= 1 << chance.randrange(4)
                if not mutated:
                    mutated = bytearray(b"x")
            path.write_bytes(bytes(mutated))
            for line in _said_of(path):
                assert line.startswith((good.name, "…"))
                assert not UNPRINTABLE.search(line)


def _said_of(path: Path) -> list[str]:
    """The lines of a refusal; none if the file was read."""
    try:
        read(path)
    except ImportRefused as refused:
        return str(refused).splitlines()
    return []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([".csv", ".jsonl", ".parquet", ".csv.gz"]),
    content=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: (HEADER + text).encode("utf-8", "ignore")),
)
def test_any_bytes_are_read_or_refused(tmp_path, suffix, content):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    assert not any(UNPRINTABLE.search(line) for line in _said_of(path))
