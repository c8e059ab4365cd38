"""Calls and rate of charging a month at the emulator, for customers that exist there, and the calls of its events.

The emulator is a process of its own and counts what reaches it. What is measured is described in docs/benchmark.md.
"""

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from sqlalchemy import text

from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.report import ChargeReport
from billing_pipeline.charging.rules.brakes import Limits
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.events.processing import ProcessingOptions, process_events
from billing_pipeline.events.sweep import sweep_events
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.sandbox.bench.notices import mailing
from billing_pipeline.sandbox.bench.steps import Subject
from billing_pipeline.sandbox.stripe_emulator.config import EmulatorConfig
from billing_pipeline.sandbox.stripe_emulator.server import running_emulator
from billing_pipeline.settings import EMULATOR_KEY, EventKey
from billing_pipeline.settings.stripe import CALLS_PER_SECOND, CALLS_PER_SECOND_PER_ENDPOINT
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline.stripe_gateway.limits import RateLimits

LATENCIES_MS = (50, 300, 1000)
WARMING_UP = 200
"""Invoices that are charged before a rate is measured: the canaries are among them, and the rest waits for those."""
EMULATORS_FILE = "emulator.sqlite"
NO_LIMITS = EmulatorConfig(rate_limit_per_s=0, rate_limit_per_endpoint_per_s=0)
NO_CAPS = Limits(invoice_cap_minor=10**12, run_cap_minor=10**12)
STRIPES_LIMITS = EmulatorConfig()


def measure_calls(subject: Subject) -> dict[str, Any]:
    """Charge all of the month's drafts, with brakes and canaries, and apply the events that follow; count the calls."""
    with TemporaryDirectory(prefix="billing-bench-stripe-") as folder, _emulator(Path(folder), NO_LIMITS) as stripe:
        gateway = StripeGateway(EMULATOR_KEY, str(stripe.base_url))
        invoices = _make_ready(subject, gateway, stripe)
        _apply_events(subject, gateway)  # those of the customers and their cards
        _forget_calls(stripe)
        report = charge_invoices_of_month(
            subject.warehouse, gateway, subject.month, "bench", RunOptions(limits=NO_CAPS)
        )
        charged = _calls(Path(folder))
        _forget_calls(stripe)
        applied = _apply_events(subject, gateway)
        asked = [call for call in _calls(Path(folder)) if call[2] != "/v1/events"]
        return {
            "invoices": len(invoices),
            "paid": report.count("paid"),
            "calls_per_invoice": round(len(charged) / len(invoices), 3),
            "events_applied": applied,
            "event_calls_per_invoice": round(len(asked) / len(invoices), 3),
        }


def _apply_events(subject: Subject, gateway: StripeGateway) -> int:
    """Sweep and process; returns how many events were applied."""
    cipher = EventCipher([EventKey("bench", b"b" * 32)])
    sweep_events(subject.warehouse, gateway, cipher, "bench", datetime.now(UTC), log=lambda _: None)
    report = process_events(subject.warehouse, gateway, lambda: cipher, "bench", ProcessingOptions(longest_s=3_600))
    return report.outcomes["applied"]


def measure_rates(
    subject: Subject, invoices_per_latency: int, latencies_ms: tuple[int, ...] = LATENCIES_MS
) -> dict[str, Any]:
    """By latency in milliseconds, the share of the allowed creations a second, from the first to the last creation.

    Then once more at the shortest, while another process mails what customers are to be told of it; and how many mails.
    """
    shares = []
    with TemporaryDirectory(prefix="billing-bench-stripe-") as folder:
        with _emulator(Path(folder), NO_LIMITS) as stripe:
            gateway = StripeGateway(EMULATOR_KEY, str(stripe.base_url))
            ids = _make_ready(subject, gateway, stripe)
            _charge(subject, gateway, ids[:WARMING_UP], NO_CAPS)
        with _emulator(Path(folder), STRIPES_LIMITS) as stripe:
            for number, latency_ms in enumerate((*latencies_ms, latencies_ms[0])):
                first = WARMING_UP + number * invoices_per_latency
                fault = {"kind": "latency", "operation": "**", "latency_ms": latency_ms}
                stripe.delete("/_emulator/faults").raise_for_status()
                stripe.post("/_emulator/faults", json=fault).raise_for_status()
                _forget_calls(stripe)
                limits = RateLimits(CALLS_PER_SECOND, CALLS_PER_SECOND_PER_ENDPOINT)
                limited = StripeGateway(EMULATOR_KEY, str(stripe.base_url), limits=limits)
                with mailing(subject.url) if number == len(latencies_ms) else nullcontext():
                    _charge(subject, limited, ids[first : first + invoices_per_latency], None)
                shares.append(_share_of_allowed_rate(_calls(Path(folder))))
    return {
        "share_of_allowed_rate": dict(zip(map(str, latencies_ms), shares, strict=False)),
        "share_while_mailing": shares[-1],
        "mails_meanwhile": subject.warehouse.scalar(_MAILED),
    }


