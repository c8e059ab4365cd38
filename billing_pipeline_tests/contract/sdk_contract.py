"""Traffic held to what the installed SDK says of Stripe's contract, which is made from Stripe's OpenAPI document.

What the SDK does not say of that document is written here: how long texts may be.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import stripe

from billing_pipeline.sandbox.stripe_emulator import forms, validation
from billing_pipeline.sandbox.stripe_emulator.config import API_VERSION
from billing_pipeline.sandbox.stripe_emulator.errors import StripeError
from billing_pipeline.sandbox.stripe_emulator.idempotency import KEY_MAX
from billing_pipeline.sandbox.stripe_emulator.routes import Route
from billing_pipeline.sandbox.stripe_emulator.routing import match
from billing_pipeline_tests.contract.traffic import Exchange
from billing_pipeline_tests.sandbox.stripe_emulator.sdk_shapes import LIST_FIELDS, fields, problems

TEXT_MAX = 5_000
TEXTS_MAX: Mapping[str, int] = {
    "POST /v1/invoices: number": 26,
    "POST /v1/invoices: description": 1_500,
    "POST /v1/invoices: custom_fields.name": 40,
    "POST /v1/invoices: custom_fields.value": 140,
    "POST /v1/customers: name": 256,
    "POST /v1/customers: email": 512,
}
"""Longest texts by operation and parameter; others have `TEXT_MAX`."""
KINDS: Mapping[str, str] = {
    "charges": "charge", "credit_notes": "credit_note", "customers": "customer", "disputes": "dispute",
    "events": "event", "invoice_payments": "invoice_payment", "invoices": "invoice",
    "payment_intents": "payment_intent", "payment_methods": "payment_method", "refunds": "refund",
    "webhook_endpoints": "webhook_endpoint",
    "balance_transactions": "customer_balance_transaction",
}  # fmt: skip
"""What operations on a collection answer with; the last word of a path that is a collection counts."""
_REFUSED_FOR_ITS_FORM = re.compile("parameter_unknown|parameter_missing|parameter_invalid|emulator_unsupported")


def violations(said: Exchange) -> list[str]:
    """What of a request or of its answer breaks the contract."""
    found = match(said.method, said.path)
    if found is None:
        return [f"{said}: Stripe has no such operation that we use"]
    route = found[0]
    wrong = [*_request(said, route), *(_answer(said, route) if said.status is not None else ())]
    return [f"{said}: {one}" for one in wrong]


def _request(said: Exchange, route: Route) -> Iterator[str]:
    try:
        given = validation.checker(route.params)(forms.parse(said.encoded), "")
    except StripeError as error:
        yield f"asked for {error.fields}"
        return
    yield from _lengths(given, f"{route.name}: ")
    key = said.headers.get("idempotency-key", "")
    if said.method == "POST" and not 1 <= len(key) <= KEY_MAX:
        yield f"an idempotency key of {len(key)} characters"
    if not said.headers.get("authorization", "").startswith("Bearer sk_test_"):
        yield "no key of an account"
    if said.headers.get("stripe-version") != API_VERSION:
        yield f"version {said.headers.get('stripe-version')} was asked for"
    if said.method == "POST" and said.headers.get("content-type") != "application/x-www-form-urlencoded":
        yield f"the body is {said.headers.get('content-type')}"


def _lengths(given: Any, name: str) -> Iterator[str]:
    if isinstance(given, dict):
        for key, value in given.items():
            yield from _lengths(value, f"{name}{'' if name.endswith(' ') else '.'}{key}")
    elif isinstance(given, list):
        for value in given:
            yield from _lengths(value, name)
    elif isinstance(given, str) and len(given) > TEXTS_MAX.get(name, TEXT_MAX):
        yield f"{name} has {len(given)} characters"


def _answer(said: Exchange, route: Route) -> Iterator[str]:
    body = json.loads(said.answer)
    if said.status != 200:
        yield from _error(body)
        return
    kind = next(KINDS[name] for name in reversed(route.path.split("/")) if name in KINDS)
    if said.method == "GET" and route.path.endswith(tuple(KINDS)):
        if set(body) != LIST_FIELDS or body["object"] != "list":
            yield f"no list object: {sorted(body)}"
            return
        if not body["url"].startswith(said.path):
            yield f"the list says that it is {body['url']}"
        answered = body["data"]
    else:
        answered = [body]
    for one in answered:
        if one["object"] != kind:
            yield f"answers with {one['object']}, expected {kind}"
        yield from problems(one)
        if kind == "event":
            yield from event(one)


def event(said: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with an event's type and with the object that it is about."""
    if said["type"] not in get_args(fields(stripe.Event)["type"]):
        yield f"Stripe has no event {said['type']}"
    yield from (f"{said['type']}: {problem}" for problem in problems(said["data"]["object"]))


def _error(body: Mapping[str, Any]) -> Iterator[str]:
    error = body["error"]
    for name in sorted(set(error) - set(fields(stripe.ErrorObject))):
        yield f"an error has no {name}"
    if missing := {"message", "type"} - set(error):
        yield f"an error without {sorted(missing)}"
    if _REFUSED_FOR_ITS_FORM.match(error.get("code", "")):
        yield f"refused: {error['message']}"
    for name in ("payment_intent", "payment_method", "setup_intent"):
        if name in error:
            yield from problems(error[name])
