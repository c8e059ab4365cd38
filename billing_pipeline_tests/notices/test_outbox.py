"""The outbox: a fact and its notices are one transaction, each fact is told once, and nothing of the past is told."""

import re
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.charging.void_at_stripe import void_charge
from billing_pipeline.comparison.shadow import shadow_month
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.notice_kinds import ALERT, KINDS
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.contracts import change_plan, pause_contract, start_contract, withdraw_change
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.notices.holding import Held, hold_notices, release_notices
from billing_pipeline.notices.reading import list_notices, read_notice
from billing_pipeline.notices.rules.kinds import overtaken_by
from billing_pipeline.postgres.roles import as_owner, grant
from billing_pipeline.postgres.sql_files import SQL_FOLDER
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.pricing.rules.price_book import load_price_books
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.month_rows import (
    BOOK,
    LONG_AFTER,
    OCTOBER,
    add_customer,
    add_usage,
    at,
    complete_feed,
    event_of_ann,
    execute,
    load_book,
)

WHO = Signature("ann", "as agreed")


def told(warehouse: Warehouse, customer_id: str) -> list[str]:
    return [row["kind"] for row in reversed(list_notices(warehouse, customer_id=customer_id))]


def facts_of(warehouse: Warehouse, customer_id: str, kind: str) -> dict[str, object]:
    [row] = list_notices(warehouse, customer_id=customer_id, kind=kind)
    return dict(row["facts"])


def test_the_kinds_are_those_of_postgres(db):
    [definition] = db.execute(
        text(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'billing.notices'::regclass"
            " AND pg_get_constraintdef(oid) LIKE '%invoice_issued%'"
        )
    ).scalars()
    assert sorted(re.findall(r"'(\w+)'::text", definition)) == sorted([*KINDS, ALERT])


def test_an_invoice_and_what_becomes_of_it_is_told_to_its_customer_once(charging):
    charging.bill(
        Bill("pays"),
        Bill("declined", card="pm_card_chargeCustomerFail"),
        Bill("no_card", card=None),
        Bill("must_confirm", card="pm_card_authenticationRequired"),
        Bill("nothing", amounts=(0,)),
    )
    warehouse = charging.warehouse
    assert {row["kind"] for row in list_notices(warehouse)} == {"invoice_issued"}
    charging.charge()
    charging.charge()
    assert told(warehouse, "pays") == ["invoice_issued", "payment_succeeded"]
    assert told(warehouse, "declined") == ["invoice_issued", "payment_failed"]
    assert told(warehouse, "no_card") == ["invoice_issued", "payment_method_missing"]
    assert told(warehouse, "must_confirm") == ["invoice_issued", "action_required"]
    assert told(warehouse, "nothing") == ["invoice_issued"]
    issued = facts_of(warehouse, "pays", "invoice_issued")
    assert issued == {
        "number": charging.number_of("pays"),
        "amount_minor": 4000,
        "credits_minor": 0,
        "due_minor": 4000,
        "currency": "usd",
        "first_day": "2026-10-01",
        "last_day": "2026-10-31",
        "due_on": None,
    }
    failed = facts_of(warehouse, "declined", "payment_failed")
    assert (failed["reason_code"], failed["attempt"]) == ("declined", 1)
    [row] = list_notices(warehouse, customer_id="pays", kind="invoice_issued")
    assert (row["channel"], row["recipient"], row["state"], row["attempts"]) == (
        "mail",
        "pays@example.com",
        "pending",
        0,
    )


def test_what_is_rolled_back_is_not_told(charging):
    charging.drafts(Bill("ann"))
    warehouse = charging.warehouse
    with warehouse.engine.connect() as connection:
        connection.execute(text("UPDATE billing.invoice_numbering SET last_number = 1"))
        connection.execute(
            text(
                "UPDATE billing.invoices SET status = 'open', invoice_number = 1, finalised_at = now(),"
                " finalised_by = 'ann', finalised_through = 'person'"
            )
        )
        connection.execute(
            text(
                "INSERT INTO billing.stripe_charges"
                " (invoice_id, billing_month, customer_id, amount_minor, currency, request_body, run_id)"
                " SELECT invoice_id, billing_month, customer_id, total_minor, currency, '{}', 'test'"
                " FROM billing.invoices"
            )
        )
        assert connection.execute(text("SELECT count(*) FROM billing.notices")).scalar() == 1
        connection.rollback()
    assert list_notices(warehouse) == []
    finalise_month(warehouse, MONTH, "run-0")
    assert told(warehouse, "ann") == ["invoice_issued"]


