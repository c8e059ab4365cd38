"""Whether a run may go on with an invoice, and from where; the steps themselves are steps.py's.

Whoever calls holds the invoice's lock, on the same connection as the store: when that connection is lost, so is the
lock, and the error ends the work on the invoice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from billing_pipeline.charging.brakes import PAUSED, UNAVAILABLE, LockLost
from billing_pipeline.charging.rules.charge_change import ChargeChange
from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.charging.rules.next_step import Seen
from billing_pipeline.charging.steps import ChargingPass, Result, Steps, matches_of
from billing_pipeline.charging.store import ChargeMoved, StoredCharge
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice
from billing_pipeline.stripe_gateway.rules.errors import StripeFailure

READS_MAX = 3


@dataclass(frozen=True, slots=True)
class CustomerProblem:
    """Why a customer has no id at Stripe; `definite`: only a person can change that."""

    reason_code: str
    reason: str
    definite: bool


@dataclass(frozen=True, slots=True)
class Retry:
    """A refused charge is tried again: which attempt was refused, and why there is another.

    Of two runs that both want it, the second finds another attempt refused and leaves it alone.
    """

    refused_attempt: int
    cause: str


class InvoiceCharger:
    """Decides what a run does about one invoice, and has its steps done."""

    def __init__(self, within: ChargingPass) -> None:
        self._within = within
        self._store = within.store

    def charge(
        self,
        invoice_id: str,
        listed: Sequence[ListedInvoice] | None,
        problems: Mapping[str, CustomerProblem],
        retry: Retry | None = None,
    ) -> Result:
        """Take the charge as far as it goes.

        Args:
            invoice_id: its charge is read anew, because the lock may have been waited for.
            listed: what the run's bulk listing found with this id; None: the customer's invoices are listed here.
            problems: by customer, why it has no id at Stripe.
            retry: for a refused charge that is tried again, as another attempt; None: it is left alone.
        """
        for _ in range(READS_MAX):
            try:
                return self._once(invoice_id, listed, problems, retry)
            except ChargeMoved:
                continue  # an operator or an event was quicker: decide anew on what is there now
            except LockLost:
                return Result("unknown", "lock_lost", pending=True)
        return Result("unknown", "moved", pending=True)

    def _once(
        self,
        invoice_id: str,
        listed: Sequence[ListedInvoice] | None,
        problems: Mapping[str, CustomerProblem],
        retry: Retry | None,
    ) -> Result:
        stored = self._store.read(invoice_id)
        charge = stored.charge
        again = retry if charge.state == "refused" and retry and retry.refused_attempt == charge.attempt else None
        if charge.state not in WORKABLE and not again:
            return Result(charge.state, stored.reason_code)
        if self._store.is_held(invoice_id):
            return Result(charge.state, "on_hold", pending=True)
        seen = Seen(matches=matches_of(listed) if listed is not None else None)
        if again or (charge.stripe_customer_id is None and not seen.matches):
            # nothing is there to be asked about: while charging is paused the row stays as it is
            try:
                self._store.require_permission(invoice_id)
            except StripeFailure as failure:
                return Result(charge.state, failure.code, pending=True)
        if again:
            retried = ChargeChange("charge.retry", "finalized", attempt=charge.attempt + 1, note=again.cause)
            charge = self._store.change(charge, retried)
        if charge.stripe_customer_id is None:
            if stored.customer_at_stripe is None:
                return self._without_customer(stored, problems.get(charge.customer_id))
            # written before the first call, so that a row without it has never been sent
            begun = ChargeChange("charge.begin", stripe_customer_id=stored.customer_at_stripe)
            charge = self._store.change(charge, begun)
        elif charge.stripe_invoice_id is None:
            # somebody began and was cut off, perhaps after the listing was made
            seen = Seen()
        return Steps(self._within, replace(stored, charge=charge), seen).run()

    def _without_customer(self, stored: StoredCharge, problem: CustomerProblem | None) -> Result:
        if problem is None or not problem.definite:
            code = problem.reason_code if problem else "customer_missing"
            if problem is not None and code not in (PAUSED, UNAVAILABLE, stored.reason_code):
                # nobody could even begin with it: whoever looks finds the reason with the charge
                waits = ChargeChange("charge.wait", reason_code=code, reason=problem.reason)
                self._store.change(stored.charge, waits)
            return Result(stored.charge.state, code, pending=True)
        parked = ChargeChange("charge.park", "parked", reason_code=problem.reason_code, reason=problem.reason)
        self._store.change(stored.charge, parked)
        return Result("parked", problem.reason_code)
