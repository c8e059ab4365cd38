"""`billing bench`: how fast a month is built, next to COPY of the same rows and to a loop over customers.

Everything happens on a server of its own in a temporary folder; the configured database is never opened. What is
measured is described in docs/benchmark.md. The input is in `bench_data`, the steps in `bench_steps`, the loop in
`bench_loop`.
"""

import io
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import click
from psycopg import sql
from sqlalchemy import text

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.postgres.connections import raw
from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox import bench_data, bench_loop
from billing_pipeline.sandbox.bench_anomalies import measure_anomalies
from billing_pipeline.sandbox.bench_charging import LATENCIES_MS, WARMING_UP, measure_calls, measure_rates
from billing_pipeline.sandbox.bench_notices import measure_notices
from billing_pipeline.sandbox.bench_receiver import measure_receiver
from billing_pipeline.sandbox.bench_steps import PRICED, Measured, Subject, connect, in_child, steps
from billing_pipeline.sandbox.bench_terms import ratio_with_terms
from billing_pipeline.sandbox.own_server import own_server

SHORT_HISTORY, LONG_HISTORY = 3, 12
"""Months of usage and invoices before the month that is measured."""
SMALL_CUSTOMERS_MAX = 10_000
"""Customers of the two smaller databases, which show that time is linear in customers and flat in past months."""
THRICE_CUSTOMERS_MAX = 200_000
"""Up to here everything is measured three times and the median is printed."""
RATED = 500
"""Invoices that are charged at each latency."""
SAMPLE_CUSTOMERS = 500
"""Customers that the loop bills."""


def run_bench(
    *, customer_count: int, charged_count: int, only_charging: bool = False, only_notices: bool = False
) -> int:
    """Measure, print a table, and one JSON object as the last line.

    Exit status 1 if the figures would mean nothing: a gate failed, the second build changed a row, or the loop bills
    another amount.
    """
    with own_server() as server:
        urls = {
            name: embedded_postgres.database_url(server, name).render_as_string(hide_password=False)
            for name in ("full", "small", "old", "calls", "rates", "notices")
        }
        if only_notices:
            notices = _notices(urls["notices"])
            click.echo("\n".join(_notices_table(notices)))
            click.echo(json.dumps(notices))
            return 0
        charging = _charging(urls["calls"], urls["rates"], charged_count)
        if only_charging:
            click.echo("\n".join(_charging_table(charging)))
            click.echo(json.dumps(charging))
            return 0
        figures = _measure(urls["full"], urls["small"], urls["old"], customer_count) | {"charging": charging}
        _say("the webhook receiver")
        figures["webhooks"] = measure_receiver(urls["full"])
        figures["notices"] = _notices(urls["notices"])
    click.echo(_table(figures))
    click.echo(json.dumps(figures))
    sound = figures["loop_totals_equal"] and not figures["gates_failed"] and not figures["again_changed_rows"]
    return 0 if sound else 1