def _charge(subject: Subject, gateway: StripeGateway, ids: list[str], limits: Limits | None) -> ChargeReport:
    options = RunOptions(limits=limits, only=frozenset(ids))
    report = charge_invoices_of_month(subject.warehouse, gateway, subject.month, "bench", options)
    if report.pending:
        raise RuntimeError(f"not all were charged: {dict(report.pending)}")
    return report


def _share_of_allowed_rate(calls: list[tuple[float, str, str]]) -> float:
    made = [at for at, method, path in calls if (method, path) == ("POST", "/v1/invoices")]
    return round((len(made) - 1) / (made[-1] - made[0]) / CALLS_PER_SECOND_PER_ENDPOINT, 3)


def _make_ready(subject: Subject, gateway: StripeGateway, stripe: httpx.Client) -> list[str]:
    """Make the month's drafts final, of customers that exist at Stripe with a card; returns their ids."""
    warehouse = subject.warehouse
    for row in warehouse.rows(_CUSTOMERS, month=subject.month):
        made = gateway.create_customer(row["customer_id"], row["name"], row["email"], key=f"bench:{row['customer_id']}")
        given = {"customer": made.id, "kind": "good"}
        stripe.post("/_emulator/customer_payment_methods", json=given).raise_for_status()
        with warehouse.transaction() as connection:
            connection.execute(text(_SET), {"customer_id": row["customer_id"], "stripe_customer_id": made.id})
    with warehouse.transaction() as connection:
        connection.execute(text("UPDATE billing.finalisation_policy SET review_hours = 0"))
    finalise_month(warehouse, subject.month, "bench")
    return [str(row["invoice_id"]) for row in warehouse.rows(_CHARGES, month=subject.month)]


@contextmanager
def _emulator(folder: Path, config: EmulatorConfig) -> Iterator[httpx.Client]:
    """An emulator on what the folder has, in a process of its own, and a client of its control routes."""
    ours, its = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, config, its), daemon=True)
    process.start()
    try:
        with httpx.Client(base_url=ours.recv(), timeout=60) as client:
            yield client
    finally:
        ours.close()
        process.join()


def _serve(folder: Path, config: EmulatorConfig, its: Any) -> None:
    with running_emulator(folder / EMULATORS_FILE, config=config, call_log_max=1_000_000) as running:
        its.send(running.base_url)
        try:
            its.recv()
        except EOFError:
            return


def _forget_calls(stripe: httpx.Client) -> None:
    stripe.delete("/_emulator/calls").raise_for_status()


def _calls(folder: Path) -> list[tuple[float, str, str]]:
    """When the emulator was called, by which method and path, since it forgot the calls before."""
    with closing(sqlite3.connect(folder / EMULATORS_FILE)) as connection:
        return connection.execute("SELECT at, method, path FROM calls ORDER BY at").fetchall()


_CUSTOMERS = """
SELECT c.customer_id, c.name, c.email
FROM billing.customers AS c JOIN billing.invoices AS i USING (customer_id)
WHERE i.billing_month = :month AND i.status = 'draft'
"""
_SET = """
WITH linked AS (
    UPDATE billing.customers SET stripe_customer_id = :stripe_customer_id WHERE customer_id = :customer_id RETURNING *
)
SELECT billing.log_action(
    'bench', 'customer.link', 'customer', customer_id, NULL,
    state_after => jsonb_build_object('stripe_customer_id', stripe_customer_id)
) FROM linked
"""
_MAILED = "SELECT count(*) FROM billing.notice_sendings WHERE state = 'sent'"
_CHARGES = """
SELECT c.invoice_id
FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)
WHERE c.billing_month = :month
ORDER BY i.invoice_number
"""
