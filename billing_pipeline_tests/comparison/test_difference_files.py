"""Differences as CSV: a spreadsheet opens them and calculates nothing, a program reads back what was written."""

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from billing_pipeline.comparison.files import read_expected, write_csv
from billing_pipeline.comparison.rules.month_diff import Difference

HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "'=1",
    "''",
    "\uff1d1+1",
    '=HYPERLINK("http://x","y")',
    "=cmd|'/C calc'!A0",
]
NUMBERS = {"before_quantity", "after_quantity"}


def _difference(customer_id: str) -> Difference:
    return Difference("usd", customer_id, "-meter", "{}", "usage", "=SUM(1)", Decimal(2), Decimal(1), 20, 10, -10)


@pytest.mark.parametrize("customer_id", HOSTILE)
def test_no_text_of_a_file_of_differences_begins_like_a_formula(tmp_path: Path, customer_id: str):
    path = tmp_path / "diff.csv"
    write_csv([_difference(customer_id)], path)
    with path.open(newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    texts = {name: value for name, value in row.items() if not name.endswith("_minor") and name not in NUMBERS}
    assert not [value for value in texts.values() if value[:1] in set("=+-@\t\r\uff1d")]
    assert row["difference_minor"] == "-10"


@pytest.mark.parametrize("customer_id", [*HOSTILE, "plain", "o'brien", "two\u2028lines", "two\nlines", "two\x85lines"])
def test_differences_are_read_back_as_they_were_written(tmp_path: Path, customer_id: str):
    path = tmp_path / "diff.csv"
    write_csv([_difference(customer_id)], path)
    assert read_expected(path) == {("usd", customer_id, "-meter", "{}", "usage"): -10}