def _measure(url: str, small_url: str, old_url: str, customer_count: int) -> dict[str, Any]:
    rounds = 3 if customer_count <= THRICE_CUSTOMERS_MAX else 1
    small_count = min(customer_count // 2, SMALL_CUSTOMERS_MAX)
    with (
        _subject(url, customer_count, SHORT_HISTORY) as full,
        _subject(small_url, small_count, SHORT_HISTORY) as small,
        _subject(old_url, small_count, LONG_HISTORY) as old,
        tempfile.TemporaryDirectory(prefix="billing-bench-rows-") as folder,
    ):
        subjects = (full, small, old)
        periods = {subject.url: in_child("billing_periods", subject) for subject in subjects}[url]
        builds: list[dict[str, Measured]] = []
        floors: list[dict[str, float]] = []
        linear, flat = [], []
        ready: dict[str, Path] = {}
        for number in range(rounds):
            _say(f"round {number + 1} of {rounds}: the month, COPY of its rows, and the smaller databases")
            builds.append(_build(full))
            ready = ready or {asset: _export(full, asset, Path(folder)) for asset in PRICED}
            _clear(full)
            floors.append({asset: _copy_in(full, asset, path) for asset, path in ready.items()})
            seconds = {subject.url: _total(_build(subject)) for subject in (small, old)}
            linear.append((_total(builds[-1]) / customer_count) / (seconds[small_url] / small_count))
            flat.append(seconds[old_url] / seconds[small_url])
            for subject in subjects if number + 1 < rounds else ():
                _clear(subject)
        _say("a tenth of the customers on commitments and discounts")
        with_terms = ratio_with_terms(small, lambda: _cleared_build(small), rounds)
        _settle_down(full)
        _say("the gates, the month once more, the loop")
        gates = {asset: in_child(f"{asset}_gates", full) for asset in PRICED}
        again = _build(full)
        ratios = [_total(build) / sum(floor.values()) for build, floor in zip(builds, floors, strict=True)]
        own = {asset: _figures([build[asset] for build in builds]) for asset in PRICED}
        assets = {"billing_periods": _figures([periods])} | own
        return {
            "customers": customer_count,
            "usage_series": customer_count * bench_data.SERIES_PER_CUSTOMER,
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
    _clear(subject)
    return _total(_build(subject))


def _charging(calls_url: str, rates_url: str, charged_count: int) -> dict[str, Any]:
    """Months of their own, so that what is charged stands in nobody's way."""
    with _drafted(calls_url, charged_count) as subject:
        _say(f"charging {charged_count:,} customers at the emulator")
        calls = measure_calls(subject)
    with _drafted(rates_url, WARMING_UP + len(LATENCIES_MS) * RATED) as subject:
        _say(f"charging {RATED:,} invoices at each latency")
        return calls | {"share_of_allowed_rate": measure_rates(subject, RATED)}


def _notices(url: str) -> dict[str, Any]:
    _say("notices over one connection, and unusual usage")
    return {"mails": measure_notices(url), "unusual_usage": measure_anomalies()}


def _notices_table(figures: dict[str, Any]) -> list[str]:
    mails, found = figures["mails"], figures["unusual_usage"]
    return [
        f"mails: {mails['notices']:,} over one connection, {mails['per_s']}/s, {mails['cpu_ms_a_mail']} ms of CPU each",
        f"unusual usage: {found['spikes_found']} spikes and {found['drops_found']} drops found of {found['injected']}",
        f"its false alarms: {found['false_alarms']} in {found['judged_hours']:,} hours, recall {found['recall']}",
    ]


@contextmanager
def _drafted(url: str, customer_count: int) -> Iterator[Subject]:
    with _subject(url, customer_count, 0) as subject:
        for step in ("billing_periods", *PRICED, *(f"{asset}_gates" for asset in PRICED)):
            in_child(step, subject)
        yield subject


def _total(build: dict[str, Measured]) -> float:
    return sum(one.seconds for one in build.values())


def _rounded(ratios: Sequence[float]) -> float:
    return round(median(ratios), 2)


@contextmanager
def _subject(url: str, customer_count: int, history_months: int) -> Iterator[Subject]:
    """A database with this many customers, months of billed and settled history, and one more month of usage."""
    warehouse = connect(url)
    migrate(warehouse, roles=True)
    bench_data.generate(warehouse, customer_count)
    _say(f"{customer_count:,} customers: {history_months} months of history")
    run = steps()
    for number in range(history_months + 1):
        month = bench_data.month_after_history(number)
        bench_data.generate_usage(warehouse, customer_count, month)
        if number < history_months:
            for asset in ("billing_periods", *PRICED):
                run[asset](warehouse, month)
            _settle(warehouse, month)
    _settle_down_in(warehouse)
    yield Subject(url, warehouse, month)
    warehouse.engine.dispose()


def _build(subject: Subject) -> dict[str, Measured]:
    return {asset: in_child(asset, subject) for asset in PRICED}


def _settle(warehouse: Warehouse, month: date) -> None:
    """Make the month's drafts paid invoices, as past months are. Triggers are off: nothing was charged."""
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(_SETTLE), {"month": month})


_SETTLE = """
UPDATE billing.invoices AS i
SET status = 'paid', finalised_at = clock_timestamp(), invoice_number = n.base + n.nth,
    finalised_by = 'bench', finalised_through = 'person'
FROM (
    SELECT
        invoice_id,
        row_number() OVER (ORDER BY invoice_id) AS nth,
        (SELECT coalesce(max(invoice_number), 0) FROM billing.invoices) AS base
    FROM billing.invoices
    WHERE billing_month = :month
) AS n
WHERE i.invoice_id = n.invoice_id
"""


def _clear(subject: Subject) -> None:
    values = {"month": subject.month}
    with subject.warehouse.transaction() as connection:
        for asset in (*reversed(PRICED), "usage_quarantine"):
            connection.execute(text(f"DELETE FROM billing.{asset} WHERE billing_month = :month"), values)
    _settle_down(subject)


def _settle_down(subject: Subject) -> None:
    """Pay the debts of what came before, so that the next measurement does not."""
    _settle_down_in(subject.warehouse)


def _settle_down_in(warehouse: Warehouse) -> None:
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET ROLE NONE"))
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
        connection.invalidate()


def _export(subject: Subject, asset: str, folder: Path) -> Path:
    path = folder / asset
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE billing_month = {}) TO STDOUT").format(
        _columns(subject, asset), sql.Identifier("billing", asset), sql.Literal(subject.month)
    )
    with (
        path.open("wb") as file,
        subject.warehouse.engine.connect() as connection,
        raw(connection).cursor() as cursor,
        cursor.copy(query) as copy,
    ):
        for chunk in copy:
            file.write(chunk)
    return path


