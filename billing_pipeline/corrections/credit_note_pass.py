"""One credit note, step by step, to a definite answer of Stripe's; the steps are decided in rules/crediting.py."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from billing_pipeline.charging.rules import decisions
from billing_pipeline.corrections.credit_note_store import CreditNoteChange, CreditNoteStore
from billing_pipeline.corrections.rules import crediting
from billing_pipeline.corrections.rules.crediting import CreditNote, Seen, idempotency_key, next_step
from billing_pipeline.stripe_gateway.rules.correcting_api import CreditNoteApi
from billing_pipeline.stripe_gateway.rules.errors import Outcome, StripeFailure

STEPS_MAX = 30
UNKNOWN_MAX = 3
"""Lost answers in one pass, then the next pass goes on."""
PAUSE_FIRST_S = 0.2


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a pass left a credit note. `pending`: the next pass goes on with it."""

    number: str
    invoice_id: str
    state: str
    reason_code: str | None = None
    reason: str | None = None
    pending: bool = False


class CreditNotePass:
    """The work on one credit note: what is known of it so far, and the next step, until it ends with a Sent.

    Whoever runs it holds the lock of the note's invoice, on the store's autocommit connection.
    """

    def __init__(
        self,
        store: CreditNoteStore,
        api: CreditNoteApi,
        note: CreditNote,
        body: dict[str, Any],
        seen: Seen,
        sleep: Callable[[float], object],
    ) -> None:
        self._store = store
        self._api = api
        self._note = note
        self._body = body
        self._sleep = sleep
        self._seen = seen
        self._unknown = 0

    def run(self) -> Sent:
        """Step by step until there is nothing to do now."""
        for _ in range(STEPS_MAX):
            done = self._do(next_step(self._note, self._seen))
            if done is not None:
                return done
        return self._pending("too_many_steps")

    def _do(self, step: crediting.Step) -> Sent | None:
        match step:
            case decisions.Stop():
                return self._sent()
            case decisions.Look():
                return self._look()
            case crediting.Create():
                return self._create()
            case decisions.RaiseAttempt():
                self._note = self._store.change(
                    self._note,
                    CreditNoteChange(
                        "credit_note.raise_attempt", attempt=self._note.attempt + 1, log_note="key of create"
                    ),
                )
                self._seen = replace(self._seen, burnt=False)
                return None
            case crediting.Issued(stripe_id):
                self._note = self._store.change(
                    self._note,
                    CreditNoteChange("stripe.credit_note.create", state="issued", stripe_credit_note_id=stripe_id),
                )
                return self._sent()
            case decisions.Refuse(code, reason):
                return self._end("refused", code, reason)
            case decisions.Park(code, reason):
                return self._end("parked", code, reason)

    def _look(self) -> Sent | None:
        try:
            found = self._api.credit_notes_of(self._note.stripe_invoice_id)
            ours = tuple(match for match in found if match.credit_note_id == self._note.credit_note_id)
        except StripeFailure as failure:
            if failure.outcome is Outcome.STOP:
                raise
            if failure.outcome in (Outcome.UNKNOWN, Outcome.RETRY):
                return self._pending(failure.code)
            return self._end("parked", failure.code, str(failure.evidence))
        self._seen = replace(self._seen, matches=ours)
        return None

    def _create(self) -> Sent | None:
        key = idempotency_key(self._note.credit_note_id, self._note.attempt)
        try:
            made = self._api.create_credit_note(self._body, key=key)
        except StripeFailure as failure:
            return self._failed(failure)
        self._seen = replace(self._seen, matches=(made,))
        return None

    def _failed(self, failure: StripeFailure) -> Sent | None:
        evidence = failure.evidence
        match failure.outcome:
            case Outcome.STOP:
                raise failure
            case Outcome.REFUSED:
                return self._end("refused", failure.code, str(evidence))
            case Outcome.PARK:
                return self._end("parked", failure.code, str(evidence))
            case Outcome.RETRY:
                # this request was not executed; an earlier one whose answer was lost may have been
                self._record(failure, outcome_unknown=None)
                return self._pending(failure.code)
            case Outcome.ASK:
                self._record(failure)
                self._seen = replace(self._seen, matches=None, burnt=False, contradicted=str(evidence))
                return None
            case Outcome.UNKNOWN:
                self._record(failure, outcome_unknown=True)
                self._seen = replace(self._seen, matches=None, burnt=evidence.replayed, contradicted=None)
                self._unknown += 1
                if self._unknown >= UNKNOWN_MAX and not evidence.replayed:
                    return self._pending(failure.code)
                if not evidence.replayed:
                    self._sleep(PAUSE_FIRST_S * 4 ** (self._unknown - 1))
                return None

    def _record(self, failure: StripeFailure, *, outcome_unknown: bool | None = False) -> None:
        self._note = self._store.change(
            self._note,
            CreditNoteChange(
                "stripe.credit_note.create",
                outcome_unknown=outcome_unknown,
                evidence=failure.evidence.as_json(),
                log_note=failure.code,
            ),
        )

    def _end(self, state: str, code: str, reason: str) -> Sent:
        self._note = self._store.change(
            self._note, CreditNoteChange(f"credit_note.{state}", state=state, reason_code=code, reason=reason)
        )
        return self._sent(code, reason)

    def _sent(self, code: str | None = None, reason: str | None = None) -> Sent:
        return Sent(self._note.number, self._note.invoice_id, self._note.state, code, reason)

    def _pending(self, code: str) -> Sent:
        return Sent(self._note.number, self._note.invoice_id, self._note.state, code, pending=True)
