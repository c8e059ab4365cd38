"""One call to Stripe: rate limits, repetition of what was not executed, and failures as they are classified.

The modules beside it have the operations, one for each kind of object; none of them decides anything.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import Any, TypeVar, cast
from urllib.parse import quote_plus

import stripe
from stripe import RequestOptions

from billing_pipeline.settings import SettingsError, is_live_key
from billing_pipeline.stripe_gateway.limits import RateLimits
from billing_pipeline.stripe_gateway.rules.api import WAITS_FOR_TRANSFER, takes_days
from billing_pipeline.stripe_gateway.rules.errors import Evidence, Outcome, StripeFailure, classify, without_secrets

_T = TypeVar("_T")
PAGE = 100
KEY_MAX = 255
RETRIES_MAX = 6
BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 8.0
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 80.0

_KINDS: tuple[tuple[type[stripe.StripeError], str], ...] = (
    (stripe.CardError, "card"),
    (stripe.IdempotencyError, "idempotency"),
    (stripe.RateLimitError, "rate_limit"),
    (stripe.AuthenticationError, "authentication"),
    (stripe.PermissionError, "permission"),
    (stripe.APIConnectionError, "connection"),
)


class StripeCalls:
    """The client and how it calls. One instance serves any number of threads; each closes its own connection.

    What is read is read raw: the SDK builds an object of every field of every line, which takes longer than the call.

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

    @property
    def callers_waiting(self) -> int | None:
        """Threads that wait for a moment at which they may call; None: nothing limits them."""
        return self._limits.waiting if self._limits is not None else None

    def pages(self, path: str, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Every object of a list, a page a call."""
        after: dict[str, str] = {}
        while True:
            query = {**params, **after, "limit": PAGE}
            answer = self.call(f"{path} list", partial(self._stripe.raw_request, "get", path, **query))
            page = cast("dict[str, Any]", answer.data)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    def retrieve(
        self, kind: str, convert: Callable[[dict[str, Any]], _T], object_id: str, expand: Sequence[str] = ()
    ) -> _T:
        """An object as it is now, converted from the JSON that came; `kind` is its name in Stripe's paths."""
        path = f"/v1/{kind}/{quote_plus(object_id)}"
        params = {"expand": list(expand)} if expand else {}
        answer = self.call(f"{kind}.retrieve", partial(self._stripe.raw_request, "get", path, **params))
        return convert(cast("dict[str, Any]", answer.data))

    def object_of(
        self, endpoint: str, convert: Callable[[dict[str, Any]], _T], send: Callable[[], stripe.StripeObject]
    ) -> _T:
        """One call's object, converted from the JSON that came."""
        # the SDK sets it on whatever a request returned
        answer = cast("stripe.StripeResponse", self.call(endpoint, send).last_response)
        return convert(cast("dict[str, Any]", answer.data))

    def call(self, endpoint: str, send: Callable[[], _T]) -> _T:
        """Send under the rate limits; 429 is repeated, everything else that fails is raised as it is classified."""
        for tries in range(RETRIES_MAX + 1):
            if self._limits is not None:
                self._limits.wait(endpoint)
            with self._calls_lock:
                self._calls += 1
            try:
                return send()
            except (ValueError, TypeError) as error:
                # the SDK's own: it could not make a request of what it was given
                raise _local(error) from None
            except stripe.StripeError as error:
                evidence = _evidence(error)
                verdict = classify(evidence)
                if verdict.outcome is not Outcome.RETRY or tries == RETRIES_MAX:
                    raise StripeFailure(verdict, evidence) from None
            self._sleep(min(BACKOFF_FIRST_S * 2**tries, BACKOFF_MAX_S) * (0.5 + self._jitter()))
        raise AssertionError("unreachable: the last try returns or raises")


def options(key: str) -> RequestOptions:
    """A request's idempotency key.

    Raises:
        StripeFailure: no header can carry it; nothing was sent.
    """
    if not key.isascii() or len(key) > KEY_MAX:
        raise _local(f"expected an idempotency key of at most {KEY_MAX} ASCII characters, got {key[:40]!r}…")
    return {"idempotency_key": key}


def _local(why: object) -> StripeFailure:
    """A mistake on this side: nothing was lost on the way, and the same call would end like this again."""
    said = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else str(why)
    evidence = Evidence("local", message=without_secrets(said))
    return StripeFailure(classify(evidence), evidence)


def id_of(value: Any) -> str:
    """The id of an object that may be expanded."""
    return str(value["id"] if isinstance(value, dict) else value)


def _evidence(error: stripe.StripeError) -> Evidence:
    detail = error.error
    intent = getattr(detail, "payment_intent", None)
    return Evidence(
        kind=_kind(error),
        code=getattr(detail, "code", None) or error.code,
        decline_code=getattr(detail, "decline_code", None),
        status=error.http_status,
        param=getattr(detail, "param", None),
        request_id=error.request_id,
        message=without_secrets(error.user_message or ""),
        replayed=(error.headers or {}).get("idempotent-replayed") == "true",
        payment_intent_id=getattr(intent, "id", None),
    )


def _kind(error: stripe.StripeError) -> str:
    if isinstance(error, stripe.APIConnectionError) and isinstance(error.__cause__, ValueError | TypeError):
        return "local"  # the SDK says "connection" of whatever its HTTP client raises, encodings included
    action = getattr(getattr(error.error, "payment_intent", None), "next_action", None)
    if getattr(action, "type", None) in WAITS_FOR_TRANSFER:
        return "transfer"
    method = getattr(error.error, "payment_method", None)
    if error.http_status == 402 and takes_days(getattr(method, "type", None)):
        return "debit"
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
