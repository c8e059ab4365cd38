"""Stripe over HTTP: the only place that imports its SDK. Plain values in and out, one exception.

Nothing is decided here but one thing: a call that Stripe did not execute (429) is sent again after a while.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from threading import Lock
from typing import Any, TypeVar, cast

import stripe
from stripe import RequestOptions

from billing_pipeline.adapters.stripe_limits import RateLimits, shared_limits
from billing_pipeline.core.stripe_api import ListedInvoice, StripeCustomer, StripeInvoice
from billing_pipeline.core.stripe_errors import Evidence, Outcome, StripeFailure, classify, without_secrets
from billing_pipeline.settings import EMULATOR_KEY, Settings, SettingsError, is_live_key

_T = TypeVar("_T")
PAGE = 100
RETRIES_MAX = 6
BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 8.0
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 80.0

# Without the payment intent the answer would not say what became of the last attempt to pay.
_EXPAND_PAYMENT = ["payments.data.payment.payment_intent"]

_KINDS: tuple[tuple[type[stripe.StripeError], str], ...] = (
    (stripe.CardError, "card"),
    (stripe.IdempotencyError, "idempotency"),
    (stripe.RateLimitError, "rate_limit"),
    (stripe.AuthenticationError, "authentication"),
    (stripe.PermissionError, "permission"),
    (stripe.APIConnectionError, "connection"),
)


class StripeGateway:
    """Stripe, or the emulator. One instance serves any number of threads; each closes its own connection.

    Args:
        key: the secret key.
        api_base: where the API is; None: Stripe.
        limits: calls a second; None: no limit of ours.
        timeout_s: to connect, and for an answer.
        sleep, jitter: the clock's part in the backoff; jitter gives numbers in [0, 1).

    Raises:
        SettingsError: a live key together with an address that is not Stripe's.
    """

    def __init__(
        self,
        key: str,
        api_base: str | None = None,
        *,
        limits: RateLimits | None = None,
        timeout_s: tuple[float, float] = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if is_live_key(key) and api_base not in (None, stripe.DEFAULT_API_BASE):
            raise SettingsError("a live Stripe key works with api.stripe.com only: refusing to send it elsewhere")
        self._http = stripe.RequestsClient(timeout=timeout_s)
        self._stripe = stripe.StripeClient(
            key,
            base_addresses={"api": api_base} if api_base else {},
            http_client=self._http,
            max_network_retries=0,
        )
        self._limits = limits
        self._sleep = sleep
        self._jitter = jitter
        self._calls = 0
        self._calls_lock = Lock()

    def close(self) -> None:
        """Close the calling thread's connection."""
        self._http.close()  # type: ignore[no-untyped-call]

    @property
    def calls_made(self) -> int:
        """Requests sent so far, pages and repetitions included."""
        return self._calls

    def list_invoices(self, created_gte: int, customer: str | None = None) -> Iterator[ListedInvoice]:
        """All invoices created at or after a Unix time, newest first."""
        params: dict[str, Any] = {"created": {"gte": created_gte}}
        if customer is not None:
            params["customer"] = customer
        for body in self._pages("/v1/invoices", params):
            yield ListedInvoice(
                body["id"],
                (body["metadata"] or {}).get("invoice_id"),
                body["status"],
                body["total"],
                body["currency"],
                _id(body["customer"]),
            )

    def list_customers(self, email: str | None = None) -> Iterator[StripeCustomer]:
        """All customers, or those with this very address, newest first."""
        params = {} if email is None else {"email": email}
        return (_customer(body) for body in self._pages("/v1/customers", params))

    def create_customer(self, customer_id: str, name: str, email: str, *, key: str) -> StripeCustomer:
        """A customer whose metadata holds our key."""
        customers = self._stripe.v1.customers
        return self._object(
            "customers.create",
            _customer,
            lambda: customers.create(
                {"name": name, "email": email, "metadata": {"customer_id": customer_id}}, _options(key)
            ),
        )

    def retrieve_customer(self, stripe_customer_id: str) -> StripeCustomer:
        """A customer as it is now; a deleted one is marked so."""
        customers = self._stripe.v1.customers
        return self._object("customers.retrieve", _customer, lambda: customers.retrieve(stripe_customer_id))

    def create_invoice(self, invoice: Mapping[str, Any], customer: str, *, key: str) -> StripeInvoice:
        """A draft for the customer."""
        params = cast("stripe.params.InvoiceCreateParams", {**invoice, "customer": customer})
        invoices = self._stripe.v1.invoices
        return self._object("invoices.create", _invoice, lambda: invoices.create(params, _options(key)))

    def add_lines(self, stripe_id: str, lines: Sequence[Mapping[str, Any]], *, key: str) -> StripeInvoice:
        """All lines in one call."""
        params = cast("stripe.params.InvoiceAddLinesParams", {"lines": [dict(line) for line in lines]})
        invoices = self._stripe.v1.invoices
        return self._object(
            "invoices.add_lines", _invoice, lambda: invoices.add_lines(stripe_id, params, _options(key))
        )

    def retrieve_invoice(self, stripe_id: str) -> StripeInvoice:
        """An invoice as it is now, with the state of its newest payment."""
        invoices = self._stripe.v1.invoices
        return self._object(
            "invoices.retrieve", _invoice, lambda: invoices.retrieve(stripe_id, {"expand": _EXPAND_PAYMENT})
        )

    def finalize_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """Finalise it, without Stripe's own collection."""
        invoices = self._stripe.v1.invoices
        return self._object(
            "invoices.finalize",
            _invoice,
            lambda: invoices.finalize_invoice(stripe_id, {"auto_advance": False}, _options(key)),
        )

    def pay_invoice(self, stripe_id: str, *, key: str) -> StripeInvoice:
        """One attempt with the customer's default payment method."""
        invoices = self._stripe.v1.invoices
        return self._object(
            "invoices.pay",
            _invoice,
            lambda: invoices.pay(stripe_id, {"expand": _EXPAND_PAYMENT}, _options(key)),
        )

    def _pages(self, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        # raw: the SDK builds objects of every field of every line, which takes longer than Stripe's answer
        after: dict[str, str] = {}
        while True:
            query = {**params, **after, "limit": PAGE}
            answer = self._call(f"{path} list", partial(self._stripe.raw_request, "get", path, **query))
            page = cast("dict[str, Any]", answer.data)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    def _object(
        self, endpoint: str, convert: Callable[[dict[str, Any]], _T], send: Callable[[], stripe.StripeObject]
    ) -> _T:
        # the SDK sets it on whatever a request returned
        answer = cast("stripe.StripeResponse", self._call(endpoint, send).last_response)
        return convert(cast("dict[str, Any]", answer.data))

    def _call(self, endpoint: str, send: Callable[[], _T]) -> _T:
        """Send under the rate limits; 429 is repeated, everything else that fails is raised as it is classified."""
        for tries in range(RETRIES_MAX + 1):
            if self._limits is not None:
                self._limits.wait(endpoint)
            with self._calls_lock:
                self._calls += 1
            try:
                return send()
            except stripe.StripeError as error:
                evidence = _evidence(error)
                verdict = classify(evidence)
                if verdict.outcome is not Outcome.RETRY or tries == RETRIES_MAX:
                    raise StripeFailure(verdict, evidence) from None
            self._sleep(min(BACKOFF_FIRST_S * 2**tries, BACKOFF_MAX_S) * (0.5 + self._jitter()))
        raise AssertionError("unreachable: the last try returns or raises")


def open_gateway(settings: Settings, emulator_base: str | None = None) -> StripeGateway:
    """The gateway that the environment asks for; `emulator_base` is where the emulator is, if one runs.

    Raises:
        SettingsError: there is neither a key nor an address of an emulator.
    """
    base = settings.stripe_api_base or (emulator_base if settings.uses_emulator else None)
    if settings.uses_emulator and base is None:
        raise SettingsError("STRIPE_SECRET_KEY is not set and no emulator runs: expected one of them")
    limits = shared_limits(settings.stripe_calls_per_second, settings.stripe_calls_per_second_per_endpoint)
    return StripeGateway(settings.stripe_key or EMULATOR_KEY, base, limits=limits)


def _options(key: str) -> RequestOptions:
    return {"idempotency_key": key}


def _id(value: Any) -> str:
    return str(value["id"] if isinstance(value, dict) else value)


def _customer(body: dict[str, Any]) -> StripeCustomer:
    settings = body.get("invoice_settings") or {}
    return StripeCustomer(
        body["id"],
        (body.get("metadata") or {}).get("customer_id"),
        deleted=bool(body.get("deleted")),
        has_payment_method=bool(settings.get("default_payment_method") or body.get("default_source")),
    )


def _invoice(body: dict[str, Any]) -> StripeInvoice:
    status, refusal = _payment(body)
    return StripeInvoice(
        id=body["id"],
        invoice_id=(body["metadata"] or {}).get("invoice_id"),
        customer_id=_id(body["customer"]),
        status=body["status"],
        currency=body["currency"],
        total_minor=body["total"],
        has_lines=bool(body["lines"]["data"]),
        payment_status=status,
        refusal=refusal,
    )


def _payment(body: dict[str, Any]) -> tuple[str | None, tuple[str, str | None, str | None] | None]:
    """Status and refusal of the newest payment intent, where the answer was expanded to hold it."""
    payments = (body.get("payments") or {}).get("data") or []
    intents = [(p["created"], p["payment"].get("payment_intent")) for p in payments if p["status"] != "canceled"]
    expanded = [(created, intent) for created, intent in intents if isinstance(intent, dict)]
    if not expanded:
        return None, None
    intent = max(expanded, key=lambda pair: pair[0])[1]
    error = intent.get("last_payment_error")
    if error is not None:
        return intent["status"], ("card", error.get("code"), error.get("decline_code"))
    if intent["status"] == "requires_action":
        return intent["status"], ("card", "authentication_required", None)
    return intent["status"], None


def _evidence(error: stripe.StripeError) -> Evidence:
    detail = error.error
    return Evidence(
        kind=_kind(error),
        code=getattr(detail, "code", None) or error.code,
        decline_code=getattr(detail, "decline_code", None),
        status=error.http_status,
        param=getattr(detail, "param", None),
        request_id=error.request_id,
        message=without_secrets(error.user_message or ""),
        replayed=(error.headers or {}).get("idempotent-replayed") == "true",
    )


def _kind(error: stripe.StripeError) -> str:
    for cls, kind in _KINDS:
        if isinstance(error, cls):
            return kind
    status = error.http_status or 0
    if isinstance(error, stripe.InvalidRequestError):
        return "not_found" if status == 404 else "invalid_request"
    if status == 409:
        return "conflict"
    if isinstance(error, stripe.APIError):
        # with any other status the body was no JSON: a proxy's page, or an answer that was cut off
        return "server" if status >= 500 else "unreadable"
    return type(error).__name__
