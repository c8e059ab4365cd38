"""Files as users send them: every mistake is one clear line with file, line, field, value and what was expected."""

import gzip
import hashlib
import json
import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from billing_pipeline.customers.rules.fields import CUSTOMER_FIELDS
from billing_pipeline.imports.files import ImportFile
from billing_pipeline.imports.problems import ImportRefused
from billing_pipeline.imports.rules import fields as import_rules
from billing_pipeline.imports.text import LINE_LENGTH_MAX
from billing_pipeline.usage.rules.fields import USAGE_FIELDS

HEADER = "event_id,customer_id,meter,dimensions,quantity,occurred_at\n"
GOOD = "e{0},0042,users,,{0},2026-10-01T00:00:00Z\n"


def read(
    path: Path, content: str | bytes | None = None, batch_rows: int = 3, fields=USAGE_FIELDS
) -> list[dict[str, Any]]:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    file = ImportFile(path, fields, batch_rows)
    rows = [row for table in file.tables() for row in table.to_pylist()]
    file.problems.raise_if_any()
    return rows


def refusal(path: Path, content: str | bytes | None = None, **options: Any) -> str:
    with pytest.raises(ImportRefused) as caught:
        read(path, content, **options)
    return str(caught.value)


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    return tmp_path / "usage.csv"


@pytest.fixture
def jsonl_file(tmp_path: Path) -> Path:
    return tmp_path / "usage.jsonl"


@pytest.fixture
def parquet_file(tmp_path: Path) -> Path:
    return tmp_path / "usage.parquet"


def test_rows_keep_their_leading_zeros_and_know_their_lines(csv_file: Path) -> None:
    rows = read(csv_file, HEADER + "".join(GOOD.format(n) for n in range(7)))
    assert [row["line"] for row in rows] == [2, 3, 4, 5, 6, 7, 8]
    assert rows[6] == {
        "line": 8, "event_id": "e6", "customer_id": "0042", "meter": "users", "dimensions": "{}", "quantity": "6",
        "occurred_at": "2026-10-01T00:00:00Z", "properties": "{}",
    }  # fmt: skip


