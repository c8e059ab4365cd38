"""A void invoice that is not billed again: a decision, seen by runs, gates and shadows until it is lifted."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import DBAPIError

from billing_pipeline.charging.void_at_stripe import VoidRefused
from billing_pipeline.comparison.explain import explain_all, ledger_problems
from billing_pipeline.comparison.rules.month_diff import differences
from billing_pipeline.comparison.shadow import month_lines, shadow_month
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.unbilled import UnbilledRefused
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.gates.data_quality import run_gates
from billing_pipeline.gates.rules.gates import gates_of
from billing_pipeline.pricing.rules.price_book import load_price_books
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import BOOK, NOVEMBER, OCTOBER, at, complete_feed, execute


@pytest.fixture(scope="module")
def more() -> Callable[[Platform], None]:
    """Bob's card is declined; he made 210 calls in October as well, and both are billed."""

    def fill(platform: Platform) -> None:
        platform.customer("bob", "pm_card_chargeCustomerFail")
        platform.use("bob", 210)
        complete_feed(platform.warehouse, at("2026-01-01"))
        platform.bill()

    return fill


def void(platform: Platform, name: str = "bob", *, rebill: bool = False, author: str = "ann") -> None:
    number = platform.invoices(name)[0]["number"]
    void_invoice(platform.warehouse, platform.gateway(), number, Signature(author, "never used it"), rebill=rebill)


def statuses(platform: Platform) -> list[tuple[str, int]]:
    return [(one["status"], one["revision"]) for one in platform.invoices("bob")]


def failing_gates(platform: Platform) -> list[str]:
    parameters = {"invoice_cap_minor": 10**9, "price_factor_max": 10}
    found = [
        result
        for asset in ("usage_snapshots", "invoice_line_items", "invoices")
        for result in run_gates(platform.warehouse, gates_of(asset), OCTOBER, "run", parameters)
    ]
    return [result.gate.name for result in found if result.failing_rows and result.gate.blocking]


def test_no_run_bills_the_period_and_no_gate_asks_for_it(platform: Platform) -> None:
    void(platform)
    for _ in range(2):
        platform.bill()
        assert statuses(platform) == [("void", 0)]
    assert failing_gates(platform) == []
    coverage = platform.warehouse.rows(
        "SELECT reason FROM billing.invoice_coverage(:m) WHERE customer_id = 'bob'", m=OCTOBER
    )
    assert [row["reason"] for row in coverage] == ["voided and not billed again"]
    platform.bill(NOVEMBER)
    assert [one["total_minor"] for one in platform.invoices("bob", NOVEMBER)] == [1000], "the next month is billed"
    assert [problem for each in explain_all(platform.warehouse) for problem in each.problems] == []
    assert ledger_problems(platform.warehouse) == []


def test_a_shadow_does_not_bill_it_either(platform: Platform) -> None:
    void(platform)
    shadow = shadow_month(platform.warehouse, OCTOBER, load_price_books(BOOK, "b"), datetime.now(UTC))
    assert differences(month_lines(platform.warehouse, OCTOBER), shadow.lines) == []


def test_a_draft_that_waits_already_is_dropped(platform: Platform) -> None:
    void(platform, rebill=True)
    platform.draft()
    assert statuses(platform) == [("void", 0), ("draft", 1)]
    void(platform)
    assert statuses(platform) == [("void", 0)]
    platform.bill()
    assert statuses(platform) == [("void", 0)]


def test_voided_once_more_with_rebilling_it_is_billed_again(platform: Platform) -> None:
    void(platform)
    void(platform, author="bob", rebill=True)
    platform.draft()
    assert statuses(platform) == [("void", 0), ("draft", 1)]
    logged = platform.warehouse.rows(
        "SELECT actor, action FROM billing.automation_log WHERE action LIKE 'period.%' ORDER BY 1"
    )
    assert [tuple(row.values()) for row in logged] == [("ann", "period.leave_unbilled"), ("bob", "period.bill_again")]


def test_what_was_billed_again_stays_billed(platform: Platform) -> None:
    void(platform, rebill=True)
    platform.bill()
    with pytest.raises(UnbilledRefused, match="is billed again already"):
        void(platform)
    assert statuses(platform) == [("void", 0), ("open", 1)]


def test_an_invoice_that_cannot_be_voided_leaves_no_decision(platform: Platform) -> None:
    [invoice] = platform.invoices("bob")
    api = platform.stripe.api.invoices
    api.pay(invoice["stripe_invoice_id"], {"paid_out_of_band": True})
    with pytest.raises(VoidRefused):
        void(platform)
    assert platform.warehouse.scalar("SELECT count(*) FROM billing.unbilled_periods WHERE lifted_at IS NULL") == 0


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE billing.unbilled_periods SET reason = 'x'", "lifted once"),
        ("DELETE FROM billing.unbilled_periods", "is kept"),
        (
            (
                "INSERT INTO billing.invoices (invoice_id, customer_id, period_id, billing_month, currency, total_minor,"
                " line_count, revision, supersedes_invoice_id, run_id) SELECT gen_random_uuid(), customer_id, period_id,"
                " billing_month, currency, 0, 0, 1, invoice_id, 'x' FROM billing.invoices WHERE customer_id = 'bob'"
            ),
            "left unbilled gets no invoice|total",
        ),
        (
            (
                "INSERT INTO billing.unbilled_periods (period_id, invoice_id, author, reason)"
                " SELECT (SELECT period_id FROM billing.invoices WHERE customer_id = 'bob'), invoice_id, 'a', 'r'"
                " FROM billing.invoices WHERE customer_id = 'ann'"
            ),
            "is not the period's own final one",
        ),
        (
            (
                "INSERT INTO billing.unbilled_periods (period_id, invoice_id, author, reason)"
                " SELECT period_id, invoice_id, 'a', 'r' FROM billing.invoices WHERE customer_id = 'bob'"
            ),
            "unbilled_periods_one",
        ),
    ],
)
def test_postgres_holds_it_to_that(platform: Platform, statement: str, says: str) -> None:
    void(platform)
    with pytest.raises(DBAPIError, match=says):
        execute(platform.warehouse, statement)