def _columns(subject: Subject, asset: str) -> sql.Composed:
    names = subject.warehouse.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'billing' AND table_name = :asset"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position",
        asset=asset,
    )
    return sql.SQL(", ").join(sql.Identifier(row["column_name"]) for row in names)


def _copy_in(subject: Subject, asset: str, path: Path) -> float:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier("billing", asset), _columns(subject, asset))
    start = time.perf_counter()
    with subject.warehouse.transaction() as connection, path.open("rb", buffering=0) as file:  # noqa: SIM117 - the commit is timed
        with raw(connection).cursor() as cursor, cursor.copy(statement) as copy:
            while block := file.read(io.DEFAULT_BUFFER_SIZE * 32):
                copy.write(block)
    return time.perf_counter() - start


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
    _settle_down(subject)
    start = time.perf_counter()
    line_count, totals = bench_loop.bill(warehouse, month, list(sample))
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


def _figures(measured: Sequence[Measured]) -> dict[str, Any]:
    rows = measured[0].rows
    return {
        **_rate(rows, median(one.seconds for one in measured)),
        "peak_rss_mib": max(one.peak_rss_mib for one in measured),
    }


def _rate(rows: int, seconds: float) -> dict[str, Any]:
    return {"rows": rows, "seconds": round(seconds, 2), "rows_per_s": round(rows / seconds)}


def _table(figures: dict[str, Any]) -> str:
    lines = [f"{'':22}{'rows':>10}{'seconds':>10}{'rows/s':>10}{'MiB':>8}{'COPY s':>10}{'ratio':>8}{'again s':>10}"]
    for asset, figure in figures["assets"].items():
        line = f"{asset:22}{figure['rows']:>10,}{figure['seconds']:>10.2f}{figure['rows_per_s']:>10,}"
        line += f"{figure['peak_rss_mib']:>8,}"
        if asset in figures["floor"]:
            floor = figures["floor"][asset]["seconds"]
            line += f"{floor:>10.2f}{figure['seconds'] / floor:>8.2f}{figures['again_seconds'][asset]:>10.2f}"
        lines.append(line)
    lines += [
        "",
        f"snapshots + lines + drafts: {figures['ratio_to_floor']} times COPY of the same rows",
        f"gates: {figures['gates_seconds']:.2f} s, {figures['gates_failed']} failed",
        f"a loop over customers: {figures['loop_rows_per_s']:,} lines/s",
        f"time a customer, against {figures['small_customers']:,} customers: {figures['linear_ratio']}",
        f"time with a tenth of the customers on terms, against none: {figures['ratio_with_terms']}",
        f"time after {LONG_HISTORY} months of history, against {SHORT_HISTORY}: {figures['flat_in_history_ratio']}",
    ]
    lines += _charging_table(figures["charging"])
    lines += _notices_table(figures["notices"])
    for name, told in (("receiver", "webhook receiver"), ("insert", "the same INSERT"), ("empty_endpoint", "no work")):
        figure = figures["webhooks"][name]
        lines.append(f"{told}: {figure['requests_per_s']:,} requests/s, p99 {figure['p99_ms']} ms")
    return "\n".join(lines)


def _charging_table(figures: dict[str, Any]) -> list[str]:
    calls, of_events = figures["calls_per_invoice"], figures["event_calls_per_invoice"]
    shares = ", ".join(f"{share:.1%} at {ms} ms" for ms, share in figures["share_of_allowed_rate"].items())
    return [
        f"charging {figures['invoices']:,} invoices: {calls} calls each, {of_events} for the events of each",
        f"of the allowed creations a second, by latency: {shares}",
    ]


def _say(line: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')}  {line}", err=True)