def test_a_void_invoice_and_its_replacement_are_told(charging):
    charging.bill(Bill("ann", card=None))
    void_charge(charging.warehouse, charging.gateway(), invoice_id_of("ann"), WHO)
    assert told(charging.warehouse, "ann")[-1] == "invoice_voided"


def test_a_credit_note_is_told_when_stripe_has_issued_it(charging):
    charging.charged(Bill("ann"))
    charging.credit("ann", 1500)
    assert told(charging.warehouse, "ann") == ["invoice_issued", "payment_succeeded", "credit_note_issued"]
    facts = facts_of(charging.warehouse, "ann", "credit_note_issued")
    assert (facts["credit_note"], facts["credited_minor"], facts["refund_minor"]) == ("CN-00000001", 1500, 1500)


def test_what_is_due_is_less_by_a_credit_note(charging):
    charging.bill(Bill("ann", card=None))
    charging.charge()
    charging.credit("ann", 1500)
    facts = facts_of(charging.warehouse, "ann", "credit_note_issued")
    assert (facts["amount_minor"], facts["due_minor"], facts["reduction_minor"]) == (4000, 2500, 1500)


def refund(warehouse: Warehouse, status: str) -> None:
    execute(
        warehouse,
        "INSERT INTO billing.stripe_refunds"
        " (refund_id, invoice_id, stripe_invoice_id, amount_minor, currency, status, created_at)"
        " SELECT 're_1', invoice_id, stripe_invoice_id, 1500, 'usd', :status, now() FROM billing.stripe_charges"
        " ON CONFLICT (refund_id) DO UPDATE SET status = excluded.status",
        status=status,
    )


def test_a_refund_is_told_when_it_succeeded_and_again_when_it_failed_after_all(charging):
    charging.charged(Bill("ann"))
    for status in ("pending", "succeeded", "succeeded", "failed"):
        refund(charging.warehouse, status)
    assert told(charging.warehouse, "ann")[2:] == ["refund_succeeded", "refund_failed"]
    assert facts_of(charging.warehouse, "ann", "refund_failed")["refunded_minor"] == 1500


def test_a_changed_contract_is_told_and_its_first_row_is_not(warehouse):
    add_customer(warehouse, "ann", starts_on=None)
    start_contract(warehouse, "ann", date(2026, 1, 1), WHO, plan="basic")
    assert told(warehouse, "ann") == []
    change_plan(warehouse, "ann", date(2026, 5, 1), "pro", WHO)
    facts = facts_of(warehouse, "ann", "billing_changed")
    assert (facts["effective_on"], facts["plan_before"], facts["plan"]) == ("2026-05-01", "basic", "pro")
    pause_contract(warehouse, "ann", date(2026, 7, 1), WHO)
    withdraw_change(warehouse, "ann", date(2026, 7, 1), WHO)
    assert told(warehouse, "ann") == ["billing_changed", "billing_changed"]


def test_a_shadow_tells_nobody(warehouse):
    load_book(warehouse)
    add_customer(warehouse, "ann")
    add_usage(warehouse, [event_of_ann("e1", "calls", 210, "2025-10-05")])
    complete_feed(warehouse, at("2025-11-02"))
    shadow = shadow_month(warehouse, OCTOBER, load_price_books(BOOK, "book.yaml"), LONG_AFTER)
    assert shadow.lines
    assert list_notices(warehouse) == []