@pytest.mark.parametrize("before", ["", "\ufeff", "\n\n"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_byte_order_mark_line_ends_and_blank_lines_are_tolerated(csv_file: Path, before: str, newline: str) -> None:
    content = (before + HEADER + GOOD.format(1) + "\n" + GOOD.format(2)).replace("\n", newline)
    first = 2 + before.count("\n")
    assert [row["line"] for row in read(csv_file, content)] == [first, first + 2]


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        (",c,users,,1,2026-10-01T00:00:00Z", 'event_id "": expected 1 to 255 characters without control characters, white space neither first nor last'),
        ('"e\t",c,users,,1,2026-10-01T00:00:00Z', 'event_id "e\\t": expected 1 to 255 characters without control characters, white space neither first nor last'),
        ("e\0,c,users,,1,2026-10-01T00:00:00Z", 'event_id "e\\x00": expected 1 to 255 characters without control characters, white space neither first nor last'),
        (f"{'x' * 256},c,users,,1,2026-10-01T00:00:00Z", f'event_id "{"x" * 80}…": expected 1 to 255 characters without control characters, white space neither first nor last'),
        ("e,,users,,1,2026-10-01T00:00:00Z", 'customer_id "": expected 1 to 255 characters without control characters, white space neither first nor last'),
        ("e,c,,,1,2026-10-01T00:00:00Z", 'meter "": expected 1 to 255 characters without control characters, white space neither first nor last'),
        ("e,c,users,,1e,2026-10-01T00:00:00Z", 'quantity "1e": expected a decimal number with at most 12 places'),
        ("e,c,users,,,2026-10-01T00:00:00Z", 'quantity "": expected a decimal number with at most 12 places'),
        ("e,c,users,,NaN,2026-10-01T00:00:00Z", 'quantity "NaN": expected a decimal number with at most 12 places'),
        ('e,c,users,,"1,000",2026-10-01T00:00:00Z', 'quantity "1,000": expected a decimal number with at most 12 places'),
        ("e,c,users,,1e18,2026-10-01T00:00:00Z", 'quantity "1e18": expected a decimal number with at most 18 digits before the point'),
        ("e,c,users,,1,2026-10-01T00:00:00", f'occurred_at "2026-10-01T00:00:00": expected {import_rules.INSTANT}'),
        ("e,c,users,,1,", f'occurred_at "": expected {import_rules.INSTANT}'),
        ('e,c,users,"{""tier"": 1}",1,2026-10-01T00:00:00Z', f'dimensions "{{"tier": 1}}": expected {import_rules.DIMENSIONS}'),
        ("e,c,users,,1", "expected 6 fields, found 5"),
        ("e,c,users,,1,2026-10-01T00:00:00Z,", "expected 6 fields, found 7"),
        (" ", "expected 6 fields, found 1"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_line_field_value_and_what_was_expected(csv_file: Path, cells: str, line: str) -> None:
    content = HEADER + "".join(GOOD.format(n) for n in range(4)) + cells + "\n" + GOOD.format(9)
    said = refusal(csv_file, content)
    assert said == f"usage.csv:6: {line}"


def test_a_row_after_quoted_line_breaks_has_its_physical_line(csv_file: Path) -> None:
    dimensions = '"{""tier"":\n\n""basic""}"'
    content = (
        HEADER
        + f"e1,c,users,{dimensions},1,2026-10-01T00:00:00Z\ne2,c,users,{dimensions},x,2026-10-01T00:00:00Z\n"
        + GOOD.format(3)
    )
    said = refusal(csv_file, content + "e4,c,users,,y,2026-10-01T00:00:00Z")
    assert [line.partition(" quantity")[0] for line in said.splitlines()] == ["usage.csv:5:", "usage.csv:9:"]


def test_the_first_20_problems_are_told_in_order_and_the_rest_counted(csv_file: Path) -> None:
    content = HEADER + "".join(f"e{n},c,users,,x{n},2026-10-01\n" for n in range(50))
    with pytest.raises(ImportRefused) as caught:
        read(csv_file, content, batch_rows=7)
    assert caught.value.total == 100
    assert [(p.line, p.field) for p in caught.value.problems[:3]] == [
        (2, "quantity"),
        (2, "occurred_at"),
        (3, "quantity"),
    ]
    assert [p.line for p in caught.value.problems] == sorted(2 + n // 2 for n in range(20))
    assert str(caught.value).splitlines()[-1] == "… and 80 more"


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("event_id,customer_id,meter,quantity\n", "usage.csv:1: expected a column occurred_at among event_id, customer_id, meter, dimensions, quantity, occurred_at, properties"),
        ("event_id,event_id,customer_id,meter,quantity,occurred_at\n", 'usage.csv:1: column "event_id": expected each column once'),
        ("event_id,customer,meter,quantity,occurred_at\n", 'usage.csv:1: column "customer": expected only the columns event_id, customer_id, meter, dimensions, quantity, occurred_at, properties'),
        ("", "usage.csv: expected a header line, found an empty file"),
        ("\n\n", "usage.csv: expected a header line, found an empty file"),
        (HEADER.encode("utf-16"), "usage.csv:1: expected UTF-8 text"),
    ],
)  # fmt: skip
def test_a_wrong_header_is_one_clear_line(csv_file: Path, header: str | bytes, line: str) -> None:
    assert refusal(csv_file, header) == line


def test_columns_may_come_in_any_order_and_optional_ones_may_be_absent(csv_file: Path) -> None:
    rows = read(csv_file, "occurred_at,quantity,meter,customer_id,event_id\n2026-10-01T00:00:00Z,1,users,c,e\n")
    assert rows[0]["event_id"] == "e"
    assert rows[0]["dimensions"] == "{}"


def test_bytes_that_are_no_utf8_are_found_in_their_row(csv_file: Path) -> None:
    content = (HEADER + GOOD.format(1)).encode() + "e2,Müller,users,,1,2026-10-01T00:00:00Z\n".encode("latin-1")
    assert (
        refusal(csv_file, content + GOOD.format(3).encode())
        == r'usage.csv:3: customer_id "M\xfcller": expected UTF-8 text'
    )


@pytest.mark.parametrize(
    ("rest", "line"),
    [
        ('e2,c,users,"{,1,2026-10-01T00:00:00Z\n' + GOOD.format(3), "usage.csv:3: expected a closing quote; nothing after it was read"),
        ('e2,c,users,"{,1,2026-10-01T00:00:00Z\n' + GOOD.format(3) * 5000, "usage.csv:3: expected a closing quote; nothing after it was read"),
        ('e2,c,"users"x,,1,2026-10-01T00:00:00Z\n', "usage.csv:3: expected a comma or a line break after a closing quote; nothing after it was read"),
        ("x" * (LINE_LENGTH_MAX + 1), "usage.csv:3: expected a line of less than 1,048,576 characters; nothing after it was read"),
    ],
)  # fmt: skip
def test_a_file_that_falls_apart_says_where(csv_file: Path, rest: str, line: str) -> None:
    assert refusal(csv_file, HEADER + GOOD.format(1) + rest) == line


def test_a_missing_file_a_folder_and_a_wrong_extension_are_one_line(tmp_path: Path) -> None:
    assert refusal(tmp_path / "usage.csv") == f"usage.csv: expected an existing file at {tmp_path}/usage.csv"
    (tmp_path / "folder.csv").mkdir()
    assert refusal(tmp_path / "folder.csv") == "folder.csv: expected a readable file: Is a directory"
    for name in ("usage.xlsx", "usage", "usage.gz", "usage.parquet.gz"):
        assert (
            refusal(tmp_path / name, b"")
            == f"{name}: expected a file named *.csv, *.jsonl, *.ndjson (each also with .gz) or *.parquet"
        )


def test_a_gzipped_file_is_read_and_a_cut_one_refused(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + GOOD.format(1)).encode())
    assert len(read(tmp_path / "usage.csv.gz", packed)) == 1
    assert refusal(tmp_path / "usage.csv.gz", packed[:-9]).startswith("usage.csv.gz: expected a complete gzip file")
    assert refusal(tmp_path / "usage.jsonl.gz", b"plain text").startswith(
        "usage.jsonl.gz: expected a complete gzip file"
    )


@pytest.mark.parametrize("name", ["usage.csv", "usage.csv.gz"])
def test_the_digest_is_of_the_bytes_of_the_file(tmp_path: Path, name: str) -> None:
    content = (HEADER + "".join(GOOD.format(n) for n in range(50))).encode()
    data = gzip.compress(content) if name.endswith(".gz") else content
    (tmp_path / name).write_bytes(data)
    file = ImportFile(tmp_path / name, USAGE_FIELDS)
    assert sum(table.num_rows for table in file.tables()) == file.row_count == 50
    assert file.sha256 == hashlib.sha256(data).hexdigest()


def record(**over: Any) -> str:
    good = {"event_id": "e", "customer_id": "c", "meter": "users", "quantity": 1, "occurred_at": "2026-10-01T00:00:00Z"}
    return json.dumps(good | over) + "\n"


def test_json_numbers_are_read_to_the_last_digit(jsonl_file: Path) -> None:
    line = record().replace('"quantity": 1', '"quantity": 123456789012345678.123456789012')
    assert (
        read(jsonl_file, "\ufeff" + line + "\n" + record(quantity="1.10"))[0]["quantity"]
        == "123456789012345678.123456789012"
    )


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (record(customer_id=42), 'customer_id "42": expected text in quotes'),
        (record(quantity=True), 'quantity "true": expected a decimal number with at most 12 places'),
        (record(quantity=None), 'quantity "": expected a decimal number with at most 12 places'),
        (record(quantity=float("nan")), 'quantity "NaN": expected a decimal number with at most 12 places'),
        (record(quantity=[1]), 'quantity "[1]": expected a decimal number with at most 12 places'),
        (record(dimensions={"tier": 1.50}), f'dimensions "{{"tier": 1.5}}": expected {import_rules.DIMENSIONS}'),
        (record(dimensions=["tier"]), f'dimensions "["tier"]": expected {import_rules.DIMENSIONS}'),
        (record(occurred_at=1793491199), 'occurred_at "1793491199": expected text in quotes'),
        (record(extra="x"), 'name "extra": expected only event_id, customer_id, meter, dimensions, quantity, occurred_at, properties'),
        ('{"event_id": "e"}\n', "customer_id: expected a value, found none"),
        ('{"event_id": "e", "event_id": "f"}\n', "expected a JSON object with each name once"),
        ("[]\n", "expected a JSON object on one line"),
        ("[" * 100_000 + "\n", "expected a JSON object on one line"),
        ('{"event_id"\n', "expected a JSON object on one line: Expecting ':' delimiter at character 12"),
        (b'{"event_id": "\xff"}\n', "expected UTF-8 text"),
        (record(meter="\ud800"), r'meter "\ud800": expected UTF-8 text'),
        ("x" * (LINE_LENGTH_MAX + 1), "expected a line of less than 1,048,576 bytes; nothing after it was read"),
    ],
)  # fmt: skip
def test_a_bad_json_line_is_named(jsonl_file: Path, bad: str | bytes, line: str) -> None:
    content = (record() + "\n").encode() + (bad.encode() if isinstance(bad, str) else bad)
    assert refusal(jsonl_file, content) == f"usage.jsonl:3: {line}"


