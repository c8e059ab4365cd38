"""What a month's charging run does, from drafts to payments: age and pause, approval, finalising, charging, looking.

Whoever starts it (the asset `stripe_charges`) shows what it returns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from sqlalchemy import text

from billing_pipeline.charging.brakes import PAUSED, limits_of, read_brakes
from billing_pipeline.charging.circuit_breaker import guarded, utc_now
from billing_pipeline.charging.month import charge_invoices_of_month
from billing_pipeline.charging.month_verification import Discrepancy, verify_month
from billing_pipeline.charging.report import ChargeReport
from billing_pipeline.charging.rules.brakes import Brake, distinct, drafts_waiting, month_too_old
from billing_pipeline.charging.run_options import RunOptions
from billing_pipeline.invoicing.finalisation import Finalised, finalise_month
from billing_pipeline.invoicing.finalisation_policy import set_finalisation_policy
from billing_pipeline.invoicing.starter import UNKNOWN, Starter
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings.charging import ChargingSettings
from billing_pipeline.stripe_gateway.rules.api import StripeApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class MonthRun:
    """What a run wants with a month.

    `charge_old_month`: whatever its age. `starter`: who started it; where approvals are needed, others give them.
    """

    month: date
    run_id: str
    charge_old_month: bool = False
    starter: Starter = UNKNOWN
    log: Callable[[str], None] = lambda _: None
    clock: Callable[[], datetime] = utc_now


@dataclass(frozen=True, slots=True)
class MonthCharged:
    """What the run did.

    `verified`: what is wrong with the month's invoices beside Stripe's list; the failure, if Stripe did not say.
    `brakes`: those that held anything back, finalising included. `released_from`: those that the run was let past.
    """

    finalised: Finalised
    charged: ChargeReport
    verified: list[Discrepancy] | StripeFailure
    brakes: tuple[Brake, ...]
    released_from: tuple[Brake, ...] = ()

    @property
    def is_pending(self) -> bool:
        """Whether something waits for the next pass or is another run's: that is no contradiction."""
        return bool(self.charged.in_other_hands or self.charged.pending or self.brakes)


def finalise_and_charge(
    warehouse: Warehouse, api: StripeApi, run: MonthRun, settings: ChargingSettings
) -> MonthCharged:
    """Finalise the month's drafts, if every gate passed for exactly these rows, and charge what is not charged yet.

    Nothing is finalised while charging is paused or if the month is too old; what is final already is still asked
    about. Running it again asks Stripe first and charges nobody twice.

    Raises:
        GatesNotPassed: with every unmet gate; nothing was finalised or charged.
        ApprovalMissing: the month needs one.
        StripeFailure: Stripe does not accept the key.
    """
    api = guarded(api, warehouse, run.clock)
    held_back, released_from = _not_to_be_finalised(warehouse, run, settings)
    for brake in released_from:
        _log_release(warehouse, run, brake)
    finalised = Finalised(0)
    if not held_back:
        set_finalisation_policy(
            warehouse,
            author="settings of the code location",
            require_approval=settings.require_approval,
            review_hours=settings.review_hours,
            charge_as_approved=settings.charge_as_approved,
        )
        finalised = finalise_month(warehouse, run.month, run.run_id, starter=run.starter)
    run.log(f"{finalised.count:,} invoices finalised")
    too_old = any(brake.code != PAUSED for brake in held_back)
    options = RunOptions(
        log=run.log, limits=limits_of(settings), clock=run.clock, only=frozenset() if too_old else None
    )
    charged = charge_invoices_of_month(warehouse, api, run.month, run.run_id, options)
    verified = unless_unanswered(lambda: verify_month(warehouse, api, run.month))
    waiting = drafts_waiting({reason: len(customers) for reason, customers in finalised.skipped.items()})
    return MonthCharged(
        finalised, charged, verified, tuple(distinct([*held_back, *waiting, *charged.brakes])), tuple(released_from)
    )


def _not_to_be_finalised(
    warehouse: Warehouse, run: MonthRun, settings: ChargingSettings
) -> tuple[list[Brake], list[Brake]]:
    """The brakes that keep drafts from being finalised (age, a pause), and those that the run was let past."""
    too_old = month_too_old(run.month, run.clock().date(), settings.charge_age_max_days)
    if too_old is not None and not run.charge_old_month:
        return [too_old], []
    paused = [brake for brake in read_brakes(warehouse).on() if brake.code == PAUSED]
    return paused, [too_old] if too_old is not None else []


def _log_release(warehouse: Warehouse, run: MonthRun, brake: Brake) -> None:
    """Write into the audit log what the run was let past, and by whom."""
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "SELECT billing.log_action(:actor, 'month.release', 'month', CAST(:month AS text), :reason,"
                " run_id => :run_id, state_after => jsonb_build_object('released_from', CAST(:code AS text)))"
            ),
            {
                "actor": run.starter.name,
                "month": run.month,
                "reason": brake.says,
                "run_id": run.run_id,
                "code": brake.code,
            },
        )


def unless_unanswered(question: Callable[[], _Answer]) -> _Answer | StripeFailure:
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
