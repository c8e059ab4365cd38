"""All that `billing bench` measures, or one part of it."""

import json
from typing import Any

import click

from billing_pipeline.postgres import embedded_postgres
from billing_pipeline.sandbox.bench.anomalies import measure_amounts, measure_anomalies
from billing_pipeline.sandbox.bench.charging import LATENCIES_MS, WARMING_UP, measure_calls, measure_rates
from billing_pipeline.sandbox.bench.month import measure_month
from billing_pipeline.sandbox.bench.notices import measure_notices
from billing_pipeline.sandbox.bench.receiver import measure_receiver
from billing_pipeline.sandbox.bench.subjects import drafted, say
from billing_pipeline.sandbox.bench.tables import charging_table, notices_table, table
from billing_pipeline.sandbox.own_server import own_server

RATED = 500
"""Invoices that are charged at each latency."""
BESIDE_MAILS = 200
"""Invoices that are charged without mails, and as many while mails go out, where only notices are measured."""


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
            notices = _notices(urls["notices"]) | {"charging": _charging_beside_mails(urls["rates"])}
            click.echo("\n".join(notices_table(notices)))
            click.echo(json.dumps(notices))
            return 0
        charging = _charging(urls["calls"], urls["rates"], charged_count)
        if only_charging:
            click.echo("\n".join(charging_table(charging)))
            click.echo(json.dumps(charging))
            return 0
        figures = measure_month(urls["full"], urls["small"], urls["old"], customer_count) | {"charging": charging}
        say("the webhook receiver")
        figures["webhooks"] = measure_receiver(urls["full"])
        figures["notices"] = _notices(urls["notices"])
    click.echo(table(figures))
    click.echo(json.dumps(figures))
    sound = figures["loop_totals_equal"] and not figures["gates_failed"] and not figures["again_changed_rows"]
    return 0 if sound else 1


def _charging(calls_url: str, rates_url: str, charged_count: int) -> dict[str, Any]:
    """Months of their own, so that what is charged stands in nobody's way."""
    with drafted(calls_url, charged_count) as subject:
        say(f"charging {charged_count:,} customers at the emulator")
        calls = measure_calls(subject)
    with drafted(rates_url, WARMING_UP + (len(LATENCIES_MS) + 1) * RATED) as subject:
        say(f"charging {RATED:,} invoices at each latency")
        return calls | measure_rates(subject, RATED)


def _charging_beside_mails(url: str) -> dict[str, Any]:
    with drafted(url, WARMING_UP + 2 * BESIDE_MAILS) as subject:
        say(f"charging {BESIDE_MAILS:,} invoices without mails, and as many while mails go out")
        return measure_rates(subject, BESIDE_MAILS, LATENCIES_MS[:1])


def _notices(url: str) -> dict[str, Any]:
    say("notices over one connection, unusual usage and amounts")
    return {"mails": measure_notices(url), "unusual_usage": measure_anomalies(), "unusual_amounts": measure_amounts()}
