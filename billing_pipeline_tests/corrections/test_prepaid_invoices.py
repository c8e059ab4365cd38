"""Invoices that prepaid credits paid, in part or whole: at Stripe, in both books, and when they are taken back."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.credit_notes import CreditRefused, issue_credit_note
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.invoicing.credits import credit_balances, grant_credits
from billing_pipeline_tests.corrections.platform_world import Platform
from billing_pipeline_tests.month_rows import OCTOBER

BY = Signature("ann", "prepaid")
DECLINING = "pm_card_chargeCustomerFail"


def balance(platform: Platform, customer_id: str) -> int:
    [row] = credit_balances(platform.warehouse, customer_id)
    return int(row["balance_minor"])


@pytest.fixture(scope="module")
def more() -> Callable[[Platform], None]:
    """October costs 13.00 each: ann has 5.00 of credits, bob 20.00, cyd 5.00 and a card that is declined."""

    def fill(platform: Platform) -> None:
        platform.customer("bob")
        platform.customer("cyd", DECLINING)
        for customer_id, amount_minor in (("ann", 500), ("bob", 2_000), ("cyd", 500)):
            if customer_id != "ann":
                platform.use(customer_id, 210)
            grant_credits(platform.warehouse, customer_id, amount_minor, BY)
        platform.bill()

    return fill


def test_stripe_is_asked_for_the_rest_and_a_line_says_what_credits_paid(platform: Platform) -> None:
    found = {}
    for customer_id in ("ann", "bob", "cyd"):
        [invoice] = platform.invoices(customer_id)
        at_stripe = platform.stripe.api.invoices.retrieve(invoice["stripe_invoice_id"])
        lines = [line.amount for line in at_stripe.lines.data]
        found[customer_id] = (invoice["status"], invoice["total_minor"], at_stripe.total, lines[-1], sum(lines))
    assert found == {
        "ann": ("paid", 1_300, 800, -500, 800),
        "bob": ("paid", 1_300, 0, -1_300, 0),
        "cyd": ("open", 1_300, 800, -500, 800),
    }
    assert (platform.paid_minor("ann"), platform.paid_minor("bob")) == (800, 0)
    [open_invoice] = platform.warehouse.rows("SELECT customer_id, remaining_minor FROM billing.receivables")
    assert open_invoice == {"customer_id": "cyd", "remaining_minor": 800}


def test_both_books_agree_and_every_invoice_is_explained(platform: Platform) -> None:
    [unpaid] = platform.invoices("cyd")
    void_invoice(platform.warehouse, platform.gateway(), unpaid["number"], BY, rebill=False)
    assert balance(platform, "cyd") == 500
    now = datetime.now(UTC)
    compared = compare_with_stripe(
        platform.warehouse, platform.gateway(), "test", now, month=OCTOBER, with_events=False
    )
    assert compared.differences == ()
    assert [explained.problems for explained in explain_all(platform.warehouse)] == [[]] * 3


def test_what_is_taken_back_at_stripe_is_at_most_what_was_asked_for_there(platform: Platform) -> None:
    with pytest.raises(CreditRefused, match=r"is left of 8.00 USD; `billing credits return INV-00000001` gives back"):
        issue_credit_note(platform.warehouse, platform.gateway(), "1", BY, amount_minor=1_300)
    note = issue_credit_note(platform.warehouse, platform.gateway(), "1", BY)
    assert (note.amount_minor, platform.paid_minor("ann")) == (800, 0)
    with pytest.raises(CreditRefused, match="nothing of it is left to credit at Stripe; `billing credits return"):
        issue_credit_note(platform.warehouse, platform.gateway(), "2", BY)


def test_a_void_gives_back_and_the_rebill_draws_again(platform: Platform) -> None:
    [unpaid] = platform.invoices("cyd")
    void_invoice(platform.warehouse, platform.gateway(), unpaid["number"], BY)
    assert balance(platform, "cyd") == 500
    platform.bill()
    old, new = platform.invoices("cyd")
    assert (old["status"], new["credits_minor"], new["due_minor"]) == ("void", 500, 800)
    assert balance(platform, "cyd") == 0
