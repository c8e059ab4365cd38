"""Asset `stripe_charges`: drafts become final and are charged."""

from collections.abc import Callable
from datetime import date
from typing import TypeVar

import dagster as dg

from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.charging.brakes import PAUSED, limits_of, read_brakes
from billing_pipeline.charging.circuit_breaker import guarded
from billing_pipeline.charging.month import ChargeReport, charge_month
from billing_pipeline.charging.month_verification import Discrepancy, verify_month
from billing_pipeline.charging.rules.brakes import Brake, distinct, month_too_old
from billing_pipeline.core.money import format_minor
from billing_pipeline.corrections.approvals import set_approval_policy
from billing_pipeline.corrections.holds import active_holds
from billing_pipeline.defs.metadata import markdown_table, report, sample_table, table_metadata
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.resources import Billing, Stripe
from billing_pipeline.defs.running import STARTED_BY
from billing_pipeline.defs.stages import CHARGES, OWNERS
from billing_pipeline.defs.stripe_differences import AGREE, agreement
from billing_pipeline.invoicing.finalisation import ApprovalMissing, Finalised, GatesNotPassed, finalise_month
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

_Answer = TypeVar("_Answer")
SETTLED = "every_invoice_charged_or_explained"
BRAKES = "no_brake_held_anything_back"


class ChargeConfig(dg.Config):
    """What an operator may say for one run."""

    charge_old_month: bool = False
    """Finalise and charge a month that ended longer ago than BILLING_CHARGE_AGE_MAX_DAYS."""


@dg.asset(
    partitions_def=MONTHS,
    backfill_policy=ONE_MONTH_A_RUN,
    deps=["invoices", "customers"],
    group_name=CHARGES,
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
            BRAKES,
            asset="stripe_charges",
            description="No brake (kill switch, cap, canaries, age of the month, circuit breaker) kept a charge back.",
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
def stripe_charges(
    context: dg.AssetExecutionContext, config: ChargeConfig, billing: Billing, stripe: Stripe
) -> dg.MaterializeResult:
    """Finalise the month's drafts, if every gate passed for exactly these rows, and charge what is not charged yet.

    Running it again asks Stripe first and charges nobody twice. Refused and parked charges are left as they are. What a
    brake holds back, or Stripe does not answer for, is pending: the next pass goes on with it.
    """
    month, run_id = month_of(context), context.run.run_id
    settings, warehouse = billing.settings, billing.warehouse
    gateway = guarded(stripe.gateway(), warehouse, billing.clock)
    too_old = None
    if not config.charge_old_month:
        too_old = month_too_old(month, billing.clock().date(), settings.charging.charge_age_max_days)
    paused = [] if too_old else [brake for brake in read_brakes(warehouse).on() if brake.code == PAUSED]
    finalised = Finalised(0)
    if not too_old and not paused:
        try:
            if settings.charging.require_approval is not None:
                set_approval_policy(warehouse, settings.charging.require_approval, author="BILLING_REQUIRE_APPROVAL")
            finalised = finalise_month(warehouse, month, run_id, started_by=context.run.tags.get(STARTED_BY))
        except GatesNotPassed as error:
            unmet = [{"gate": f"{u.asset}.{u.check}", "why": u.problem} for u in error.unmet]
            raise dg.Failure(
                description=str(error), metadata={"unmet": sample_table(unmet)}, allow_retries=False
            ) from error
        except ApprovalMissing as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
    context.log.info(f"{finalised.count:,} invoices finalised")
    try:
        charged = charge_month(
            warehouse,
            gateway,
            month,
            run_id,
            log=context.log.info,
            limits=limits_of(settings.charging),
            clock=billing.clock,
            only=frozenset() if too_old else None,
        )
        verified = _asked(lambda: verify_month(warehouse, gateway, month))
        # the payments were made just now: what events tell of them is on its way
        compared = _asked(
            lambda: compare_with_stripe(
                warehouse, stripe.gateway(), run_id, billing.clock(), month=month, with_events=False
            )
        )
    except StripeFailure as failure:
        raise dg.Failure(description=f"Stripe: {failure}", allow_retries=False) from failure
    brakes = distinct([*([too_old] if too_old else []), *paused, *charged.brakes])
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
            "brakes": "; ".join(map(str, brakes)) or "none",
            "stripe_calls": charged.calls,
            "seconds": round(charged.seconds, 1),
            "standing": markdown_table(_standing(charged)),
            "open_invoices": markdown_table(report(warehouse, "charging/open_invoices", month)),
        },
        check_results=[
            _settled(verified, charged, brakes),
            _unbraked(brakes, charged),
            agreement(compared, waiting=bool(charged.in_other_hands or charged.pending or brakes)),
        ],
    )


def _asked(question: Callable[[], _Answer]) -> _Answer | StripeFailure:
    """The answer to a question about the month; the failure, if Stripe did not answer it.

    Raises:
        StripeFailure: Stripe does not accept the key.
    """
    try:
        return question()
    except StripeFailure as failure:
        if failure.outcome not in (Outcome.UNKNOWN, Outcome.RETRY):
            raise
        return failure


def _settled(
    verified: list[Discrepancy] | StripeFailure, charged: ChargeReport, brakes: list[Brake]
) -> dg.AssetCheckResult:
    if isinstance(verified, StripeFailure):
        return dg.AssetCheckResult(
            check_name=SETTLED,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"not known, Stripe could not be asked: {verified}",
        )
    # what waits for the next pass, or is another run's, is pending; only what contradicts Stripe is an error
    pending = bool(charged.in_other_hands or charged.pending or brakes)
    sample = [{"invoice": one.number, "problem": one.problem} for one in verified[:20]]
    return dg.AssetCheckResult(
        check_name=SETTLED,
        passed=not verified,
        severity=dg.AssetCheckSeverity.WARN
        if pending and all(problem.waiting for problem in verified)
        else dg.AssetCheckSeverity.ERROR,
        description=f"{verified[0].number} {verified[0].problem}; {len(verified)} in all" if verified else None,
        metadata={"failing_rows": len(verified), **({"sample": sample_table(sample)} if sample else {})},
    )


def _unbraked(brakes: list[Brake], charged: ChargeReport) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=BRAKES,
        passed=not brakes,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(map(str, brakes)) or None,
        metadata={brake.code: charged.pending.get(brake.code, 0) for brake in brakes},
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
