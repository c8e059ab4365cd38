"""`billing invoices`, `customers`, `prices` and the listings: what they show, and the shape of their JSON."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import text

from billing_pipeline.books.customer_timeline import KINDS
from billing_pipeline.cli.customers import KIND
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.charging.world import Bill, insert_drafts, invoice_id_of
from billing_pipeline_tests.commands import billing, refused, said
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.month_rows import BOOK

WHO = ("--author", "ann", "--reason", "because")


@pytest.fixture
def charged(world: EventWorld) -> EventWorld:
    """A month of two customers: one paid, one was refused."""
    world.bill(Bill("a", (3000, 1000)), Bill("broke", card="pm_card_chargeCustomerFail"))
    world.charge()
    world.catch_up()
    return world


def _json(*arguments: str, exit_code: int = 0) -> Any:
    return json.loads(said(*arguments, "--json", exit_code=exit_code))


def _amount(minor: int, display: str) -> dict[str, Any]:
    return {"amount_minor": minor, "currency": "usd", "display": display}


def test_invoices_are_listed_as_far_as_they_are_chosen(charged: EventWorld) -> None:
    listed = said("invoices", "list").splitlines()
    assert listed[0].split() == [
        "invoice", "customer_id", "customer_name", "month", "total", "status", "charge_state", "reason_code",
    ]  # fmt: skip
    assert [line.split()[0] for line in listed[1:3]] == ["INV-00000001", "INV-00000002"]
    assert listed[3] == "2 invoice(s)"
    assert len(said("invoices", "list", "--status", "paid").splitlines()) == 3
    assert len(said("invoices", "list", "--customer", "broke").splitlines()) == 3
    assert said("invoices", "list", "--month", "2026-09") == "no invoices"
    assert said("invoices", "list", "--limit", "1").endswith("only the first 1 are shown")
    assert charged.charges()["a"]["state"] == "paid"


def test_a_listed_invoice_has_a_stable_shape(charged: EventWorld) -> None:
    [row] = _json("invoices", "list", "--customer", "a")["invoices"]
    finalised_at = row.pop("finalised_at")
    assert finalised_at.endswith("Z")
    assert row.pop("run_id")
    assert row == {
        "number": "INV-00000001",
        "invoice_id": invoice_id_of("a"),
        "customer_id": "a",
        "customer_name": "Customer a",
        "month": "2026-10",
        "period_from": "2026-10-01",
        "period_to": "2026-10-31",
        "timezone": "UTC",
        "revision": 0,
        "supplement_no": 0,
        "supersedes_invoice_id": None,
        "total": _amount(4000, "40.00 USD"),
        "credited": _amount(0, "0.00 USD"),
        "currency": "usd",
        "line_count": 2,
        "status": "paid",
        "charge_state": "paid",
        "reason_code": None,
        "reason": None,
        "stripe_invoice_id": charged.stripe_id("a"),
    }


def test_an_invoice_is_shown_with_lines_payments_credit_notes_and_its_story(charged: EventWorld) -> None:
    said("credit", "issue", "INV-00000001", "--amount", "5", *WHO)
    shown = said("invoices", "show", "inv-00000001")
    assert "credited   5.00 USD" in shown
    for title in ("payments", "credit notes", "history", "events from Stripe"):
        assert f"\n{title}\n" in shown
    assert "invoice.finalise" in shown
    assert "credit_note.issue" in shown
    told = _json("invoices", "show", invoice_id_of("a"))
    assert [line["amount"] for line in told["lines"]] == [_amount(3000, "30.00 USD"), _amount(1000, "10.00 USD")]
    assert told["lines"][0]["quantity"] == "1"
    [payment] = told["payments"]
    assert payment["paid"] == _amount(4000, "40.00 USD")
    [note] = told["credit_notes"]
    assert (note["number"], note["amount"]) == ("CN-00000001", _amount(500, "5.00 USD"))
    assert told["history"][0]["action"] == "invoice.finalise"
    assert {event["type"] for event in told["events"]} >= {"invoice.created", "invoice.paid"}
    assert charged.charges()["a"]["state"] == "paid"


def test_a_draft_is_shown_too(world: EventWorld) -> None:
    insert_drafts(world.warehouse, [Bill("a")], {})
    assert "draft (draft)" in said("invoices", "show", invoice_id_of("a"))
    assert "charge     none yet" in said("invoices", "show", invoice_id_of("a"))
    assert _json("invoices", "list", "--status", "draft")["invoices"][0]["number"] is None


def test_customers_are_found_by_status_and_text(charged: EventWorld) -> None:
    assert [row["customer_id"] for row in _json("customers", "list")["customers"]] == ["a", "broke"]
    [found] = _json("customers", "list", "--search", "BROKE@")["customers"]
    assert found == {
        "customer_id": "broke",
        "name": "Customer broke",
        "email": "broke@example.com",
        "currency": "usd",
        "timezone": "UTC",
        "billing_cycle": "calendar_month",
        "cycle_anchor": None,
        "stripe_customer_id": charged.charges()["broke"]["stripe_customer_id"],
        "status": "active",
        "standing": "current",
        "standing_since": None,
        "imported_at": found["imported_at"],
    }
    assert said("customers", "list", "--status", "inactive") == "no customers"


def test_each_kind_of_entry_can_be_picked() -> None:
    assert tuple(KIND.choices) == KINDS


def test_a_customers_time_line_holds_what_happened_in_order_of_time(charged: EventWorld) -> None:
    said("credit", "issue", "INV-00000001", "--amount", "5", *WHO)
    said("adjust", "a", "--amount", "-2", *WHO)
    said("hold", "place", "--customer", "a", *WHO)
    said("release", "--customer", "a", *WHO)
    entries = _json("customers", "show", "a")["timeline"]
    assert [entry["occurred_at"] for entry in entries] == sorted(entry["occurred_at"] for entry in entries)
    assert {entry["kind"] for entry in entries} == {
        "customer", "contract", "period", "invoice", "payment", "correction", "hold", "notice", "event", "audit",
    }  # fmt: skip
    whats = [(entry["kind"], entry["what"]) for entry in entries]
    assert ("period", "2026-10-01 to 2026-10-31, billed with 2026-10") in whats
    assert ("payment", "charge is paid, attempt 1") in whats
    assert ("notice", "invoice issued: pending") in whats
    assert any(what.startswith("invoice.paid evt_") for kind, what in whats if kind == "event")
    assert ("correction", "credit note CN-00000001 issued") in whats
    assert ("audit", "credit_note.issue") in whats
    assert [what for kind, what in whats if kind == "hold"] == ["customer put on hold", "customer released"]
    [adjusted] = [entry for entry in entries if entry["what"] == "adjustment"]
    assert (adjusted["amount"], adjusted["actor"]) == (_amount(-200, "-2.00 USD"), "ann")
    with charged.warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # no trigger minds
        connection.execute(text("UPDATE billing.dunning_cases SET begins_at = now() - interval '4 days'"))
    said("dunning", "run")
    shown = _json("customers", "show", "broke")
    assert shown["standing"] == "past_due"
    others = shown["timeline"]
    assert ("standing", "stands as past due") in [(entry["kind"], entry["what"]) for entry in others]
    assert "charge is refused, attempt 1" in [entry["what"] for entry in others]
    assert not {"correction", "hold"} & {entry["kind"] for entry in others}, "what is another customer's is not here"
    held = said("customers", "show", "a", "--kind", "hold").splitlines()
    assert len([line for line in held if " hold " in line]) == 2
    assert charged.charges()["a"]["state"] == "paid"


def test_what_is_not_there_is_one_line(world: EventWorld) -> None:  # noqa: ARG001
    assert (
        refused("invoices", "show", "INV-9")
        == 'invoice "INV-9": expected the number or the id of an invoice, found none'
    )
    assert refused("customers", "show", "nobody") == 'customer "nobody": expected the id of a customer, found none'
    assert "not one of" in refused("invoices", "list", "--status", "lost", exit_code=2)


def test_charges_and_events_have_the_same_shapes(charged: EventWorld) -> None:
    [charge] = _json("charges", "list", "--customer", "broke")["charges"]
    assert (charge["state"], charge["amount"], charge["month"]) == ("refused", _amount(4000, "40.00 USD"), "2026-10")
    told = _json("charges", "show", "INV-00000002")
    assert told["stripe_total"] == _amount(4000, "40.00 USD")
    assert {"follow_ups", "history", "events"} <= told.keys()
    status = _json("charges", "status")
    assert status["brakes"] == []
    assert {row["state"]: row["charges"] for row in status["charges"]} == {"paid": 1, "refused": 1}
    [event] = _json("events", "list", "--type", "invoice.paid")["events"]
    assert event["received_at"].endswith("Z")
    assert _json("events", "show", event["event_id"])["history"] == []
    assert _json("events", "contradictions") == {"contradictions": []}
    assert _json("events", "rebuild")["agreeing"] == 2
    assert _json("reconcile")["differences"] == []
    assert _json("hold", "list") == {"holds": []}
    assert _json("settle", "list") == {"settlements": []}
    assert _json("adjustments", "list") == {"adjustments": []}
    assert _json("credit", "list") == {"credit_notes": []}
    assert _json("credit", "refunds") == {"refunds": []}
    assert charged.charges()["a"]["state"] == "paid"


def test_what_waits_for_approval_is_shown_with_its_totals(world: EventWorld) -> None:
    insert_drafts(world.warehouse, [Bill("a"), Bill("b", (1250,)), Bill("yen", (500,), currency="jpy")], {})
    assert "3 drafts over 500 JPY, 52.50 USD" in said("approve", "--month", "2026-10", "--show")
    told = _json("approve", "--month", "2026-10", "--show")
    assert (told["month"], told["drafts"], told["approved_by"]) == ("2026-10", 3, None)
    assert [one["total"]["display"] for one in told["totals"]] == ["500 JPY", "52.50 USD"]


def test_a_right_book_is_said_in_words_and_nothing_is_loaded(tmp_path) -> None:
    book = tmp_path / "book.yaml"
    book.write_text(BOOK, encoding="utf-8")
    told = said("prices", "check", str(book)).splitlines()
    assert told[0] == "test, in USD: 5 meter(s), 1 version(s)"
    assert "  calls: 0.015 USD each; the first 10 are included" in told
    assert told[-1] == "book.yaml is right; nothing was loaded"
    checked = _json("prices", "check", str(book))
    assert (checked["valid"], checked["problems"]) == (True, [])
    words = checked["books"][0]["words"]
    assert words == told[: len(words)]
    assert told[len(words)] == "a sample bill, by the last version, of quantities that show its prices"
    [sample] = checked["books"][0]["sample_bills"]
    assert len(told[len(words) + 1 : -1]) == len(sample["lines"]) + 1
    assert told[-2].split() == [*sample["total"]["display"].split(), "total"]


def test_the_readmes_price_book_is_right(tmp_path) -> None:
    book = tmp_path / "book.yaml"
    [text] = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    book.write_text(text, encoding="utf-8")
    assert said("prices", "check", str(book)).endswith("book.yaml is right; nothing was loaded")


def test_every_mistake_of_a_book_is_a_line_with_its_path(tmp_path) -> None:
    book = tmp_path / "book.yaml"
    book.write_text(BOOK.replace("model: flat", "model: flatt").replace('"3"', '"-3"'), encoding="utf-8")
    result = billing("prices", "check", str(book))
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert [line.split(": ")[:3] for line in lines] == [
        ["Error", "book.yaml", "versions[0].prices[0].model"],
        ["Error", "book.yaml", "versions[0].prices[3].unit_amount"],
    ]
    checked = _json("prices", "check", str(book), exit_code=1)
    assert (checked["valid"], len(checked["problems"])) == (False, 2)
    assert "no-such.yaml: No such file" in refused("prices", "check", "no-such.yaml")


def test_the_prices_in_use_are_shown(world: EventWorld) -> None:
    from billing_pipeline_tests.month_rows import load_book

    assert said("prices", "show") == "no prices are loaded"
    load_book(world.warehouse)
    shown = said("prices", "show", "--currency", "USD")
    assert shown.startswith("test (usd), loaded ")
    assert "small, production" in shown
    told = _json("prices", "show")
    assert [book["name"] for book in told["books"]] == ["test"]
    [calls] = [row for row in told["prices"] if row["meter"] == "calls"]
    assert (calls["unit_amount"], calls["included"], calls["effective_from"]) == ("0.015", "10", "2025-01-01")


def test_output_has_no_colours_and_its_columns_line_up(charged: EventWorld) -> None:
    result = billing("invoices", "list")
    assert "\x1b" not in result.output
    header, first, second, _ = result.stdout.splitlines()
    at = header.index("total") + len("total")
    assert first[:at].endswith("40.00 USD")
    assert second[:at].endswith("40.00 USD")
    assert charged.charges()["a"]["state"] == "paid"
