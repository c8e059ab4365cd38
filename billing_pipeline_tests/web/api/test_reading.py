"""What reads show: as the commands do, in the shape that the document promises, and to customers their own alone."""

import csv
import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from billing_pipeline.web.api.models import invoices as invoice_models
from billing_pipeline.web.api.models import reading as models
from billing_pipeline_tests.charging.world import Bill, Emulated, World
from billing_pipeline_tests.web.api.serving import Serving, serving


@pytest.fixture
def billed(warehouse, stripe_side: Emulated) -> Iterator[Serving]:
    """Three customers with an invoice each and a fourth with a draft."""
    world = World(warehouse, stripe_side)
    world.bill(Bill("a"), Bill("b"), Bill("c"))
    with serving(warehouse) as api:
        yield api


_EVENT = """
INSERT INTO billing.stripe_events (event_id, type, source, body, key_id, body_sha256, content_sha256)
VALUES (:id, 'invoice.paid', 'webhook', 'x', 'k', sha256('x'), sha256('x'))
"""
READS = [
    ("/invoices", invoice_models.InvoicePage),
    ("/invoices/1", invoice_models.InvoiceStory),
    ("/customers", models.CustomerPage),
    ("/customers/a", models.CustomerWithContracts),
    ("/usage?month=2026-10", models.QuantityPage),
    ("/months", models.Months),
    ("/prices", models.Prices),
    ("/charges", models.ChargePage),
    ("/events", models.StripeEventPage),
    ("/reconciliation", models.LastReconciliation),
    ("/automated-billing", models.LogPage),
    ("/tokens", models.TokenPage),
]


@pytest.mark.parametrize(("path", "model"), READS, ids=[path for path, _ in READS])
def test_an_answer_has_the_fields_that_the_document_says_and_no_others(billed: Serving, path: str, model: Any) -> None:
    model.model_validate(billed.as_("admin").get(path))


def test_pages_hold_every_row_once_whatever_comes_meanwhile(billed: Serving) -> None:
    admin = billed.as_("admin")
    with billed.warehouse.transaction() as connection:
        for event_id in ("evt_b", "evt_c", "evt_a"):
            connection.execute(text(_EVENT), {"id": event_id})
    for path, name, key in (
        ("/invoices?", "invoices", "invoice_id"),
        ("/customers?", "customers", "customer_id"),
        ("/charges?", "charges", "number"),
        ("/automated-billing?action=invoice.finalise&", "log", "log_id"),
        ("/events?", "events", "event_id"),
    ):
        whole = [row[key] for row in admin.get(f"{path}limit=200")[name]]
        assert len(whole) == 3, path
        found, cursor = [], ""
        while cursor is not None:
            one = admin.get(f"{path}limit=1" + (f"&cursor={cursor}" if cursor else ""))
            found += [row[key] for row in one[name]]
            cursor = one["next_cursor"]
        assert found == whole, path


def test_a_customer_sees_its_own_and_another_one_is_not_there(billed: Serving) -> None:
    customer = billed.as_("customer", "a")
    assert [row["customer_id"] for row in customer.get("/invoices")["invoices"]] == ["a"]
    [own] = customer.get("/invoices")["invoices"]
    shown = customer.get(f"/invoices/{own['number']}")
    assert (shown["history"], shown["events"]) == ([], [])
    others = [row for row in billed.as_("admin").get("/invoices")["invoices"] if row["customer_id"] != "a"]
    for other in others:
        for path in (f"/invoices/{other['number']}", f"/invoices/{other['invoice_id']}/explain"):
            assert "found none" in customer.get(path, status=404)["detail"]
    assert customer.get("/customers/a")["customer_id"] == "a"
    for path in ("/customers/b", "/invoices?customer=b", "/usage?month=2026-10&customer=b"):
        customer.get(path, status=404)


def test_an_analyst_sees_who_somebody_is_only_where_that_was_granted(billed: Serving) -> None:
    plain = billed.as_("analyst")
    assert {row["name"] for row in plain.get("/customers")["customers"]} == {None}
    assert {row["customer_name"] for row in plain.get("/invoices")["invoices"]} == {None}
    granted = billed.as_("analyst", scopes=["customers:read", "personal"])
    assert None not in {row["name"] for row in granted.get("/customers")["customers"]}


def test_the_log_is_filtered_and_comes_whole_as_csv_and_ndjson(billed: Serving) -> None:
    admin = billed.as_("admin")
    entries = admin.get("/automated-billing?month=2026-10&limit=200")["log"]
    assert {"invoice.finalise"} <= {entry["action"] for entry in entries}
    told = admin.send("GET", "/automated-billing?month=2026-10&format=ndjson").text
    assert [json.loads(line) for line in told.splitlines()] == entries
    rows = list(csv.DictReader(admin.send("GET", "/automated-billing?month=2026-10&format=csv").text.splitlines()))
    assert [row["log_id"] for row in rows] == [str(entry["log_id"]) for entry in entries]
    assert admin.get("/automated-billing?since=2199-01-01T00:00:00Z")["log"] == []
    assert "since: expected" in admin.get("/automated-billing?since=2199-01-01", status=422)["detail"]
