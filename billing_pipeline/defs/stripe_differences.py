"""Asset `stripe_differences`: our books compared with Stripe's, every day and after every charge run."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg

from billing_pipeline.books.months import MonthState, overdue_months
from billing_pipeline.books.reconciliation import Comparison, compare_with_stripe
from billing_pipeline.core.money import format_minor
from billing_pipeline.corrections.failed_refunds import failed_refunds
from billing_pipeline.corrections.lost_disputes import list_disputes
from billing_pipeline.defs.failures import stripe_explained
from billing_pipeline.defs.metadata import sample_table, table_metadata
from billing_pipeline.defs.remedies import check, what_to_do
from billing_pipeline.defs.resources import Billing, Stripe
from billing_pipeline.defs.stages import BOOKS, OWNERS
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

AGREE = "books_agree_with_stripe"
REPAID = "failed_refunds_are_repaid"
DECIDED = "lost_disputes_are_decided"
NONE_MISSED = "every_month_is_billed_and_charged"
SHOWN = 20


def agreement(compared: Comparison | StripeFailure, *, waiting: bool = False) -> dg.AssetCheckResult:
    """The check's result, with a sample of what differs.

    Args:
        compared: the comparison, or why Stripe could not be asked.
        waiting: whether charges are pending: that they are further at Stripe than here is then to be expected.
    """
    if isinstance(compared, StripeFailure):
        return dg.AssetCheckResult(
            check_name=AGREE,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"not known, Stripe could not be asked: {compared}",
            metadata=what_to_do(AGREE),
        )
    found = compared.differences
    metadata: dict[str, Any] = {
        "failing_rows": len(found),
        "charges": len(compared.books.charges),
        "invoices_at_stripe": len(compared.books.invoices),
        "payments_at_stripe": len(compared.books.payments),
        "reconciliation_id": compared.reconciliation_id,
    }
    if not found:
        return dg.AssetCheckResult(check_name=AGREE, passed=True, metadata=metadata)
    first = found[0]
    about = first.stripe_id or first.invoice_name
    sample = [
        {
            "object": one.object_type,
            "kind": one.kind,
            "stripe_id": one.stripe_id or "",
            "invoice": one.invoice_name or "",
            "ours": one.ours or "",
            "theirs": one.theirs or "",
            "proposed_action": one.proposed_action,
        }
        for one in found[:SHOWN]
    ]
    return dg.AssetCheckResult(
        check_name=AGREE,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN
        if waiting and all(one.proposed_action == "charge_again" for one in found)
        else dg.AssetCheckSeverity.ERROR,
        description=f"{len(found):,} difference(s), such as {first.object_type} {about}:"
        f" {first.kind}, ours {first.ours}, Stripe's {first.theirs}",
        metadata={**metadata, **what_to_do(AGREE), "sample": sample_table(sample)},
    )


def repayment(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Whether a refund failed whose money the customer does not have yet, with a sample of them."""
    waiting = failed_refunds(warehouse)
    if not waiting:
        return dg.AssetCheckResult(check_name=REPAID, passed=True, metadata={"failing_rows": 0})
    first = waiting[0]
    return dg.AssetCheckResult(
        check_name=REPAID,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(waiting):,} refund(s) failed, such as {first.refund_id} of"
        f" {format_minor(first.amount_minor, first.currency)} to customer {first.customer}:"
        " `billing credit repay`",
        metadata={
            "failing_rows": len(waiting),
            **what_to_do(REPAID),
            "sample": sample_table([asdict(one) for one in waiting[:SHOWN]]),
        },
    )


def decided(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Whether a bank took money back for good and nobody has decided about it, with a sample."""
    waiting = [row for row in list_disputes(warehouse) if row["waits_for_a_person"]]
    if not waiting:
        return dg.AssetCheckResult(check_name=DECIDED, passed=True, metadata={"failing_rows": 0})
    first = waiting[0]
    columns = ("dispute_id", "number", "customer_id", "taken_back_minor", "currency", "bank_reason")
    return dg.AssetCheckResult(
        check_name=DECIDED,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{len(waiting):,} dispute(s) are lost, such as {first['dispute_id']} of"
        f" {format_minor(first['taken_back_minor'], first['currency'])} of {first['number']}: `billing disputes list`",
        metadata={
            "failing_rows": len(waiting),
            **what_to_do(DECIDED),
            "sample": sample_table([{name: row[name] for name in columns} for row in waiting[:SHOWN]]),
        },
    )


def none_missed(overdue: Sequence[MonthState]) -> dg.AssetCheckResult:
    """Whether every month that has ended is billed, and charged, in time."""
    metadata: dict[str, Any] = {"failing_rows": len(overdue)}
    if overdue:
        sample = [{"month": f"{month.billing_month:%Y-%m}", "state": month.state} for month in overdue[:SHOWN]]
        metadata |= {**what_to_do(NONE_MISSED, overdue[0].billing_month), "sample": sample_table(sample)}
    return dg.AssetCheckResult(
        check_name=NONE_MISSED,
        passed=not overdue,
        severity=dg.AssetCheckSeverity.ERROR,
        description="; ".join(map(str, overdue[:SHOWN])) or None,
        metadata=metadata,
    )


@dg.asset(
    group_name=BOOKS,
    owners=OWNERS,
    kinds={"python", "postgres", "stripe"},
    check_specs=[
        check(
            AGREE,
            "Invoices, payments, refunds, credit notes and disputes of every month that is not closed are the same here"
            " and at Stripe.",
            asset="stripe_differences",
        ),
        check(
            NONE_MISSED,
            "Every month that has ended is billed, and charged within BILLING_CHARGED_WITHIN_DAYS of its end.",
            asset="stripe_differences",
        ),
        check(
            DECIDED,
            "Somebody has decided about all money that banks took back for good.",
            asset="stripe_differences",
        ),
        check(REPAID, "Nobody waits for the money of a refund that failed at Stripe.", asset="stripe_differences"),
    ],
)
def stripe_differences(context: dg.AssetExecutionContext, billing: Billing, stripe: Stripe) -> dg.MaterializeResult:
    """What differs between us and Stripe: invoices, payments, refunds, credit notes, disputes. Changes neither side.

    Each difference is a row with a proposed action; what to do about it is an operator's decision.
    """
    warehouse = billing.warehouse
    overdue = overdue_months(warehouse, billing.clock(), billing.settings.charging.charged_within_days)
    with stripe_explained():
        compared = compare_with_stripe(warehouse, stripe.gateway(), context.run.run_id, billing.clock())
    return dg.MaterializeResult(
        metadata=table_metadata(warehouse, "stripe_differences", len(compared.differences)),
        check_results=[agreement(compared), none_missed(overdue), repayment(warehouse), decided(warehouse)],
    )


reconcile_stripe = dg.define_asset_job(
    "reconcile_stripe",
    selection=dg.AssetSelection.assets(stripe_differences),
    description="Compare our books with Stripe's, for every month that is not closed.",
    executor_def=dg.in_process_executor,
)
