"""How long it takes from an event's receipt until it is applied: a receiver and a daemon with the shipped settings."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.lean_http import free_port
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.storm.dagster_daemon import Daemon, environment_of
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import Postgres, ReceiverProcess
from billing_pipeline_tests.storm.sender import Parcel, Sender, percentile
from billing_pipeline_tests.storm.world import copied_books
from billing_pipeline_tests.web.receiver.receiving import database_url

MEDIAN_MAX_S = 60.0
EVERY_S = 7.3
"""No divisor of the sensor's interval: events come at all moments of it."""
READY_WITHIN_S = 120.0
APPLIED_WITHIN_S = 300.0


def latency(
    postgres: Postgres, base_url: str, events: Sequence[Parcel], count: int, say: Callable[[str], None]
) -> Figures:
    """Payments of `count` invoices are told one after the other."""
    figures = Figures("latency")
    paid = [event for event in events if json.loads(event.body)["type"] == "invoice.paid"][: count + 1]
    assert len(paid) == count + 1, "too few payments in the story"
    with (
        TemporaryDirectory() as name,
        copied_books(postgres, "storm_latency") as warehouse,
        ReceiverProcess(database_url(warehouse), free_port()) as receiver,
    ):
        folder = Path(name)
        instance = (ROOT / "dagster.yaml").read_text().replace(".billing/", f"{folder}/")
        daemon = Daemon(folder, environment_of(postgres, warehouse, folder, base_url, {}), instance)
        try:
            began = time.monotonic()
            Sender(receiver.port, workers=1).deliver(paid[:1])  # it waits for the daemon to be up, and does not count
            _wait(lambda: _applied(warehouse, paid) == 1, READY_WITHIN_S, daemon)
            say(f"latency: the daemon applied its first event after {time.monotonic() - began:.0f} s")
            Sender(receiver.port, workers=1, per_second=1 / EVERY_S, within_s=EVERY_S * (count + 10)).deliver(paid[1:])
            _wait(lambda: _applied(warehouse, paid) == count + 1, APPLIED_WITHIN_S, daemon)
        finally:
            daemon.end()
        rows = warehouse.rows(_TOOK, ids=[event.event_id for event in paid[1:]])
    took = [float(row["took_s"]) for row in rows]
    median = percentile(took, 0.5)
    figures.expect(median < MEDIAN_MAX_S, f"the median is {median:.0f} s")
    figures.values = {
        "events": len(took),
        "runs": len({row["run_id"] for row in rows}),
        "median_s": round(median, 1),
        "p90_s": round(percentile(took, 0.9), 1),
        "longest_s": round(max(took), 1),
    }
    return figures


def _applied(warehouse: Warehouse, events: Sequence[Parcel]) -> int:
    # a sweep may come in between and bring others
    query = "SELECT count(*) FROM billing.stripe_event_work WHERE state = 'applied' AND event_id = ANY(:ids)"
    return int(warehouse.scalar(query, ids=[event.event_id for event in events]))


def _wait(until: Callable[[], bool], within_s: float, daemon: Daemon) -> None:
    deadline = time.monotonic() + within_s
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not applied within {within_s:.0f} s; the daemon says {daemon.logged()}")
        time.sleep(0.2)


_TOOK = """
SELECT w.run_id, extract(epoch FROM w.applied_at - e.received_at) AS took_s
FROM billing.stripe_event_work AS w JOIN billing.stripe_events AS e USING (event_id)
WHERE w.event_id = ANY(:ids) ORDER BY e.received_at
"""
