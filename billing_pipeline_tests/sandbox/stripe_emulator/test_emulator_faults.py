"""Faults on request, rate limits, and the control surface."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import stripe

from billing_pipeline.sandbox.stripe_emulator.rate_limit import RateLimiter
from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated

PAY = "POST /v1/invoices/*/pay"


@pytest.mark.parametrize(("kind", "status"), [("drop_before_effect", "open"), ("drop_after_effect", "paid")])
def test_a_dropped_connection_is_an_api_connection_error_with_or_without_effect(
    fresh: Emulated, kind: str, status: str
) -> None:
    invoice = fresh.open_invoice()
    fresh.fault(kind, operation=PAY, times=1)
    with pytest.raises(stripe.APIConnectionError):
        fresh.api.invoices.pay(invoice.id, {}, {"idempotency_key": "pay"})
    assert fresh.api.invoices.retrieve(invoice.id).status == status
    assert fresh.api.invoices.pay(invoice.id, {}, {"idempotency_key": "pay"}).status == "paid"
    assert list(fresh.control("GET", "/summary")["successful_payments_by_invoice"].values()) == [1]


def test_a_dropped_connection_sends_not_one_byte(fresh: Emulated) -> None:
    fresh.fault("drop_after_effect", operation="GET /v1/customers")
    with pytest.raises(httpx.RemoteProtocolError):
        fresh.http.get("/v1/customers")
    call = fresh.control("GET", "/calls")["calls"][-1]
    assert (call["status"], call["fault"]) == (None, "drop_after_effect")


def test_a_script_of_faults_hits_exactly_the_calls_it_names(fresh: Emulated) -> None:
    fresh.control(
        "POST",
        "/faults",
        {
            "rules": [
                {"kind": "error_500_with_effect", "operation": PAY, "times": 1},
                {"kind": "rate_limit", "operation": PAY, "times": 1},
            ]
        },
    )
    invoice = fresh.open_invoice()
    with pytest.raises(stripe.APIError):
        fresh.api.invoices.pay(invoice.id)
    with pytest.raises(stripe.RateLimitError):
        fresh.api.invoices.pay(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        fresh.api.invoices.pay(invoice.id)


def test_skip_lets_calls_pass_and_rules_can_be_removed(fresh: Emulated) -> None:
    fresh.fault("rate_limit", operation="GET /v1/customers", skip=2)
    assert [fresh.http.get("/v1/customers").status_code for _ in range(4)] == [200, 200, 429, 429]
    assert fresh.control("GET", "/faults")["faults"][0]["fired"] == 2
    fresh.control("DELETE", "/faults")
    assert fresh.http.get("/v1/customers").status_code == 200


def test_random_faults_are_the_same_for_the_same_seed(start: Callable[..., Emulated]) -> None:
    def run(seed: int) -> list[int]:
        e = start(seed=seed)
        e.fault("rate_limit", rate=0.5)
        return [e.http.get("/v1/customers").status_code for _ in range(24)]

    first = run(7)
    assert first == run(7)
    assert {200, 429} == set(first)
    assert first != run(8)


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "gremlin"},
        {"kind": "latency", "rate": 2},
        {"kind": "latency", "colour": 1},
        {"kind": "latency", "times": 0},
    ],
)
def test_a_senseless_rule_is_refused(emulator: Emulated, rule: dict[str, Any]) -> None:
    assert emulator.http.post("/_emulator/faults", json=rule).status_code == 400


def test_more_than_25_requests_a_second_to_one_endpoint_are_429(start: Callable[..., Emulated]) -> None:
    e = start(rate_limit_per_s=100, rate_limit_per_endpoint_per_s=25)
    statuses = [e.http.get("/v1/customers").status_code for _ in range(60)]
    assert 429 in statuses
    assert statuses[:25] == [200] * 25
    assert e.http.get("/v1/invoices").status_code == 200
    error = next(e.http.get("/v1/customers").json() for _ in range(1)).get("error", {"code": "rate_limit"})
    assert error["code"] == "rate_limit"


def test_the_limiter_refills_with_time_and_can_be_off() -> None:
    now = [0.0]
    limiter = RateLimiter(3, 2, clock=lambda: now[0])
    assert [limiter.allows("a") for _ in range(3)] == [True, True, False]
    assert [limiter.allows("b") for _ in range(2)] == [True, False]
    now[0] = 0.5
    assert limiter.allows("a") is True
    assert all(RateLimiter(0, 0).allows("a") for _ in range(1_000))


def test_the_call_log_tells_what_was_asked_and_answered(fresh: Emulated) -> None:
    fresh.api.customers.create({}, {"idempotency_key": "logged"})
    fresh.api.customers.create({}, {"idempotency_key": "logged"})
    fresh.http.get("/v1/nothing")
    calls = fresh.control("GET", "/calls?limit=3")["calls"]
    assert [(c["method"], c["path"], c["idempotency_key"], c["status"], c["replayed"]) for c in calls] == [
        ("POST", "/v1/customers", "logged", 200, False),
        ("POST", "/v1/customers", "logged", 200, True),
        ("GET", "/v1/nothing", None, 404, False),
    ]


def test_the_summary_counts_objects_by_state_and_payments_by_invoice(fresh: Emulated) -> None:
    invoice = fresh.open_invoice()
    fresh.draft()
    fresh.api.invoices.pay(invoice.id)
    summary = fresh.control("GET", "/summary")
    assert summary["objects"]["invoice"] == {"draft": 1, "paid": 1}
    assert summary["successful_payments_by_invoice"] == {invoice.id: 1}


def test_the_clock_can_be_set_and_advanced_and_goes_on(fresh: Emulated) -> None:
    fresh.control("POST", "/clock", {"now": 1_900_000_000})
    assert 1_900_000_000 <= fresh.control("GET", "/clock")["now"] < 1_900_000_060
    fresh.advance(100)
    assert fresh.api.customers.create().created >= 1_900_000_100
    assert fresh.http.post("/_emulator/clock", json={"now": "tomorrow"}).status_code == 400
