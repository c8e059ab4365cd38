"""Asset `stripe_charges`: drafts become final and are charged."""

from datetime import date

import dagster as dg

from billing_pipeline.adapters.approvals import set_approval_policy
from billing_pipeline.adapters.charge_check import verify_month
from billing_pipeline.adapters.charger import ChargeReport, charge_month
from billing_pipeline.adapters.finalisation import ApprovalMissing, GatesNotPassed, finalise_month
from billing_pipeline.adapters.holds import active_holds
from billing_pipeline.adapters.warehouse import Warehouse
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.stripe_errors import StripeFailure
from billing_pipeline.defs.metadata import markdown_table, report, sample_table, table_metadata
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing, Stripe

STARTED_BY = "billing/started_by"
"""Tag of a run: the person who started it, who then does not approve it. `billing run` sets it."""

SETTLED = "every_invoice_charged_or_explained"


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=ONE_MONTH_A_RUN,
    deps=["invoices", "customers"],
    group_name=GROUP,
    owners=OWNERS,
    kinds={"python", "postgres", "stripe"},
    check_specs=[
        dg.AssetCheckSpec(
            SETTLED,
            asset="stripe_charges",
            description="Every finalised invoice is paid or has a named reason, and Stripe's totals equal ours.",
            partitions_def=MONTHS,
        )
    ],
)
def stripe_charges(context: dg.AssetExecutionContext, billing: Billing, stripe: Stripe) -> dg.MaterializeResult:
    """Finalise the month's drafts, if every gate passed for exactly these rows, and charge what is not charged yet.

    Running it again asks Stripe first and charges nobody twice. Refused and parked charges are left as they are.
    """
    month, run_id = month_of(context), context.run.run_id
    warehouse, gateway = billing.warehouse, stripe.gateway()
    try:
        if billing.settings.require_approval is not None:
            set_approval_policy(warehouse, billing.settings.require_approval, author="BILLING_REQUIRE_APPROVAL")
        finalised = finalise_month(warehouse, month, run_id, started_by=context.run.tags.get(STARTED_BY))
    except GatesNotPassed as error:
        raise dg.Failure(
            description=str(error),
            metadata={"unmet": sample_table([{"gate": f"{u.asset}.{u.check}", "why": u.problem} for u in error.unmet])},
            allow_retries=False,
        ) from error
    except ApprovalMissing as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    context.log.info(f"{finalised.count:,} invoices finalised")
    try:
        charged = charge_month(warehouse, gateway, month, run_id, log=context.log.info)
        problems = verify_month(warehouse, gateway, month)
    except StripeFailure as failure:
        raise dg.Failure(description=f"Stripe: {failure}", allow_retries=False) from failure
    return dg.MaterializeResult(
        metadata={
            **table_metadata(warehouse, "stripe_charges", sum(part.count for part in charged.standing)),
            **_totals(charged),
            "finalised_now": finalised.count,
            "on_hold": ", ".join(finalised.skipped.get("on_hold", ())) or "nobody",
            "kept_as_drafts": {reason: len(customers) for reason, customers in finalised.skipped.items()},
            "holds": markdown_table(_holds(warehouse, month)),
            "charged_now": charged.worked_on,
            "in_other_hands": charged.in_other_hands,
            "pending": dict(charged.pending),
            "stripe_calls": charged.calls,
            "seconds": round(charged.seconds, 1),
            "standing": markdown_table(_standing(charged)),
            "open_invoices": markdown_table(report(warehouse, "open_invoices", month)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=SETTLED,
                passed=not problems,
                # what another run is charging right now is that run's to report
                severity=dg.AssetCheckSeverity.WARN
                if charged.in_other_hands and all(problem.waiting for problem in problems)
                else dg.AssetCheckSeverity.ERROR,
                description=f"{problems[0].number} {problems[0].problem}; {len(problems)} in all" if problems else None,
                metadata={
                    "failing_rows": len(problems),
                    **(
                        {"sample": sample_table([{"invoice": p.number, "problem": p.problem} for p in problems[:20]])}
                        if problems
                        else {}
                    ),
                },
            )
        ],
    )


def _totals(charged: ChargeReport) -> dict[str, str]:
    return {
        f"total_paid_{currency}": format_minor(amount, currency)
        for currency, amount in charged.amounts_minor("paid").items()
    }


def _holds(warehouse: Warehouse, month: date) -> list[dict[str, object]]:
    return [
        {name: row[name] for name in ("kind", "subject", "drafts", "uncharged", "author", "reason")}
        for row in active_holds(warehouse, month)
    ]


def _standing(charged: ChargeReport) -> list[dict[str, object]]:
    return [
        {
            "state": part.state,
            "reason": part.reason_code or "",
            "invoices": part.count,
            "amount_minor": part.amount_minor,
            "currency": part.currency,
        }
        for part in charged.standing
    ]