def test_an_empty_json_file_is_refused(jsonl_file: Path) -> None:
    assert refusal(jsonl_file, "") == "usage.jsonl: expected one JSON object a line, found an empty file"


def parquet(path: Path, **over: Any) -> Path:
    columns = {
        "event_id": pa.array(["e1", "e2"]),
        "customer_id": pa.array(["0042", "0042"]).dictionary_encode(),
        "meter": pa.array(["users", "users"], pa.large_string()),
        "dimensions": pa.array(['{"tier":"basic"}', None]),
        "quantity": pa.array([Decimal("1.500000000001"), Decimal(2)], pa.decimal128(38, 12)),
        "occurred_at": pa.array([datetime(2026, 10, 1, tzinfo=UTC)] * 2, pa.timestamp("ms", "Europe/Berlin")),
    }
    pq.write_table(pa.table({name: column for name, column in (columns | over).items() if column is not None}), path)
    return path


@pytest.mark.parametrize(
    "over",
    [
        {},
        {
            "dimensions": pa.array(
                [{"tier": "basic", "size": None}, None], pa.struct([("tier", pa.string()), ("size", pa.string())])
            )
        },
        {"dimensions": pa.array([[("tier", "basic")], []], pa.map_(pa.string(), pa.string()))},
        {"quantity": pa.array([Decimal("1.500000000001"), Decimal(2)], pa.decimal256(60, 30))},
        {"quantity": pa.array(["1.500000000001", "2"])},
        {"occurred_at": pa.array(["2026-10-01T00:00:00Z", "2026-09-30T20:00:00-04:00"])},
        {"occurred_at": pa.array([datetime(2026, 10, 1, tzinfo=UTC)] * 2, pa.timestamp("ns", "UTC"))},
        {"occurred_at": pa.array([datetime(2026, 10, 1, tzinfo=UTC)] * 2, pa.timestamp("s", "+02:00"))},
    ],
)
def test_parquet_types_that_lose_nothing_are_read(parquet_file: Path, over: dict[str, Any]) -> None:
    first, second = read(parquet(parquet_file, **over))
    assert (first["line"], first["customer_id"], first["dimensions"]) == (1, "0042", '{"tier":"basic"}')
    assert (second["line"], second["dimensions"]) == (2, "{}")
    assert [Decimal(row["quantity"]) for row in (first, second)] == [Decimal("1.500000000001"), 2]
    assert [datetime.fromisoformat(row["occurred_at"]) for row in (first, second)] == [
        datetime(2026, 10, 1, tzinfo=UTC)
    ] * 2


