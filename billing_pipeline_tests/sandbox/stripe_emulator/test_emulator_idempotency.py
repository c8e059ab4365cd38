"""Idempotency keys: replay, mismatch, concurrency, expiry, and what is not stored."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def test_the_same_key_replays_the_stored_answer_and_says_so(emulator: Emulated) -> None:
    customer = emulator.customer().id
    options: Any = {"idempotency_key": "replay-1"}
    first = emulator.api.invoices.create({"customer": customer}, options)
    again = emulator.api.invoices.create({"customer": customer}, options)
    assert first.id == again.id
    assert len(emulator.api.invoices.list({"customer": customer}).data) == 1
    assert again.last_response is not None
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert first.last_response is not None
    assert "idempotent-replayed" not in first.last_response.headers


def test_a_replay_gives_the_first_answer_even_when_the_object_has_moved_on(emulator: Emulated) -> None:
    draft = emulator.draft(500)
    options: Any = {"idempotency_key": "replay-2"}
    emulator.api.invoices.finalize_invoice(draft.id, {}, options)
    emulator.api.invoices.pay(draft.id)
    assert emulator.api.invoices.finalize_invoice(draft.id, {}, options).status == "open"


def test_other_parameters_or_another_endpoint_under_one_key_are_a_mismatch(emulator: Emulated) -> None:
    customer = emulator.customer().id
    options: Any = {"idempotency_key": "mismatch"}
    emulator.api.invoices.create({"customer": customer}, options)
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as refusal:
        emulator.api.invoices.create({"customer": customer, "description": "x"}, options)
    assert refusal.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        emulator.api.customers.create({}, options)


def test_a_decline_is_replayed_and_charges_once(emulator: Emulated) -> None:
    invoice = emulator.open_invoice(customer=emulator.customer("pm_card_chargeCustomerFail").id)
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            emulator.api.invoices.pay(invoice.id, {}, {"idempotency_key": "decline"})
    assert emulator.api.invoices.retrieve(invoice.id).attempt_count == 1


@pytest.mark.parametrize(("kind", "paid"), [("error_500_with_effect", "paid"), ("error_500_without_effect", "open")])
def test_a_500_is_stored_and_replayed_with_or_without_its_effect(fresh: Emulated, kind: str, paid: str) -> None:
    invoice = fresh.open_invoice()
    fresh.fault(kind, operation="POST /v1/invoices/*/pay", times=1)
    for _ in range(3):
        with pytest.raises(stripe.APIError) as error:
            fresh.api.invoices.pay(invoice.id, {}, {"idempotency_key": "pay-1"})
        assert error.value.http_status == 500
    assert fresh.api.invoices.retrieve(invoice.id).status == paid


def test_refused_parameters_and_rate_limits_leave_nothing_under_the_key(fresh: Emulated) -> None:
    customer = fresh.customer().id
    options: Any = {"idempotency_key": "clean"}
    bad: Any = {"customer": customer, "colour": "red"}
    with pytest.raises(stripe.InvalidRequestError):
        fresh.api.invoices.create(bad, options)
    fresh.fault("rate_limit", operation="POST /v1/invoices", times=1)
    with pytest.raises(stripe.RateLimitError):
        fresh.api.invoices.create({"customer": customer}, options)
    assert fresh.api.invoices.create({"customer": customer}, options).status == "draft"


def test_concurrent_use_of_one_key_is_a_409_and_has_one_effect(fresh: Emulated) -> None:
    customer = fresh.customer().id
    fresh.fault("latency", operation="POST /v1/invoices", latency_ms=300)

    def create(_: int) -> int:
        headers = {"Idempotency-Key": "both"}
        return fresh.http.post("/v1/invoices", data={"customer": customer}, headers=headers).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(create, range(4)))
    assert statuses == [200, 409, 409, 409]
    assert len(fresh.api.invoices.list({"customer": customer}).data) == 1


def test_a_key_is_forgotten_after_24_hours_and_executes_again(fresh: Emulated) -> None:
    customer = fresh.customer().id
    options: Any = {"idempotency_key": "old"}
    first = fresh.api.invoices.create({"customer": customer}, options)
    fresh.advance(86_000)
    assert fresh.api.invoices.create({"customer": customer}, options).id == first.id
    fresh.advance(500)
    assert fresh.api.invoices.create({"customer": customer}, options).id != first.id


def test_a_fault_can_expire_keys_early(fresh: Emulated) -> None:
    customer = fresh.customer().id
    options: Any = {"idempotency_key": "lost"}
    first = fresh.api.invoices.create({"customer": customer}, options)
    fresh.fault("expire_key", operation="POST /v1/invoices", times=1)
    assert fresh.api.invoices.create({"customer": customer}, options).id != first.id


def test_keys_on_gets_are_ignored(emulator: Emulated) -> None:
    customer = emulator.customer().id
    for _ in range(2):
        response = emulator.http.get(f"/v1/customers/{customer}", headers={"Idempotency-Key": "get"})
        assert "idempotent-replayed" not in response.headers
