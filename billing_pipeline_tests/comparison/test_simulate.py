"""`billing simulate` and sample bills: priced as a run would price it, from files alone."""

from datetime import date
from pathlib import Path

import pytest

from billing_pipeline.comparison.rules.simulated_bill import sample_bills
from billing_pipeline.comparison.simulate import simulate
from billing_pipeline.core.errors import UserError
from billing_pipeline.pricing.book_file import read_book_file
from billing_pipeline.pricing.rules.price_book import PriceBook, load_price_books

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
HEADER = "event_id,customer_id,meter,dimensions,quantity,occurred_at"


def book(name: str) -> PriceBook:
    [found] = read_book_file(EXAMPLES / f"{name}.yaml").books
    return found


def usage(folder: Path, *rows: str) -> Path:
    path = folder / "usage.csv"
    path.write_text("\n".join([HEADER, *(f"e{number},{row}" for number, row in enumerate(rows))]))
    return path


def test_a_file_is_priced_by_a_plan_with_its_terms(tmp_path: Path) -> None:
    file = usage(
        tmp_path,
        'c,server_hours,"{""size"": ""large""}",744,2025-10-31T00:00:00Z',
        'c,server_hours,"{""size"": ""small""}",100,2025-10-31T00:00:00Z',
        "c,storage_gb,,200,2025-09-20T00:00:00Z",
        "c,storage_gb,,400,2025-10-16T12:00:00Z",
        "c,traffic_gb,,1500,2025-10-31T00:00:00Z",
    )
    [bill] = simulate(book("cloud-host"), file, plan="committed")
    assert [line.amount_minor for line in bill.lines] == [7142, 120, 2100, 500, 2138, -726]
    assert bill.lines[0].description == "Server, large: 744 × 0.096 USD"  # noqa: RUF001 - as on the invoice
    assert (bill.total_minor, bill.set_aside) == (11274, [])
    [bill] = simulate(book("cloud-host"), file, month=date(2025, 9, 1))
    assert [line.amount_minor for line in bill.lines] == [587]  # 11 of 30 days


def test_each_customer_of_the_file_has_a_bill_and_what_cannot_be_priced_is_named(tmp_path: Path) -> None:
    file = usage(
        tmp_path,
        'b,minutes,"{""destination"": ""moon""}",1,2025-10-03T00:00:00Z',
        "a,calls,,1,2025-10-03T00:00:00Z",
        "a,messages,,1,2025-10-04T00:00:00Z",
    )
    bills = simulate(book("telephone"), file)
    assert [(bill.customer_id, bill.total_minor) for bill in bills] == [("b", 990), ("a", 1390)]
    assert [(one.meter, one.reason) for bill in bills for one in bill.set_aside] == [
        ("minutes", "no price for meter minutes"),
        ("calls", "unknown meter"),
    ]


def test_a_plan_that_no_version_has_is_refused(tmp_path: Path) -> None:
    file = usage(tmp_path, "a,calls,,1,2025-10-03T00:00:00Z")
    with pytest.raises(UserError, match=r'plan "gold": expected a plan of the book yearly-contract \(yearly\)'):
        simulate(book("yearly-contract"), file, plan="gold")


def test_an_event_id_that_means_two_things_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(f"{HEADER}\ne,a,calls,,1,2025-10-03T00:00:00Z\ne,a,calls,,2,2025-10-03T00:00:00Z\n")
    with pytest.raises(UserError, match="line 3: event e is another one in an earlier line"):
        simulate(book("yearly-contract"), path)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_sample_bill_shows_every_price_of_a_book(path: Path) -> None:
    [one] = read_book_file(path).books
    bills = list(sample_bills(one))
    assert [bill.plan for bill in bills] == [None, *one.versions[-1].plans]
    for bill in bills:
        assert bill.set_aside == []
        assert len(bill.lines) >= len(one.versions[-1].prices)
        assert bill.total_minor == sum(line.amount_minor for line in bill.lines) > 0


def test_a_book_at_the_limits_has_sample_bills_too_or_none() -> None:
    most = "9" * 18
    text = (EXAMPLES / "yearly-contract.yaml").read_text()
    wide = text.replace("2025-01-01", "9999-12-31").replace("included: 100000", f"included: {most}")
    [one] = load_price_books(wide, "book.yaml")
    assert [bill.plan for bill in sample_bills(one)] == [None, "yearly"]
    [one] = load_price_books(text.replace('"2000"', f'"{most}"'), "book.yaml")
    assert [bill.plan for bill in sample_bills(one)] == [None]