def test_parquet_integers_and_small_decimals_are_read(parquet_file: Path) -> None:
    assert read(parquet(parquet_file, quantity=pa.array([2**53 + 1, -7])))[0]["quantity"] == str(2**53 + 1)
    tiny = pa.array([Decimal("0.000000000001"), None], pa.decimal128(13, 12))
    assert (
        refusal(parquet(parquet_file, quantity=tiny))
        == 'usage.parquet:2: quantity "": expected a decimal number with at most 12 places'
    )


@pytest.mark.parametrize(
    ("over", "line"),
    [
        ({"quantity": pa.array([1.5, 2.5])}, 'quantity "double": expected a decimal, integer or text column: a float has lost digits'),
        ({"quantity": pa.array([1.5, 2.5], pa.float32())}, 'quantity "float": expected a decimal, integer or text column: a float has lost digits'),
        ({"customer_id": pa.array([42, 43])}, 'customer_id "int64": expected a text column: numbers lose leading zeros'),
        ({"occurred_at": pa.array([datetime(2026, 10, 1)] * 2)}, 'occurred_at "timestamp[us]": expected a timestamp column with a time zone, or text'),
        ({"dimensions": pa.array([["a"], ["b"]])}, 'dimensions "list<element: string>": expected a text column with JSON, or a struct or map of texts'),
        ({"meter": None}, "expected a column meter among event_id, customer_id, meter, dimensions, quantity, occurred_at, properties"),
    ],
)  # fmt: skip
def test_parquet_columns_that_lose_something_are_refused_in_one_line(
    parquet_file: Path, over: dict[str, Any], line: str
) -> None:
    assert refusal(parquet(parquet_file, **over)) == f"usage.parquet: {line}"


