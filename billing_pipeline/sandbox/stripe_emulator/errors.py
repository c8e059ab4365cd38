"""Stripe's error bodies, and one constructor for each case that more than one module raises.

A wording that only one operation uses stays with that operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DOCUMENTED_CODES = frozenset(
    {
        "amount_too_large", "amount_too_small", "authentication_required", "balance_insufficient",
        "card_declined", "charge_already_refunded", "expired_card", "idempotency_key_in_use", "incorrect_cvc",
        "invoice_not_editable", "invoice_payment_intent_requires_action", "parameter_invalid_empty",
        "parameter_invalid_integer", "parameter_missing", "parameter_unknown", "parameters_exclusive",
        "processing_error", "rate_limit", "resource_already_exists", "resource_missing", "url_invalid",
    }
)  # fmt: skip
"""Codes with a page under https://docs.stripe.com/error-codes; only those get a ``doc_url``."""


class StripeError(Exception):
    """An answer other than 2xx.

    ``keep_effects`` is true for a refusal that has happened for real (a declined card leaves a failed charge
    behind): what the request wrote is then committed together with the answer.
    """

    def __init__(
        self,
        status: int,
        type_: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        keep_effects: bool = False,
        **fields: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keep_effects = keep_effects
        self.fields = {"message": message, "type": type_, "code": code, "param": param, **fields}

    def body(self) -> Mapping[str, Any]:
        """The JSON object Stripe would send: fields without a value are left out."""
        error = {name: value for name, value in sorted(self.fields.items()) if value is not None}
        if error.get("code") in DOCUMENTED_CODES:
            error["doc_url"] = f"https://docs.stripe.com/error-codes#{error['code'].replace('_', '-')}"
        return {"error": error}


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> StripeError:
    """400: the request can't be carried out as it stands."""
    return StripeError(400, "invalid_request_error", message, code=code, param=param)


def missing(kind: str, object_id: str, param: str = "id") -> StripeError:
    """The named object does not exist: 404 when the URL names it, 400 when a parameter does."""
    status = 404 if param == "id" else 400
    message = f"No such {kind}: '{object_id}'"
    return StripeError(status, "invalid_request_error", message, code="resource_missing", param=param)


def unsupported(what: str) -> StripeError:
    """Real Stripe can do it, the emulator can't: said loudly, because a silent success would be a lie."""
    return invalid(f"The Stripe emulator does not implement {what}.", code="emulator_unsupported")


def unauthorised(message: str) -> StripeError:
    """401: no key, or one that must never come here."""
    return StripeError(401, "invalid_request_error", message)


def unknown_url(method: str, path: str) -> StripeError:
    """404 for a route that doesn't exist, in Stripe's words."""
    message = (
        f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the "
        "trailing slash. If you are trying to retrieve an object, make sure you passed a valid "
        "(non-empty) identifier in your code. Please see https://docs.stripe.com/api or we can help at "
        "https://support.stripe.com/."
    )
    return StripeError(404, "invalid_request_error", message)


def rate_limited() -> StripeError:
    """429."""
    message = "Request rate limit exceeded. Learn more about rate limits here: https://docs.stripe.com/rate-limits."
    return StripeError(429, "invalid_request_error", message, code="rate_limit")


def server_error() -> StripeError:
    """500: the caller can't know whether anything happened."""
    message = "An unknown error occurred; the request may or may not have taken effect."
    return StripeError(500, "api_error", message)
