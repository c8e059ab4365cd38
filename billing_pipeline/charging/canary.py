"""Canaries: a month's first charges go ahead, and the rest follows when they ended as expected.

What is expected is decided in rules/brakes.py. A release is kept in billing.charge_releases, so that later passes do
not ask again; invoices that are finalised after it have canaries of their own.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from threading import Event
from typing import Any

from sqlalchemy import text

from billing_pipeline.charging.follow_ups import hasten
from billing_pipeline.charging.rules.brakes import Brake, Canary, Limits, canary_count, canary_verdict
from billing_pipeline.charging.store import CHARGER, MonthCharge, charges_of
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.postgres.worker_pool import work_through
from billing_pipeline.stripe_gateway.rules.api import StripeApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure


@dataclass(frozen=True, slots=True)
class Order:
    """Which charges go first and which wait for them; `canaries` are compared before the rest is released."""

    first: list[str]
    rest: list[str]
    canaries: frozenset[str]


def order(charges: Sequence[MonthCharge], going: Collection[str], held: Collection[str]) -> Order:
    """Who goes first.

    Args:
        charges: all of the month, in the order of their numbers; those that have an answer may be canaries too.
        going: ids of those that this run works on.
        held: ids of those that another brake holds back: they would keep the rest waiting for ever.
    """
    unreleased = [charge.invoice_id for charge in charges if not charge.released and charge.invoice_id not in held]
    canaries = frozenset(unreleased[: canary_count(len(unreleased))])
    behind = frozenset(unreleased) - canaries
    mine = [charge.invoice_id for charge in charges if charge.invoice_id in going]
    return Order(
        first=[invoice_id for invoice_id in mine if invoice_id not in behind],
        rest=[invoice_id for invoice_id in mine if invoice_id in behind],
        canaries=canaries,
    )


def compare(
    warehouse: Warehouse,
    api: StripeApi,
    month: date,
    canaries: Collection[str],
    limits: Limits,
    run_id: str,
    *,
    workers: int,
) -> Brake | None:
    """Compare the canaries with expectations and release the month if they meet them; else the brake that stays on.

    Stripe is asked for each, in that many threads: nothing else is charged meanwhile.

    Raises:
        StripeFailure: Stripe does not accept the key.
    """
    charges = charges_of(warehouse, month)

    @contextmanager
    def look() -> Iterator[Callable[[MonthCharge], Canary]]:
        try:
            yield lambda charge: Canary(
                charge.number,
                charge.state,
                charge.reason_code,
                _differs(api, charge),
                waits_for_bank=charge.waits_for_bank,
            )
        finally:
            api.close()

    chosen = [charge for charge in charges if charge.invoice_id in canaries]
    try:
        seen = work_through(chosen, look, workers=workers, stop=Event(), progress=lambda _: None)
    except StripeFailure as failure:
        if failure.outcome not in (Outcome.UNKNOWN, Outcome.RETRY):
            raise
        return Brake("canary_unsettled", f"the first charges cannot be compared with Stripe's: {failure}")
    if len(seen) < len(canaries):
        return Brake("canary_unsettled", "some of the first charges are gone: the database has lost a commit")
    brake = canary_verdict(sorted(seen, key=lambda canary: canary.number), limits)
    if brake is None:
        refused = sum(canary.state == "refused" for canary in seen)
        why = Signature(CHARGER, f"{len(seen)} charges ended as expected, {refused} of them refused")
        through = charges[-1].invoice_number
        _release(warehouse, month, through, why, canaries=len(seen), refused=refused, run_id=run_id)
    return brake


def release_month(warehouse: Warehouse, month: date, signature: Signature) -> int:
    """Let all of the month's charges go, whatever became of its canaries; returns how many waited.

    Raises:
        UserError: none waits.
    """
    waiting = [charge for charge in charges_of(warehouse, month) if not charge.released]
    if not waiting:
        raise UserError(f"month {month:%Y-%m} has no charge that waits for a release")
    _release(warehouse, month, waiting[-1].invoice_number, signature)
    hasten(warehouse, datetime.now(UTC))
    return len(waiting)


def unreleased_months(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Months with charges that nothing was begun of and that are not released: `billing_month`, `charges`."""
    return warehouse.rows(_UNRELEASED)


_UNRELEASED = """
SELECT c.billing_month, count(*) AS charges
FROM billing.stripe_charges AS c JOIN billing.invoices AS i USING (invoice_id)
WHERE c.state = 'intended' AND i.invoice_number > coalesce((
    SELECT max(r.through_number) FROM billing.charge_releases AS r WHERE r.billing_month = c.billing_month
), 0)
GROUP BY c.billing_month
ORDER BY c.billing_month
"""
_EXPECTED = {"paid": ("paid",), "refused": ("open", "paid"), "finalized": ("open", "paid")}
"""State of a charge -> states of Stripe's invoice: one that is refused, or waits for a bank, may be paid meanwhile."""


def _differs(api: StripeApi, charge: MonthCharge) -> str | None:
    """How Stripe's invoice is not as our charge says; None where they agree or ours has no answer to compare."""
    if charge.state not in _EXPECTED or (charge.state == "finalized" and not charge.waits_for_bank):
        return None
    invoice = api.retrieve_invoice(str(charge.stripe_invoice_id))
    if (invoice.total_minor, invoice.currency) != (charge.amount_minor, charge.currency):
        ours = f"{charge.amount_minor} {charge.currency}"
        return f"{invoice.id} has a total of {invoice.total_minor} {invoice.currency}, ours is {ours}"
    if invoice.invoice_id != charge.invoice_id:
        return f"{invoice.id} is of invoice {invoice.invoice_id}"
    if invoice.status not in _EXPECTED[charge.state]:
        return f"{invoice.id} is {invoice.status} at Stripe, ours is {charge.state}"
    return None


def _release(
    warehouse: Warehouse,
    month: date,
    through_number: int,
    signature: Signature,
    *,
    canaries: int = 0,
    refused: int = 0,
    run_id: str | None = None,
) -> None:
    parameters = {
        **asdict(signature),
        "month": month,
        "through_number": through_number,
        "canaries": canaries,
        "refused": refused,
        "run_id": run_id,
    }
    with warehouse.transaction() as connection:
        connection.execute(text(load_sql("charging/release_month.sql")), parameters)
