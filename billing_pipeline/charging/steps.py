"""One invoice, step by step, to a definite answer: does what rules/charging.py decides, and records every answer.

No transaction is open during a call. The answer of a call is committed before the next one is made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from billing_pipeline.charging.rules import charging, decisions
from billing_pipeline.charging.rules.charging import Operation, Seen, idempotency_key, next_step
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


class Steps:
    """What one pass over an invoice knows, and what it does with it.

    Args:
        store: the charges, on the connection that holds the lock.
        api: Stripe.
        stored: the charge as it is.
        seen: what is known of it at Stripe.
        created_gte: Unix time from which Stripe's invoices are listed.
        sleep: waits between repetitions.
        stopping: whether the run is to end; asked before every step.
    """

    def __init__(
        self,
        store: ChargeStore,
        api: StripeApi,
        stored: StoredCharge,
        seen: Seen,
        created_gte: int,
        sleep: Callable[[float], object],
        stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._api = api
        self._created_gte = created_gte
        self._sleep = sleep
        self._stopping = stopping
        self._charge = stored.charge
        self._seen = seen
        self._body, self._lines = parse_request(stored.request_body)
        self._unknown: dict[Operation, int] = {}
        self._answered: Operation | None = None

    def run(self) -> Result:
        """Step by step until there is nothing to do now."""
        for _ in range(STEPS_MAX):
            if self._stopping():
                return self._pending("stopped")
            step = next_step(self._charge, self._seen)
            result = self._do(step)
            if result is not None:
                return result
        return self._pending("too_many_steps")

    def _do(self, step: charging.Step) -> Result | None:
        match step:
            case decisions.Stop():
                return Result(self._charge.state)
            case charging.Wait(reason_code):
                self._record(self._action(), note=reason_code)
                return self._pending(reason_code)
            case decisions.Look() | charging.Ask():
                return self._ask(step)
            case charging.Call(operation):
                return self._call(operation)
            case decisions.Park(reason_code, reason):
                return self._end("parked", reason_code, reason)
            case decisions.Refuse(reason_code, reason):
                return self._end("refused", reason_code, reason)
            case charging.Adopt(stripe_invoice_id):
                self._record("stripe.invoice.adopt", state="drafted", stripe_invoice_id=stripe_invoice_id)
            case charging.Move(state):
                self._record(self._action(), state=state, **self._amount_seen())
            case decisions.RaiseAttempt():
                self._record(
                    "charge.raise_attempt", attempt=self._charge.attempt + 1, note=f"key of {self._seen.burnt}"
                )
                self._seen = replace(self._seen, burnt=None)
        return None

    def _ask(self, step: decisions.Look | charging.Ask) -> Result | None:
        try:
            if isinstance(step, decisions.Look):
                found = self._api.list_invoices(self._created_gte, self._charge.stripe_customer_id)
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
            self._record(self._action(), state="drafted", stripe_invoice_id=invoice.id)
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
                self._record(action, evidence=evidence, note=failure.code, outcome_unknown=None)
                return self._pending(failure.code)
            case Outcome.ASK:
                self._record(action, evidence=evidence, note=failure.code)
                self._forget(operation)
                self._seen = replace(self._seen, contradicted=(operation, evidence))
                return None
            case Outcome.UNKNOWN:
                return self._lost(operation, failure, action)

    def _lost(self, operation: Operation, failure: StripeFailure, action: str) -> Result | None:
        self._record(action, evidence=failure.evidence, note=failure.code, outcome_unknown=True)
        self._forget(operation)
        times = self._unknown[operation] = self._unknown.get(operation, 0) + 1
        if failure.evidence.replayed:
            self._seen = replace(self._seen, burnt=operation)
        elif times >= UNKNOWN_MAX:
            return self._pending(failure.code)
        else:
            self._sleep(PAUSE_FIRST_S * 4 ** (times - 1))
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
        self._record(
            action or self._action(),
            state=state,
            reason_code=reason_code,
            reason=reason,
            evidence=evidence,
            **self._amount_seen(),
        )
        return Result(state, reason_code)

    def _amount_seen(self) -> dict[str, Any]:
        invoice = self._seen.invoice
        if invoice is None:
            return {}
        return {"stripe_total_minor": invoice.total_minor, "stripe_currency": invoice.currency}

    def _record(self, action: str, *, evidence: Evidence | None = None, **changes: Any) -> None:
        shown: dict[str, Any] = evidence.as_json() if evidence is not None else {}
        if evidence is None and self._seen.invoice is not None:
            shown = {"stripe_invoice": self._seen.invoice.id, "status": self._seen.invoice.status}
        self._charge = self._store.change(self._charge, action, evidence=shown, **changes)
        if "state" in changes:
            self._answered = None
            self._unknown.clear()

    def _pending(self, reason_code: str) -> Result:
        return Result(self._charge.state, reason_code, pending=True)


def _known(stripe_id: str | None) -> str:
    if stripe_id is None:
        raise RuntimeError("a step was taken that needs an id at Stripe, and there is none")
    return stripe_id
