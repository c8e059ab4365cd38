"""Real cloud usage (FOCUS sample data, CC BY 4.0) through the CLI: every amount as expected, in every digit."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest

from billing_pipeline.settings import ROOT
from billing_pipeline_tests.commands import run_apart

DATA = ROOT.parent / "shared" / "data" / "focus"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the FOCUS data is not beside the repository")

RESULT = """
SELECT customer_id, count(*) AS line_items, sum(exact_amount) AS exact_total, i.total_minor
FROM billing.invoice_line_items JOIN billing.invoices AS i USING (invoice_id, customer_id)
GROUP BY customer_id, i.total_minor ORDER BY customer_id
"""


def _billing(state: Path, *arguments: str) -> str:
    done = run_apart(state, *arguments, BILLING_PRICE_BOOK=str(DATA / "price_book.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_a_month_of_real_usage_comes_out_as_expected_in_every_digit(tmp_path):
    assert "58 customers: 58 new" in _billing(tmp_path, "import", "customers", str(DATA / "customers.csv"))
    usage = _billing(tmp_path, "import", "usage", str(DATA / "usage.csv"), "--complete-through", "2024-10-01T00:00:00Z")
    assert "458 usage events: 458 new" in usage
    assert "bill_month: passed" in _billing(tmp_path, "run", "--month", "2024-09", "--through", "invoices")

    billed = {
        row["customer_id"]: row for row in csv.DictReader(io.StringIO(_billing(tmp_path, "sql", "-c", RESULT, "--csv")))
    }
    with (DATA / "expected.csv").open(encoding="utf-8", newline="") as file:
        expected = {row["customer_id"]: row for row in csv.DictReader(file)}
    assert billed.keys() == expected.keys()
    for customer_id, row in expected.items():
        ours = billed[customer_id]
        assert (ours["line_items"], ours["total_minor"]) == (row["line_items"], row["total_minor"]), customer_id
        assert Decimal(ours["exact_total"]) == Decimal(row["exact_total"]), customer_id
