"""How fast a month is built: beside COPY of its rows, fewer customers, a longer history, terms, and a loop."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text

from billing_pipeline.sandbox.bench import data, loop
from billing_pipeline.sandbox.bench.floor import copy_in, export
from billing_pipeline.sandbox.bench.steps import PRICED, Measured, Subject, in_child
from billing_pipeline.sandbox.bench.subjects import clear, say, settle_down, subject_of
from billing_pipeline.sandbox.bench.terms import ratio_with_terms

SHORT_HISTORY, LONG_HISTORY = 3, 12
"""Months of usage and invoices before the month that is measured."""
SMALL_CUSTOMERS_MAX = 10_000
"""Customers of the two smaller databases, which show that time is linear in customers and flat in past months."""
THRICE_CUSTOMERS_MAX = 200_000
"""Up to here everything is measured three times and the median is printed."""
SAMPLE_CUSTOMERS = 500
"""Customers that the loop bills."""


def measure_month(url: str, small_url: str, old_url: str, customer_count: int) -> dict[str, Any]:
    """Build the month of the first database beside COPY and a loop; of the others: linear, and flat in past months."""
    rounds = 3 if customer_count <= THRICE_CUSTOMERS_MAX else 1
    small_count = min(customer_count // 2, SMALL_CUSTOMERS_MAX)
    with (
        subject_of(url, customer_count, SHORT_HISTORY) as full,
        subject_of(small_url, small_count, SHORT_HISTORY) as small,
        subject_of(old_url, small_count, LONG_HISTORY) as old,
        tempfile.TemporaryDirectory(prefix="billing-bench-rows-") as folder,
    ):
        subjects = (full, small, old)
        periods = {subject.url: in_child("billing_periods", subject) for subject in subjects}[url]
        builds: list[dict[str, Measured]] = []
        floors: list[dict[str, float]] = []
        linear, flat = [], []
        ready: dict[str, Path] = {}
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}: the month, COPY of its rows, and the smaller databases")
            builds.append(_build(full))
            ready = ready or {asset: export(full, asset, Path(folder)) for asset in PRICED}
            clear(full)
            floors.append({asset: copy_in(full, asset, path) for asset, path in ready.items()})
            seconds = {subject.url: _total(_build(subject)) for subject in (small, old)}
            linear.append((_total(builds[-1]) / customer_count) / (seconds[small_url] / small_count))
            flat.append(seconds[old_url] / seconds[small_url])
            for subject in subjects if number + 1 < rounds else ():
                clear(subject)
        say("a tenth of the customers on commitments and discounts")
        with_terms = ratio_with_terms(small, lambda: _cleared_build(small), rounds)
        settle_down(full)
        say("the gates, the month once more, the loop")
        gates = {asset: in_child(f"{asset}_gates", full) for asset in PRICED}
        again = _build(full)
        ratios = [_total(build) / sum(floor.values()) for build, floor in zip(builds, floors, strict=True)]
        own = {asset: _figures([build[asset] for build in builds]) for asset in PRICED}
        assets = {"billing_periods": _figures([periods])} | own
        return {
            "customers": customer_count,
            "usage_series": customer_count * data.SERIES_PER_CUSTOMER,
            "usage_events": full.warehouse.scalar("SELECT count(*) FROM billing.usage_events"),
            "line_items": own["invoice_line_items"]["rows"],
            "rounds": rounds,
            "assets": assets,
            "floor": {asset: _rate(own[asset]["rows"], median(floor[asset] for floor in floors)) for asset in PRICED},
            "ratio_to_floor": _rounded(ratios),
            "ratio_to_floor_by_round": [round(ratio, 2) for ratio in ratios],
            "peak_rss_mib": max(figure["peak_rss_mib"] for figure in assets.values()),
            "gates_seconds": round(sum(gate.seconds for gate in gates.values()), 2),
            "gates_peak_rss_mib": max(gate.peak_rss_mib for gate in gates.values()),
            "gates_failed": sum(gate.changed for gate in gates.values()),
            "again_seconds": {asset: round(one.seconds, 2) for asset, one in again.items()},
            "again_changed_rows": sum(one.changed for one in again.values()),
            "small_customers": small_count,
            "linear_ratio": _rounded(linear),
            "flat_in_history_ratio": _rounded(flat),
            "ratio_with_terms": with_terms,
            **_loop(full, min(SAMPLE_CUSTOMERS, customer_count)),
        }


def _cleared_build(subject: Subject) -> float:
    clear(subject)
    return _total(_build(subject))


def _build(subject: Subject) -> dict[str, Measured]:
    return {asset: in_child(asset, subject) for asset in PRICED}


def _total(build: dict[str, Measured]) -> float:
    return sum(one.seconds for one in build.values())


def _rounded(ratios: Sequence[float]) -> float:
    return round(median(ratios), 2)


def _figures(measured: Sequence[Measured]) -> dict[str, Any]:
    rows = measured[0].rows
    return {
        **_rate(rows, median(one.seconds for one in measured)),
        "peak_rss_mib": max(one.peak_rss_mib for one in measured),
    }


def _rate(rows: int, seconds: float) -> dict[str, Any]:
    return {"rows": rows, "seconds": round(seconds, 2), "rows_per_s": round(rows / seconds)}


def _loop(subject: Subject, count: int) -> dict[str, Any]:
    """Bill a sample of customers by the loop, after removing what the pipeline made of them, and compare."""
    warehouse, month = subject.warehouse, subject.month
    sample = {str(row["customer_id"]): int(row["total"]) for row in warehouse.rows(_SAMPLE, month=month, count=count)}
    with warehouse.transaction() as connection:
        for asset in reversed(PRICED):
            connection.execute(
                text(f"DELETE FROM billing.{asset} WHERE billing_month = :month AND customer_id = ANY(:sample)"),
                {"month": month, "sample": list(sample)},
            )
    settle_down(subject)
    start = time.perf_counter()
    line_count, totals = loop.bill(warehouse, month, list(sample))
    seconds = time.perf_counter() - start
    return {
        "loop_customers": len(sample),
        "loop_rows_per_s": round(line_count / seconds),
        "loop_totals_equal": totals == sample,
    }


_SAMPLE = """
SELECT customer_id, sum(total_minor) AS total
FROM billing.invoices
WHERE billing_month = :month
GROUP BY customer_id
ORDER BY hashtext(customer_id)
LIMIT :count
"""
