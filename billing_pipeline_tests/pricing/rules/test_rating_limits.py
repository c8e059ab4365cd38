"""What is too large to be billed, and frames that rating refuses."""

from decimal import Decimal

import pandas as pd
import pytest

from billing_pipeline.pricing.rules.price_book import price_rows
from billing_pipeline.pricing.rules.rating import price_frame, rate
from billing_pipeline_tests.pricing.rules.rated_bills import calls, set_aside, usage
from billing_pipeline_tests.pricing.rules.rating_oracle import Snapshot, rated

LARGE = 10**17 - 1


def test_an_amount_that_does_not_fit_is_set_aside_and_the_others_are_billed():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    snapshots = [usage(1), usage(LARGE, customer="big"), usage(2, "us", customer="big")]
    reason = "an amount larger than can be billed"
    assert set_aside(snapshots, books) == ([("c", 100), ("big", 200)], [("big", reason)])


def test_packages_beyond_counting_are_set_aside_and_the_others_are_billed():
    books = calls("{meter: calls, model: package, package_size: 0.000000000001, amount: 1}")
    snapshots = [usage("0.000000000001"), usage(1000000, customer="big")]
    assert set_aside(snapshots, books) == ([("c", 100)], [("big", "more packages than can be billed")])


def test_an_invoice_whose_lines_fit_and_whose_total_does_not_is_set_aside_whole():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    snapshots = [usage(6 * 10**16, region, "big") for region in ("eu", "us")] + [usage(1)]
    reason = "an invoice total larger than can be billed"
    assert set_aside(snapshots, books) == ([("c", 100)], [("big", reason)] * 2)


def test_usage_that_owes_a_minimum_that_does_not_fit_is_set_aside():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1, minimum: 100000000000000000}")
    assert set_aside([usage(1), usage(0, customer="idle")], books) == (
        [("idle", 0)],
        [("c", "an amount larger than can be billed")],
    )


def test_no_snapshots_make_no_lines_and_no_prices_leave_all_unpriced():
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    empty = rated([], books)
    assert (len(empty.lines), len(empty.unpriced)) == (0, 0)
    assert str(empty.lines.exact_amount.dtype) == "decimal256(61, 24)[pyarrow]"
    assert len(rated([usage(1)], []).unpriced) == 1


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    books = calls("{meter: calls, model: per_unit, unit_amount: 1}")
    snapshots = rated([Snapshot("c", "other", Decimal(1))], books).unpriced.drop(columns="reason")
    return snapshots, price_frame(price_rows(books[0]))


def test_floats_nulls_and_missing_columns_are_refused_by_name():
    snapshots, prices = frames()
    with pytest.raises(ValueError, match=r"snapshots\.quantity holds floats: expected exact decimals"):
        rate(snapshots.assign(quantity=[1.5]), prices)
    with pytest.raises(ValueError, match=r"snapshots\.meter has 1 null\(s\)"):
        rate(snapshots.assign(meter=pd.Series([None], dtype="string[pyarrow]")), prices)
    with pytest.raises(ValueError, match=r"snapshots lack the column\(s\) meter"):
        rate(snapshots.drop(columns="meter"), prices)
    with pytest.raises(ValueError, match=r"snapshots\.quantity: expected decimal256\(30, 12\)"):
        rate(snapshots.assign(quantity=pd.Series([Decimal("1e-13")], dtype="object")), prices)


def test_whole_quantities_may_be_integers():
    snapshots, prices = frames()
    lines = rate(snapshots.assign(quantity=[3], meter="calls"), prices).lines
    assert lines.amount_minor.tolist() == [300]


def test_a_price_that_is_there_twice_is_refused():
    snapshots, prices = frames()
    with pytest.raises(ValueError, match=r"tier 0 of meter calls \{\} twice"):
        rate(snapshots, pd.concat([prices, prices]))
    with pytest.raises(ValueError, match="unknown model 'barter'"):
        rate(snapshots, prices.assign(model="barter"))