def test_the_migration_tells_nothing_of_what_was_before(charging):
    charging.charged(Bill("ann"), Bill("bob", card=None))
    drop = """
    DROP TABLE billing.notice_holds, billing.notice_sendings, billing.notices;
    DROP TRIGGER stripe_charges_tell_of_issue ON billing.stripe_charges;
    DROP TRIGGER stripe_charges_tell ON billing.stripe_charges;
    DROP TRIGGER credit_notes_tell ON billing.credit_notes;
    DROP TRIGGER stripe_refunds_tell ON billing.stripe_refunds;
    DROP TRIGGER failed_refunds_tell ON billing.failed_refunds;
    DROP TRIGGER contract_terms_tell ON billing.contract_terms;
    DROP TRIGGER customers_tell ON billing.customers;
    """
    [migration] = (SQL_FOLDER / "migrations").glob("*_notices.sql")
    with charging.warehouse.transaction() as connection:
        driver = connection.connection.driver_connection
        as_owner(connection)
        driver.execute(drop)
        driver.execute(migration.read_text(encoding="utf-8"))
        grant(connection)
    charging.charge()
    assert list_notices(charging.warehouse) == []


def test_a_notice_never_changes_and_what_was_sent_stays_sent(charging):
    charging.bill(Bill("ann"))
    warehouse = charging.warehouse
    for statement in (
        "UPDATE billing.notices SET recipient = 'x@example.com'",
        "DELETE FROM billing.notices",
        "DELETE FROM billing.notice_sendings",
        "UPDATE billing.notice_sendings SET state = 'sent', sent_at = now()",
    ):
        with pytest.raises(IntegrityError):
            execute(warehouse, statement)
    claim = "SET state = 'claimed', claimed_until = now() + interval '5 min', attempts = attempts + 1"
    execute(warehouse, f"UPDATE billing.notice_sendings {claim}")
    execute(warehouse, "UPDATE billing.notice_sendings SET state = 'handing_over'")
    with pytest.raises(IntegrityError, match="counts a doubt"):
        execute(warehouse, f"UPDATE billing.notice_sendings {claim}")
    execute(warehouse, f"UPDATE billing.notice_sendings {claim}, doubts = doubts + 1")
    execute(warehouse, "UPDATE billing.notice_sendings SET state = 'handing_over'")
    execute(warehouse, "UPDATE billing.notice_sendings SET state = 'sent', sent_at = now(), claimed_until = NULL")
    for state in ("pending", "overtaken", "failed"):
        with pytest.raises(IntegrityError, match="is not sent again"):
            execute(warehouse, "UPDATE billing.notice_sendings SET state = :s, sent_at = NULL", s=state)


def test_a_hold_is_on_one_notice_a_customer_a_kind_or_all(charging):
    charging.bill(Bill("ann"), Bill("bob"))
    warehouse = charging.warehouse
    [ann] = list_notices(warehouse, customer_id="ann")

    def held() -> list[str]:
        return sorted(row["customer_id"] for row in list_notices(warehouse) if row["held"])

    for subject, expected in (
        (Held(notice_id=ann["notice_id"]), ["ann"]),
        (Held(customer_id="bob"), ["bob"]),
        (Held(kind="invoice_issued"), ["ann", "bob"]),
        (Held(kind="payment_failed"), []),
        (Held(), ["ann", "bob"]),
    ):
        hold_notices(warehouse, subject, WHO)
        assert held() == expected
        with pytest.raises(UserError, match="held already"):
            hold_notices(warehouse, subject, WHO)
        release_notices(warehouse, subject, WHO)
        assert held() == []
    with pytest.raises(UserError, match="not held"):
        release_notices(warehouse, Held(), WHO)
    with pytest.raises(UserError, match="found none"):
        hold_notices(warehouse, Held(customer_id="nobody"), WHO)
    with pytest.raises(UserError, match="found none"):
        read_notice(warehouse, 999)
    logged = warehouse.rows("SELECT action FROM billing.automation_log WHERE action LIKE 'notice.%'")
    assert len(logged) == 10


def test_a_reminder_is_wrong_once_the_invoice_is_paid():
    assert overtaken_by("payment_failed", "paid") == "the invoice is paid"
    assert overtaken_by("payment_failed", "open") is None
    assert overtaken_by("invoice_issued", "void") == "the invoice is void"
    assert overtaken_by("invoice_issued", "paid") is None
    assert overtaken_by("billing_changed", None) is None
