"""One invoice, step by step, to a definite answer: does what rules/next_step.py decides, and records every answer.

No transaction is open during a call. The answer of a call is committed before the next one is made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from billing_pipeline.charging.payments import record_payment
from billing_pipeline.charging.rules.charge_at_stripe import bank_payment_of
from billing_pipeline.charging.rules.charge_change import ChargeChange, evidence_of
from billing_pipeline.charging.rules.charging import Operation, idempotency_key
from billing_pipeline.charging.rules.decisions import Look, Park, RaiseAttempt, Refuse, Stop
from billing_pipeline.charging.rules.next_step import Adopt, Ask, Call, Move, Seen, Step, Wait, next_step
from billing_pipeline.charging.store import ChargeStore, StoredCharge
from billing_pipeline.invoicing.rules.charge_request import parse_request
from billing_pipeline.stripe_gateway.rules.api import ListedInvoice, StripeApi, StripeInvoice
from billing_pipeline.stripe_gateway.rules.errors import Evidence, Outcome, StripeFailure

STEPS_MAX = 60
UNKNOWN_MAX = 3
"""Lost answers to one operation in one pass, then the next pass goes on."""
PAUSE_FIRST_S = 0.2


@dataclass(frozen=True, slots=True)
class Result:
    """Where a pass left a charge. `pending`: the next pass goes on with it; the reason says what it waits for."""

    state: str
    reason_code: str | None = None
    pending: bool = False


def matches_of(found: Sequence[ListedInvoice]) -> tuple[str, ...]:
    """Ids of the invoices at Stripe that stand for ours; a voided one only if there is no other."""
    return tuple(invoice.id for invoice in found if invoice.is_live) or tuple(invoice.id for invoice in found)


@dataclass(frozen=True, slots=True)
class ChargingPass:
    """What a pass over an invoice works with.

    Args:
        store: the charges, on the connection that holds the invoice's lock.
        api: Stripe.
        created_gte: Unix time from which Stripe's invoices are listed.
        sleep: waits between repetitions, in seconds.
        stopping: whether the run is to end; asked before every step.
    """

    store: ChargeStore
    api: StripeApi
    created_gte: int
    sleep: Callable[[float], object]
    stopping: Callable[[], bool]


class Steps:
    """What one pass over an invoice has learned, and what it does with it.

    Args:
        within: what it works with.
        stored: the charge as it is.
        seen: what is known of it at Stripe.
    """

    def __init__(self, within: ChargingPass, stored: StoredCharge, seen: Seen) -> None:
        self._store = within.store
        self._api = within.api
        self._within = within
        self._charge = stored.charge
        self._seen = seen
        self._body, self._lines = parse_request(stored.request_body)
        self._unknown: dict[Operation, int] = {}
        self._answered: Operation | None = None

    def run(self) -> Result:
        """Step by step until there is nothing to do now."""
        for _ in range(STEPS_MAX):
            if self._within.stopping():
                return self._pending("stopped")
            step = next_step(self._charge, self._seen)
            result = self._do(step)
            if result is not None:
                return result
        return self._pending("too_many_steps")

    def _do(self, step: Step) -> Result | None:
        match step:
            case Stop():
                return Result(self._charge.state)
            case Wait(reason_code, payment_intent_id):
                self._record(ChargeChange(self._action(), note=reason_code, bank_payment_id=payment_intent_id))
                return self._pending(reason_code)
            case Look() | Ask():
                return self._ask(step)
            case Call(operation):
                return self._call(operation)
            case Park(reason_code, reason):
                return self._end("parked", reason_code, reason)
            case Refuse(reason_code, reason):
                return self._end("refused", reason_code, reason)
            case Adopt(stripe_invoice_id):
                self._record(ChargeChange("stripe.invoice.adopt", "drafted", stripe_invoice_id=stripe_invoice_id))
            case Move(state, reason_code, reason):
                change = ChargeChange(self._action(), state, reason_code=reason_code, reason=reason)
                self._record(self._showing(change))
                self._record_payments()
            case RaiseAttempt():
                attempt, note = self._charge.attempt + 1, f"key of {self._seen.burnt}"
                self._record(ChargeChange("charge.raise_attempt", attempt=attempt, note=note))
                self._seen = replace(self._seen, burnt=None)
        return None

    def _ask(self, step: Look | Ask) -> Result | None:
        try:
            if isinstance(step, Look):
                found = self._api.list_invoices(self._within.created_gte, self._charge.stripe_customer_id)
                ours = [invoice for invoice in found if invoice.invoice_id == self._charge.invoice_id]
                self._seen = replace(self._seen, matches=matches_of(ours))
            else:
                invoice = self._api.retrieve_invoice(_known(self._charge.stripe_invoice_id))
                self._seen = replace(self._seen, invoice=invoice)
        except StripeFailure as failure:
            if failure.outcome is Outcome.STOP:
                raise
            if failure.outcome in (Outcome.UNKNOWN, Outcome.RETRY):
                return self._pending(failure.code)
            return self._end("parked", failure.code, str(failure.evidence), failure.evidence)
        return None

    def _call(self, operation: Operation) -> Result | None:
        if self._answered is operation:
            # Stripe said yes and its object still shows nothing of it
            return self._pending("no_effect_yet")
        try:
            # on the connection that holds the lock: where that is gone, so is the right to call
            self._store.require_permission(self._charge.invoice_id)
            invoice = self._send(operation)
        except StripeFailure as failure:
            return self._failed(operation, failure)
        self._answered = operation
        self._seen = replace(self._seen, invoice=invoice)
        if operation is Operation.CREATE:
            self._record(ChargeChange(self._action(), "drafted", stripe_invoice_id=invoice.id))
        return None

    def _send(self, operation: Operation) -> StripeInvoice:
        charge = self._charge
        key = idempotency_key(charge.invoice_id, operation, charge.attempt)
        if operation is Operation.CREATE:
            return self._api.create_invoice(self._body, _known(charge.stripe_customer_id), key=key)
        stripe_id = _known(charge.stripe_invoice_id)
        if operation is Operation.LINES:
            return self._api.add_lines(stripe_id, self._lines, key=key)
        if operation is Operation.FINALIZE:
            return self._api.finalize_invoice(stripe_id, key=key)
        return self._api.pay_invoice(stripe_id, key=key)

    def _failed(self, operation: Operation, failure: StripeFailure) -> Result | None:
        evidence = failure.evidence
        action = f"stripe.invoice.{operation}"
        if evidence.kind == "brake":
            return self._pending(failure.code)
        match failure.outcome:
            case Outcome.STOP:
                raise failure
            case Outcome.REFUSED if operation is Operation.PAY:
                return self._end("refused", failure.code, str(evidence), evidence, action)
            case Outcome.REFUSED | Outcome.PARK:
                return self._end("parked", failure.code, str(evidence), evidence, action)
            case Outcome.RETRY:
                # not executed; but an earlier one that was lost still may have been
                self._record(ChargeChange(action, note=failure.code, outcome_unknown=None), evidence)
                return self._pending(failure.code)
            case Outcome.ASK:
                self._record(ChargeChange(action, note=failure.code), evidence)
                self._forget(operation)
                self._seen = replace(self._seen, contradicted=(operation, evidence))
                return None
            case Outcome.UNKNOWN:
                return self._lost(operation, failure, action)

    def _lost(self, operation: Operation, failure: StripeFailure, action: str) -> Result | None:
        self._record(ChargeChange(action, note=failure.code, outcome_unknown=True), failure.evidence)
        self._forget(operation)
        times = self._unknown[operation] = self._unknown.get(operation, 0) + 1
        if failure.evidence.replayed:
            self._seen = replace(self._seen, burnt=operation)
        elif times >= UNKNOWN_MAX:
            return self._pending(failure.code)
        else:
            self._within.sleep(PAUSE_FIRST_S * 4 ** (times - 1))
        return None

    def _forget(self, operation: Operation) -> None:
        """What was seen before the call may no longer be so."""
        matches = None if operation is Operation.CREATE else self._seen.matches
        self._seen = replace(self._seen, invoice=None, matches=matches)

    def _action(self) -> str:
        return f"stripe.invoice.{self._answered or 'retrieve'}"

    def _end(
        self, state: str, reason_code: str, reason: str, evidence: Evidence | None = None, action: str | None = None
    ) -> Result:
        bank_payment_id = None
        if evidence is not None and evidence.kind == "debit":
            bank_payment_id = evidence.payment_intent_id
        elif state == "refused" and self._seen.invoice is not None:
            bank_payment_id = bank_payment_of(self._seen.invoice)
        change = ChargeChange(
            action or self._action(), state, reason_code=reason_code, reason=reason, bank_payment_id=bank_payment_id
        )
        self._record(self._showing(change), evidence)
        return Result(state, reason_code)

    def _showing(self, change: ChargeChange) -> ChargeChange:
        return change.showing(self._seen.invoice) if self._seen.invoice is not None else change

    def _record(self, change: ChargeChange, evidence: Evidence | None = None) -> None:
        """Write it; the evidence is the answer that is given, or the invoice as it was seen."""
        shown: dict[str, Any] = {}
        if evidence is not None:
            shown = evidence.as_json()
        elif self._seen.invoice is not None:
            shown = evidence_of(self._seen.invoice)
        self._charge = self._store.change(self._charge, replace(change, evidence=shown))
        if change.state is not None:
            self._answered = None
            self._unknown.clear()

    def _record_payments(self) -> None:
        """What was paid, as the answer showed it; where that is lost, the payment's event tells of it."""
        invoice = self._seen.invoice
        for payment in invoice.payments if invoice is not None and self._charge.state == "paid" else ():
            with self._store.turn() as connection:
                record_payment(connection, self._charge.invoice_id, payment)

    def _pending(self, reason_code: str) -> Result:
        return Result(self._charge.state, reason_code, pending=True)


def _known(stripe_id: str | None) -> str:
    if stripe_id is None:
        raise RuntimeError("a step was taken that needs an id at Stripe, and there is none")
    return stripe_id
