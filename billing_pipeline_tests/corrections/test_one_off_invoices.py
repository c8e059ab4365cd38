"""One-off invoices: billed by themselves, charged once like any other, and no part of the period's own invoice."""

import pytest

from billing_pipeline.charging.brakes import pause_charging, resume_charging
from billing_pipeline.comparison.explain import explain_all, ledger_problems
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import AdjustmentRefused, adjust
from billing_pipeline.corrections.one_off_invoices import bill_at_once
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.gates.data_quality import run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.invoicing.recurring import recurring, recurring_by_lines
from billing_pipeline_tests.month_rows import NOVEMBER, OCTOBER
from billing_pipeline_tests.postgres.invariants.rows import execute

WHO = Signature("ops", "set-up")


def amounts(platform: Platform) -> list[tuple[int, str]]:
    return [(one["total_minor"], one["status"]) for one in platform.invoices("ann")]


def test_an_amount_is_billed_by_itself_and_charged_once(platform: Platform) -> None:
    platform.bill()
    made = bill_at_once(platform.warehouse, "ann", 2500, WHO, description="Set-up")
    assert (made.billing_month, amounts(platform)) == (OCTOBER, [(1300, "paid"), (2500, "draft")])
    with pytest.raises(AdjustmentRefused, match="was made already"):
        bill_at_once(platform.warehouse, "ann", 2500, WHO)
    with pytest.raises(AdjustmentRefused, match="was made already"):
        adjust(platform.warehouse, "ann", 2500, WHO)  # the same amount for the same reason is the same claim
    for _ in range(2):
        platform.bill()
    assert (amounts(platform), platform.paid_minor("ann")) == ([(1300, "paid"), (2500, "paid")], 3800)
    [_, one_off] = platform.invoices("ann")
    [line] = platform.stripe.api.invoices.retrieve(one_off["stripe_invoice_id"]).lines.data
    assert (line.description, line.amount) == ("Set-up", 2500)

    parameters = {"invoice_cap_minor": 10**9, "price_factor_max": 10}
    gates = run_gates(platform.warehouse, gates_of("invoices"), OCTOBER, "run", parameters)
    assert [gate.gate.name for gate in gates if gate.failing_rows] == []
    assert [(one.invoice.number, one.problems) for one in explain_all(platform.warehouse)] == [
        ("INV-00000001", []),
        ("INV-00000002", []),
    ]
    assert ledger_problems(platform.warehouse) == []
    platform.look()
    assert platform.warehouse.scalar("SELECT count(*) FROM billing.billing_drift") == 0
    revenue = platform.warehouse.rows(
        "SELECT meter, revenue_minor FROM billing.monthly_revenue WHERE meter = 'adjustments'"
    )
    assert revenue == [{"meter": "adjustments", "revenue_minor": 2500}]
    assert recurring(platform.warehouse) == recurring_by_lines(platform.warehouse) != {}
    bill_at_once(platform.warehouse, "ann", 700, WHO)  # the next one is another invoice
    platform.bill(NOVEMBER)
    platform.bill()
    assert amounts(platform) == [(1300, "paid"), (2500, "paid"), (700, "paid")]


def test_a_voided_one_is_gone_or_billed_again_as_was_said(platform: Platform) -> None:
    platform.bill()
    bill_at_once(platform.warehouse, "ann", 2500, WHO)
    pause_charging(platform.warehouse, Signature("ops", "look"))
    platform.draft()
    platform.charge()
    number = platform.invoices("ann")[1]["number"]
    void_invoice(platform.warehouse, platform.gateway(), number, Signature("ops", "wrong text"))
    assert amounts(platform) == [(1300, "paid"), (2500, "void"), (2500, "draft")]
    platform.draft()
    platform.charge()
    again = platform.invoices("ann")[2]["number"]
    for _ in range(2):  # done again it stays done
        void_invoice(platform.warehouse, platform.gateway(), again, Signature("ops", "not owed"), rebill=False)
    assert amounts(platform) == [(1300, "paid"), (2500, "void"), (2500, "void")]
    assert platform.warehouse.rows("SELECT * FROM billing.waiting_adjustments") == []
    resume_charging(platform.warehouse, Signature("ops", "looked"))
    platform.bill()
    assert platform.paid_minor("ann") == 1300


def test_what_cannot_be_billed_at_once_says_what_can(platform: Platform) -> None:
    with pytest.raises(AdjustmentRefused, match="no final invoice in USD yet: `billing adjust`"):
        bill_at_once(platform.warehouse, "ann", 2500, WHO)
    with pytest.raises(AdjustmentRefused, match="over more than 0; `billing adjust`"):
        bill_at_once(platform.warehouse, "ann", -1, WHO)
    platform.bill()
    with platform.warehouse.transaction() as connection:
        execute(connection, "SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        execute(
            connection,
            "UPDATE billing.month_books SET closed_at = now(), closed_by = 'x', reconciliation_id = 1, invoice_count = 1,"
            " stripe_invoice_count = 1, payment_count = 1, totals = '{}', invoices_sha256 = sha256(''), audit_seal_no = 1,"
            " stripe_invoices_sha256 = sha256(''), payments_sha256 = sha256(''), audit_seal = sha256('')",
        )
    with pytest.raises(AdjustmentRefused, match=r"month 2025-10 is closed.*`billing adjust`"):
        bill_at_once(platform.warehouse, "ann", 2500, WHO)
    assert platform.warehouse.rows("SELECT * FROM billing.adjustments") == []
