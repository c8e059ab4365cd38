"""Asset `stripe_charges`: drafts become final and are charged."""

import dagster as dg

from billing_pipeline.adapters.charge_check import verify_month
from billing_pipeline.adapters.charger import ChargeReport, charge_month
from billing_pipeline.adapters.finalisation import GatesNotPassed, finalise_month
from billing_pipeline.adapters.reconciliation import reconcile
from billing_pipeline.core.money import format_minor
from billing_pipeline.core.stripe_errors import StripeFailure
from billing_pipeline.defs.metadata import markdown_table, report, sample_table, table_metadata
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.platform import GROUP, OWNERS
from billing_pipeline.defs.resources import Billing, Stripe
from billing_pipeline.defs.stripe_differences import AGREE, agreement

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
        ),
        dg.AssetCheckSpec(
            AGREE,
            asset="stripe_charges",
            description="Invoices, payments, refunds and credit notes of the month are the same here and at Stripe.",
            partitions_def=MONTHS,
        ),
    ],
)
def stripe_charges(context: dg.AssetExecutionContext, billing: Billing, stripe: Stripe) -> dg.MaterializeResult:
    """Finalise the month's drafts, if every gate passed for exactly these rows, and charge what is not charged yet.

    Running it again asks Stripe first and charges nobody twice. Refused and parked charges are left as they are.
    """
    month, run_id = month_of(context), context.run.run_id
    warehouse, gateway = billing.warehouse, stripe.gateway()
    try:
        finalised = finalise_month(warehouse, month, run_id)
    except GatesNotPassed as error:
        raise dg.Failure(
            description=str(error),
            metadata={"unmet": sample_table([{"gate": f"{u.asset}.{u.check}", "why": u.problem} for u in error.unmet])},
            allow_retries=False,
        ) from error
    context.log.info(f"{finalised.count:,} invoices finalised")
    try:
        charged = charge_month(warehouse, gateway, month, run_id, log=context.log.info)
        problems = verify_month(warehouse, gateway, month)
        # the payments were made just now: what events tell of them is on its way
        compared = reconcile(warehouse, gateway, run_id, billing.clock(), month=month, with_events=False)
    except StripeFailure as failure:
        raise dg.Failure(description=f"Stripe: {failure}", allow_retries=False) from failure
    return dg.MaterializeResult(
        metadata={
            **table_metadata(warehouse, "stripe_charges", sum(part.count for part in charged.standing)),
            **_totals(charged),
            "finalised_now": finalised.count,
            "on_hold": ", ".join(finalised.skipped.get("on_hold", ())) or "nobody",
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
            ),
            agreement(compared),
        ],
    )


def _totals(charged: ChargeReport) -> dict[str, str]:
    return {
        f"total_paid_{currency}": format_minor(amount, currency)
        for currency, amount in charged.amounts_minor("paid").items()
    }


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
