"""Asset `stripe_charges`: drafts become final and are charged."""

from collections.abc import Iterator
from datetime import date

import dagster as dg

from billing_pipeline.books.reconciliation import compare_with_stripe
from billing_pipeline.charging.finalise_and_charge import (
    MonthCharged,
    MonthRun,
    finalise_and_charge,
    unless_unanswered,
)
from billing_pipeline.charging.report import ChargeReport
from billing_pipeline.charging.rules.brakes import LETS_GO_BY_ITSELF
from billing_pipeline.core.money import format_minor
from billing_pipeline.corrections.holds import active_holds
from billing_pipeline.defs.measures import work_out_after_charging
from billing_pipeline.defs.metadata import markdown_table, report, sample_table, table_metadata
from billing_pipeline.defs.partitions import MONTHS, ONE_MONTH_A_RUN, month_of
from billing_pipeline.defs.remedies import check, what_to_do
from billing_pipeline.defs.resources import Billing, Stripe
from billing_pipeline.defs.running import HELD_BACK
from billing_pipeline.defs.stages import CHARGES, OWNERS
from billing_pipeline.defs.starters import starter_of
from billing_pipeline.defs.stripe_differences import AGREE, agreement
from billing_pipeline.invoicing.finalisation import ApprovalMissing, GatesNotPassed
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

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
        check(
            SETTLED,
            "Every finalised invoice is paid or has a named reason, and Stripe's totals equal ours.",
            asset="stripe_charges",
            partitions_def=MONTHS,
        ),
        check(
            BRAKES,
            "No brake (kill switch, cap, canaries, age of the month, circuit breaker) kept a charge back.",
            asset="stripe_charges",
            partitions_def=MONTHS,
        ),
        check(
            AGREE,
            "Invoices, payments, refunds and credit notes of the month are the same here and at Stripe.",
            asset="stripe_charges",
            partitions_def=MONTHS,
        ),
    ],
)
def stripe_charges(
    context: dg.AssetExecutionContext, config: ChargeConfig, billing: Billing, stripe: Stripe
) -> Iterator[dg.MaterializeResult]:
    """Finalise the month's drafts, if every gate passed for exactly these rows, and charge what is not charged yet.

    Running it again asks Stripe first and charges nobody twice. Refused and parked charges are left as they are. What a
    brake holds back, or Stripe does not answer for, is pending: the next pass goes on with it. A brake that waits for a
    person ends the run as failed, after all that could be done is done.
    """
    month, run_id, warehouse = month_of(context), context.run.run_id, billing.warehouse
    run = MonthRun(
        month,
        run_id,
        charge_old_month=config.charge_old_month,
        starter=starter_of(context.instance, context.run),
        log=context.log.info,
        clock=billing.clock,
    )
    try:
        done = finalise_and_charge(warehouse, stripe.gateway(), run, billing.settings.charging)
        # the payments were made just now: what events tell of them is on its way
        compared = unless_unanswered(
            lambda: compare_with_stripe(
                warehouse, stripe.gateway(), run_id, billing.clock(), month=month, with_events=False
            )
        )
    except GatesNotPassed as error:
        unmet = [{"gate": f"{u.asset}.{u.check}", "why": u.problem} for u in error.unmet]
        raise dg.Failure(
            description=str(error), metadata={"unmet": sample_table(unmet)}, allow_retries=False
        ) from error
    except ApprovalMissing as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    except StripeFailure as failure:
        raise dg.Failure(description=f"Stripe: {failure}", allow_retries=False) from failure
    for brake in done.brakes:
        context.log.warning(brake.for_log(month))
    finalised, charged = done.finalised, done.charged
    yield dg.MaterializeResult(
        metadata={
            **table_metadata(warehouse, "stripe_charges", sum(part.count for part in charged.by_state)),
            **_totals(charged),
            "released_from": ", ".join(brake.code for brake in done.released_from) or "nothing",
            "finalised_now": finalised.count,
            "on_hold": ", ".join(finalised.skipped.get("on_hold", ())) or "nobody",
            "kept_as_drafts": {reason: len(customers) for reason, customers in finalised.skipped.items()},
            "holds": markdown_table(_holds(warehouse, month)),
            "charged_now": charged.worked_on,
            "in_other_hands": charged.in_other_hands,
            "pending": dict(charged.pending),
            "brakes": "; ".join(map(str, done.brakes)) or "none",
            "stripe_calls": charged.calls,
            "seconds": round(charged.seconds, 1),
            "charges_by_state": markdown_table(_by_state(charged)),
            "open_invoices": markdown_table(report(warehouse, "charging/open_invoices", month)),
        },
        check_results=[
            _settled(done, month),
            _unbraked(done, month),
            agreement(compared, waiting=done.is_pending),
        ],
    )
    if finalised.count:
        work_out_after_charging(context, warehouse)
    waiting = [brake for brake in done.brakes if brake.code not in LETS_GO_BY_ITSELF]
    if waiting:
        raise dg.Failure(description=HELD_BACK + "; ".join(map(str, waiting)), allow_retries=False)


def _settled(done: MonthCharged, month: date) -> dg.AssetCheckResult:
    verified = done.verified
    if isinstance(verified, StripeFailure):
        return dg.AssetCheckResult(
            check_name=SETTLED,
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"not known, Stripe could not be asked: {verified}",
            metadata=what_to_do(SETTLED, month),
        )
    # what waits for the next pass, or is another run's, is pending; only what contradicts Stripe is an error
    sample = [{"invoice": found.number, "problem": found.problem} for found in verified[:20]]
    return dg.AssetCheckResult(
        check_name=SETTLED,
        passed=not verified,
        severity=dg.AssetCheckSeverity.WARN
        if done.is_pending and all(found.waiting for found in verified)
        else dg.AssetCheckSeverity.ERROR,
        description=f"{verified[0].number} {verified[0].problem}; {len(verified)} in all" if verified else None,
        metadata={
            "failing_rows": len(verified),
            **({"sample": sample_table(sample), **what_to_do(SETTLED, month)} if sample else {}),
        },
    )


def _unbraked(done: MonthCharged, month: date) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=BRAKES,
        passed=not done.brakes,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(map(str, done.brakes)) or None,
        metadata={
            **{brake.code: _kept(done, brake.code) for brake in done.brakes},
            **(what_to_do(BRAKES, month) if done.brakes else {}),
        },
    )


def _kept(done: MonthCharged, code: str) -> int:
    """How many charges, or drafts, the brake kept; 0: the month as a whole."""
    drafts = done.finalised.skipped.get(code.removeprefix("drafts_"), ())
    return len(drafts) or done.charged.pending.get(code, 0)


def _totals(charged: ChargeReport) -> dict[str, str]:
    return {
        f"total_paid_{currency}": format_minor(amount, currency)
        for currency, amount in charged.amounts_minor("paid").items()
    }


def _holds(warehouse: Warehouse, month: date) -> list[dict[str, object]]:
    return [
        {name: getattr(hold, name) for name in ("kind", "subject", "drafts", "uncharged", "author", "reason")}
        for hold in active_holds(warehouse, month)
    ]


def _by_state(charged: ChargeReport) -> list[dict[str, object]]:
    return [
        {
            "state": part.state,
            "reason": part.reason_code or "",
            "invoices": part.count,
            "amount_minor": part.amount_minor,
            "currency": part.currency,
        }
        for part in charged.by_state
    ]
