"""The line of no return: numbers, intents and gates in one transaction."""

import json
import threading
from hashlib import sha256

import pytest
from sqlalchemy import text

from billing_pipeline.invoicing.finalisation import Finalised, GatesNotPassed, finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, insert_drafts, invoice_id_of, pass_gates
from billing_pipeline_tests.month_rows import execute


def drafts(warehouse: Warehouse, *bills: Bill) -> None:
    insert_drafts(warehouse, bills, {})
    pass_gates(warehouse)


def test_drafts_become_open_with_numbers_in_the_order_of_customers(warehouse: Warehouse) -> None:
    drafts(warehouse, Bill("b"), Bill("B"), Bill("a"), Bill("é"), Bill("10"), Bill("9"))
    assert finalise_month(warehouse, MONTH, "run") == Finalised(6)
    rows = warehouse.rows("SELECT customer_id, number, status, finalised_at FROM billing.invoices ORDER BY number")
    assert [row["customer_id"] for row in rows] == ["10", "9", "B", "a", "b", "é"]
    assert [row["number"] for row in rows] == [f"INV-{n:08}" for n in range(1, 7)]
    assert all(row["status"] == "open" and row["finalised_at"] is not None for row in rows)


def test_each_final_invoice_has_its_frozen_intent_and_log_entry(warehouse: Warehouse) -> None:
    drafts(warehouse, Bill("a", (1000, 250)), Bill("z", ()))
    finalise_month(warehouse, MONTH, "run-7")
    rows = warehouse.rows("SELECT * FROM billing.stripe_charges ORDER BY customer_id")
    assert [(row["state"], row["amount_minor"], row["currency"], row["run_id"]) for row in rows] == [
        ("intended", 1250, "usd", "run-7"),
        ("intended", 0, "usd", "run-7"),
    ]
    body = json.loads(bytes(rows[0]["request_body"]))
    assert bytes(rows[0]["request_sha256"]) == sha256(bytes(rows[0]["request_body"])).digest()
    assert [line["amount"] for line in body["lines"]] == [1000, 250]
    assert body["invoice"]["metadata"]["invoice_id"] == invoice_id_of("a")
    assert body["invoice"]["number"] == "INV-00000001"
    log = warehouse.rows("SELECT * FROM billing.automation_log WHERE action = 'invoice.finalise' ORDER BY log_id")
    assert {(row["object_id"], row["run_id"]) for row in log} == {
        (invoice_id_of("a"), "run-7"),
        (invoice_id_of("z"), "run-7"),
    }


def test_a_second_call_changes_nothing(warehouse: Warehouse) -> None:
    drafts(warehouse, Bill("a"), Bill("b"))
    finalise_month(warehouse, MONTH, "run-1")
    before = warehouse.rows("SELECT * FROM billing.invoices ORDER BY 1")
    assert finalise_month(warehouse, MONTH, "run-2") == Finalised(0)
    assert warehouse.rows("SELECT * FROM billing.invoices ORDER BY 1") == before
    assert warehouse.scalar("SELECT count(*) FROM billing.automation_log") == 2


def test_two_at_once_finalise_each_draft_once(warehouse: Warehouse) -> None:
    drafts(warehouse, *(Bill(f"c{n}") for n in range(20)))
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda: counts.append(finalise_month(warehouse, MONTH, "run").count)) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 20]
    assert warehouse.scalar("SELECT last_number FROM billing.invoice_numbering") == 20


def test_customers_on_hold_keep_their_drafts_and_are_named(warehouse: Warehouse) -> None:
    drafts(warehouse, Bill("a"), Bill("held", status="on_hold"))
    assert finalise_month(warehouse, MONTH, "run") == Finalised(1, {"on_hold": ("held",)})
    assert warehouse.scalar("SELECT status FROM billing.invoices WHERE customer_id = 'held'") == "draft"
    execute(warehouse, "UPDATE billing.customers SET status = 'active'")
    assert finalise_month(warehouse, MONTH, "run") == Finalised(1)
    assert warehouse.scalar("SELECT number FROM billing.invoices WHERE customer_id = 'held'") == "INV-00000002"


def test_every_gate_that_is_not_passed_is_named_and_nothing_is_finalised(warehouse: Warehouse) -> None:
    insert_drafts(warehouse, [Bill("a")], {})
    with pytest.raises(GatesNotPassed, match="no_invoice_over_cap") as raised:
        finalise_month(warehouse, MONTH, "run")
    required = warehouse.scalar("SELECT count(*) FROM billing.required_gates")
    named = {(gate.asset, gate.check) for gate in raised.value.unmet}
    assert len(named) >= required
    assert ("usage_snapshots", "usage_conserved") in named
    assert warehouse.scalar("SELECT count(*) FROM billing.stripe_charges") == 0
    assert warehouse.scalar("SELECT last_number FROM billing.invoice_numbering") == 0


def test_a_month_that_was_never_built_is_not_passed_off_as_done(warehouse: Warehouse) -> None:
    with pytest.raises(GatesNotPassed, match="never built"):
        finalise_month(warehouse, MONTH, "run")


def test_one_gate_that_fails_later_keeps_new_drafts_back_but_not_final_ones(warehouse: Warehouse) -> None:
    drafts(warehouse, Bill("a"), Bill("held", status="on_hold"))
    finalise_month(warehouse, MONTH, "run")
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO billing.gate_results (asset, billing_month, version, check_name, passed, blocking,"
                " failing_rows, evidence, run_id) SELECT 'invoices', billing_month, version, 'one_currency', false,"
                " true, 3, '{}', 'r' FROM billing.asset_months WHERE asset = 'invoices'"
            )
        )
    assert finalise_month(warehouse, MONTH, "run").count == 0
    execute(warehouse, "UPDATE billing.customers SET status = 'active'")
    with pytest.raises(GatesNotPassed) as raised:
        finalise_month(warehouse, MONTH, "run")
    assert [(gate.asset, gate.check, gate.problem) for gate in raised.value.unmet] == [
        ("invoices", "one_currency", "failed for 3 rows")
    ]


def test_more_than_250_lines_are_merged_to_the_same_total(warehouse: Warehouse) -> None:
    drafts(warehouse, Bill("big", tuple(range(1, 302)), meters=("users", "storage_gb")))
    finalise_month(warehouse, MONTH, "run")
    body = json.loads(bytes(warehouse.scalar("SELECT request_body FROM billing.stripe_charges")))
    assert len(body["lines"]) == 2
    assert sum(line["amount"] for line in body["lines"]) == sum(range(1, 302))


def test_nothing_is_finalised_if_an_intent_cannot_be_written(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> bytes:
        raise ValueError("no request")

    drafts(warehouse, Bill("a"))
    monkeypatch.setattr("billing_pipeline.invoicing.finalisation.frozen_request", failing)
    with pytest.raises(ValueError, match="no request"):
        finalise_month(warehouse, MONTH, "run")
    assert warehouse.scalar("SELECT status FROM billing.invoices") == "draft"
    assert warehouse.scalar("SELECT last_number FROM billing.invoice_numbering") == 0
