"""What an answer other than success means for a charge: one closed table.

A row a case; whatever is not in the table parks the invoice with its evidence. Here: the meaning. Not here: how the
SDK raises it (stripe_gateway/calls.py), and what is done about it (charging/steps.py, and
corrections/credit_note_pass.py).

Sources: https://docs.stripe.com/error-codes, https://docs.stripe.com/declines/codes,
https://docs.stripe.com/error-low-level (a 5xx may have taken effect; it is stored under its key and replayed),
https://docs.stripe.com/payments/ach-direct-debit/blocked-bank-accounts (codes of debits).
"""

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What is known after a call that did not succeed."""

    REFUSED = "refused"
    """Definite: no money moved, and none will by this attempt."""
    RETRY = "retry"
    """Definite: the request was not executed; the same request may be sent again."""
    UNKNOWN = "unknown"
    """It may or may not have taken effect: ask."""
    ASK = "ask"
    """Definite, but Stripe's object is not as we believed: ask."""
    PARK = "park"
    """A mistake of ours or a case that nobody thought of: a person looks at it."""
    STOP = "stop"
    """Every call would end like this (key, permissions): the run stops, no invoice is touched."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """An answer as it came, without secrets.

    `kind`: card, debit (a bank's refusal, at once or days later), transfer (the customer was told where to send it),
    local (nothing was sent), invalid_request, not_found,
    idempotency, conflict, rate_limit, server, connection, unreadable, authentication, permission, or the SDK's class
    name. `status` is None without an answer. `replayed`: Stripe repeated the stored answer of an earlier request with
    this idempotency key, so that request is over. `payment_intent_id`: the payment that was refused.
    """

    kind: str
    code: str | None = None
    decline_code: str | None = None
    status: int | None = None
    param: str | None = None
    request_id: str | None = None
    message: str = ""
    replayed: bool = False
    payment_intent_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields that say something, for the audit log."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "", False)}

    def __str__(self) -> str:
        codes = "/".join(part for part in (self.kind, self.code, self.decline_code) if part)
        answer = f"HTTP {self.status}" if self.status else "no answer"
        request = f", {self.request_id}" if self.request_id else ""
        return f"{codes} ({answer}{request}): {self.message}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome and, in our words, why."""

    outcome: Outcome
    reason_code: str


class StripeFailure(Exception):  # noqa: N818 - a failure is what it is; the outcome says whether it is an error
    """A call that did not succeed. The text is fit for a log."""

    def __init__(self, verdict: Verdict, evidence: Evidence) -> None:
        super().__init__(f"{verdict.reason_code}: {evidence}")
        self.outcome = verdict.outcome
        self.code = verdict.reason_code
        self.evidence = evidence


ANY = "*"
_Key = tuple[str, str | None, str | None]


def _rows(kind: str, outcome: Outcome, reason: str, *cases: tuple[str | None, str | None]) -> dict[_Key, Verdict]:
    return {(kind, code, decline_code): Verdict(outcome, reason) for code, decline_code in cases}


def _declines(reason: str, codes: str) -> dict[_Key, Verdict]:
    return _rows("card", Outcome.REFUSED, reason, *(("card_declined", code) for code in codes.split()))


def _codes(kind: str, outcome: Outcome, reason: str, codes: str) -> dict[_Key, Verdict]:
    return _rows(kind, outcome, reason, *((code, ANY) for code in codes.split()))


def _debits(reason: str, codes: str) -> dict[_Key, Verdict]:
    named = codes.split()
    return {
        **_codes("debit", Outcome.REFUSED, reason, codes),
        **_rows("debit", Outcome.REFUSED, reason, *((None, code) for code in named)),
    }


TABLE: dict[_Key, Verdict] = {
    # refusals of the card, by decline code; the customer may pay later
    **_rows("card", Outcome.REFUSED, "declined", ("card_declined", None)),
    **_declines(
        "declined",
        "approve_with_id call_issuer card_velocity_exceeded do_not_honor duplicate_transaction generic_decline "
        "issuer_not_available no_action_taken not_permitted processing_error reenter_transaction "
        "service_not_allowed try_again_later withdrawal_count_limit_exceeded",
    ),
    **_declines("insufficient_funds", "insufficient_funds"),
    **_declines("expired_card", "expired_card invalid_expiry_month invalid_expiry_year"),
    **_declines(
        "action_required",
        "authentication_not_handled authentication_required mobile_device_authentication_required",
    ),
    # … or not with this card: trying it again is pointless, or harms our standing with the card networks
    **_declines(
        "declined_for_good",
        "card_not_supported currency_not_supported do_not_try_again fraudulent highest_risk_level incorrect_address "
        "incorrect_cvc incorrect_number incorrect_pin incorrect_zip invalid_account invalid_amount invalid_cvc "
        "invalid_number invalid_pin lost_card merchant_blacklist new_account_information_available "
        "offline_pin_required online_or_offline_pin_required pickup_card pin_try_exceeded restricted_card "
        "revocation_of_all_authorizations revocation_of_authorization security_violation stolen_card "
        "stop_payment_order testmode_decline transaction_not_allowed",
    ),
    **_codes("card", Outcome.REFUSED, "declined", "processing_error card_decline_rate_limit_exceeded"),
    **_codes("card", Outcome.REFUSED, "insufficient_funds", "insufficient_funds"),
    **_codes("card", Outcome.REFUSED, "expired_card", "expired_card invalid_expiry_month invalid_expiry_year"),
    **_codes(
        "card",
        Outcome.REFUSED,
        "declined_for_good",
        "incorrect_cvc incorrect_number incorrect_zip invalid_cvc invalid_number",
    ),
    **_codes(
        "card",
        Outcome.REFUSED,
        "action_required",
        "authentication_required invoice_payment_intent_requires_action",
    ),
    **_codes("invalid_request", Outcome.REFUSED, "action_required", "invoice_payment_intent_requires_action"),
    # no refusal: the customer was told where to send the money, and the invoice shows that it is waited for
    **_rows("transfer", Outcome.ASK, "payment_processing", (ANY, ANY)),
    # refusals by a bank that was asked for a debit or a transfer, whatever the code, and without one
    **_rows("debit", Outcome.REFUSED, "declined", (ANY, ANY)),
    **_debits("insufficient_funds", "insufficient_funds"),
    **_debits(
        "debit_not_authorized",
        "debit_not_authorized payment_intent_mandate_invalid authorization_revoked",
    ),
    **_debits(
        "account_closed",
        "account_closed bank_account_closed bank_account_restricted bank_account_frozen bank_account_unusable "
        "bank_ownership_changed invalid_account_number account_number_invalid no_account "
        "payment_method_bank_account_blocked recipient_deceased routing_number_invalid",
    ),
    **_codes("invalid_request", Outcome.REFUSED, "debit_not_authorized", "payment_intent_mandate_invalid"),
    # no card to charge: `missing` is the code of customers with sources, `resource_missing` that of payment methods
    **_codes("card", Outcome.REFUSED, "no_payment_method", "missing"),
    **_codes("invalid_request", Outcome.REFUSED, "no_payment_method", "missing resource_missing"),
    # no refund: the money went back already, or the card's bank has taken it back
    **_codes("invalid_request", Outcome.REFUSED, "already_refunded", "charge_already_refunded"),
    **_codes("invalid_request", Outcome.REFUSED, "disputed", "charge_disputed"),
    # not executed
    **_rows("rate_limit", Outcome.RETRY, "rate_limited", (ANY, ANY)),
    **_codes("rate_limit", Outcome.RETRY, "lock_timeout", "lock_timeout"),
    # executed or not, nobody knows
    **_rows("connection", Outcome.UNKNOWN, "connection_lost", (ANY, ANY)),
    **_rows("server", Outcome.UNKNOWN, "stripe_error", (ANY, ANY)),
    **_rows("unreadable", Outcome.UNKNOWN, "answer_unreadable", (ANY, ANY)),
    **_rows("conflict", Outcome.UNKNOWN, "still_in_progress", (ANY, ANY)),
    # Stripe has moved on: "Invoice is already paid" has no code in some versions of the API
    **_codes(
        "invalid_request",
        Outcome.ASK,
        "not_as_believed",
        "invoice_already_paid invoice_already_finalized invoice_not_editable invoice_not_open "
        # somebody else's payment of it is under way
        "payment_intent_unexpected_state",
    ),
    **_rows("invalid_request", Outcome.ASK, "not_as_believed", (None, ANY)),
    # mistakes of ours, or of the account's set-up
    **_codes("invalid_request", Outcome.PARK, "customer_missing", "resource_missing:customer"),
    **_codes("invalid_request", Outcome.PARK, "email_not_accepted", "email_invalid"),
    **_codes(
        "invalid_request",
        Outcome.PARK,
        "amount_not_chargeable",
        "amount_too_large amount_too_small invalid_charge_amount",
    ),
    **_codes("invalid_request", Outcome.PARK, "currency_not_chargeable", "invalid_currency currency_not_supported"),
    **_codes(
        "invalid_request",
        Outcome.PARK,
        "request_mistaken",
        "parameter_invalid_empty parameter_invalid_integer parameter_invalid_string_blank "
        "parameter_invalid_string_empty parameter_missing parameter_unknown parameters_exclusive",
    ),
    **_rows("not_found", Outcome.PARK, "missing_at_stripe", (ANY, ANY)),
    **_rows("idempotency", Outcome.PARK, "key_reused", (ANY, ANY)),
    **_rows("local", Outcome.PARK, "request_unsendable", (ANY, ANY)),
    # no invoice's fault
    **_rows("authentication", Outcome.STOP, "key_not_accepted", (ANY, ANY)),
    **_rows("permission", Outcome.STOP, "key_not_allowed", (ANY, ANY)),
}
"""(kind, code, decline code) -> verdict. ANY matches what has no row of its own."""

NOT_IN_TABLE = Verdict(Outcome.PARK, "not_in_error_table")


def classify(evidence: Evidence) -> Verdict:
    """The verdict on an answer; `NOT_IN_TABLE` for a case without a row."""
    code = evidence.code
    if code == "resource_missing" and evidence.param == "customer":
        code = "resource_missing:customer"
    for key in (
        (evidence.kind, code, evidence.decline_code),
        (evidence.kind, code, ANY),
        (evidence.kind, ANY, ANY),
    ):
        if key in TABLE:
            return TABLE[key]
    return NOT_IN_TABLE


_SECRETS = re.compile(r"\b((?:sk|rk|pk|whsec)_)[A-Za-z0-9_*]+|(_secret_)[A-Za-z0-9]+")
MESSAGE_MAX = 500


def without_secrets(message: str) -> str:
    """The message with keys and client secrets blanked, cut to what a log line holds."""
    return _SECRETS.sub(lambda match: f"{match[1] or match[2]}…", " ".join(message.split()))[:MESSAGE_MAX]