def test_nanoseconds_that_microseconds_cannot_hold_are_refused_not_rounded(parquet_file: Path) -> None:
    instants = pa.array([1_000, 1_001], pa.timestamp("ns", "UTC"))
    said = refusal(parquet(parquet_file, occurred_at=instants))
    assert said == f'usage.parquet:2: occurred_at "1970-01-01 00:00:00.000001001Z": expected {import_rules.INSTANT}'


def test_a_broken_parquet_file_is_one_line(parquet_file: Path) -> None:
    assert refusal(parquet_file, b"PAR1 nothing").startswith("usage.parquet: expected a Parquet file: ")
    data = parquet(parquet_file).read_bytes()
    broken = data[:4] + b"\xff" * 60 + data[64:]
    assert refusal(parquet_file, broken).startswith("usage.parquet:1: expected a readable Parquet file: ")


def test_customers_parquet_may_hold_dates(tmp_path: Path) -> None:
    columns = {"customer_id": ["c"], "name": ["N"], "email": ["a@b.example"], "currency": ["USD"], "timezone": ["UTC"]}
    table = pa.table(columns | {"billing_cycle": ["30d"], "cycle_anchor": pa.array([date(2026, 1, 15)])})
    pq.write_table(table, tmp_path / "customers.parquet")
    row = read(tmp_path / "customers.parquet", fields=CUSTOMER_FIELDS)[0]
    assert (row["currency"], row["billing_cycle"], row["cycle_anchor"]) == ("usd", "30_days", "2026-01-15")


def peak_bytes(path: Path, rows: int) -> int:
    with path.open("w") as out:
        out.write(HEADER)
        out.writelines(GOOD.format(n) for n in range(rows))
    tracemalloc.start()
    try:
        arrow_peak = 0
        for table in ImportFile(path, USAGE_FIELDS, 500).tables():
            assert table.num_rows <= 500
            arrow_peak = max(arrow_peak, pa.total_allocated_bytes())
        return tracemalloc.get_traced_memory()[1] + arrow_peak
    finally:
        tracemalloc.stop()


def test_memory_depends_on_the_batch_not_on_the_file(csv_file: Path) -> None:
    assert peak_bytes(csv_file, 24_000) < 1.2 * peak_bytes(csv_file, 3_000)
