"""Starting, stopping, being killed, and who may talk to it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import stripe

from billing_pipeline.sandbox.stripe_emulator import RunningEmulator, running_emulator, serve
from billing_pipeline_tests.sandbox.stripe_emulator.emulated import KEY, Emulated

SERVE = """
import sys
from pathlib import Path
from billing_pipeline.sandbox.stripe_emulator import serve
serve(Path(sys.argv[1]), port=int(sys.argv[2]))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def begin(path: Path) -> tuple[subprocess.Popen[bytes], Emulated]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(path), str(port)])
    base_url = f"http://127.0.0.1:{port}"
    for _ in range(400):
        try:
            httpx.get(f"{base_url}/_emulator/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.025)
        else:
            return process, Emulated(RunningEmulator(base_url, port, path))
    process.kill()
    process.wait()
    raise AssertionError("the emulator did not start")


def test_kill_9_loses_nothing_that_was_answered_and_frees_keys_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "emulator.sqlite3"
    process, first = begin(path)
    invoice = first.open_invoice()
    first.api.invoices.pay(invoice.id, {}, {"idempotency_key": "pay"})
    customer = str(invoice.customer)
    first.fault("latency", operation="POST /v1/invoices", latency_ms=30_000, times=1)
    with pytest.raises(httpx.ReadTimeout):
        first.http.post("/v1/invoices", data={"customer": customer}, headers={"Idempotency-Key": "new"}, timeout=0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    first.http.close()
    process, second = begin(path)
    try:
        replayed = second.api.invoices.pay(invoice.id, {}, {"idempotency_key": "pay"})
        assert replayed.status == "paid"
        assert second.control("GET", "/summary")["successful_payments_by_invoice"] == {invoice.id: 1}
        assert second.api.invoices.create({"customer": customer}, {"idempotency_key": "new"}).status == "draft"
        assert len(second.api.invoices.list({"customer": customer}).data) == 2
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        second.http.close()


def test_two_servers_on_one_file_see_the_same_state(start: Callable[..., Emulated], tmp_path: Path) -> None:
    one, two = (start(path=tmp_path / "shared.sqlite3") for _ in range(2))
    invoice = one.open_invoice()
    assert two.api.invoices.pay(invoice.id, {}, {"idempotency_key": "k"}).status == "paid"
    assert one.api.invoices.pay(invoice.id, {}, {"idempotency_key": "k"}).status == "paid"
    assert one.api.invoices.retrieve(invoice.id).status == "paid"


def test_without_a_path_nothing_stays_behind() -> None:
    with running_emulator() as running:
        assert running.path is None
        assert running.base_url == f"http://127.0.0.1:{running.port}"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{running.base_url}/_emulator/healthz")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.com", "::", ""])
def test_it_only_listens_on_loopback(host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        serve(None, host=host)
    with pytest.raises(ValueError, match="loopback"), running_emulator(host=host):
        pass


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "did not provide an API key"),
        ({"Authorization": "Bearer"}, "did not provide an API key"),
        ({"Authorization": "Bearer sk_live_secret"}, "live API key"),
        ({"Authorization": "Bearer rk_live_secret"}, "live API key"),
        ({"Authorization": "Bearer nonsense"}, "Invalid API Key"),
        ({"Authorization": "Basic !!!"}, "did not provide an API key"),
    ],
)
def test_only_test_keys_are_let_in(emulator: Emulated, header: dict[str, str], words: str) -> None:
    response = httpx.get(f"{emulator.base_url}/v1/customers", headers=header)
    assert response.status_code == 401
    assert words in response.json()["error"]["message"]
    assert "secret" not in response.text


def test_a_live_key_is_an_authentication_error_in_the_sdk(emulator: Emulated) -> None:
    client = stripe.StripeClient("sk_live_x", base_addresses={"api": emulator.base_url}, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError, match="live API key"):
        client.v1.customers.list()


def test_basic_authentication_works_as_with_curl(emulator: Emulated) -> None:
    assert httpx.get(f"{emulator.base_url}/v1/customers", auth=("sk_test_x", "")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/coupons"),
        ("GET", "/v1/invoices/"),
        ("POST", "/v1/invoices/in_1/frobnicate"),
        ("PUT", "/v1/invoices/in_1"),
        ("GET", "/v1/invoices/search"),
        ("GET", "/v2/core/events"),
        ("GET", "/"),
    ],
)
def test_an_unknown_route_is_a_404_in_stripes_words(emulator: Emulated, method: str, path: str) -> None:
    response = emulator.http.request(method, path)
    assert response.status_code == 404
    words = response.json()["error"]["message"]
    assert words.startswith(("Unrecognized request URL", "No such invoice"))


def test_every_answer_has_a_request_id_and_echoes_the_version(emulator: Emulated) -> None:
    response = emulator.http.get("/v1/customers", headers={"Stripe-Version": "2026-10-28.endive"})
    assert response.headers["request-id"].startswith("req_")
    assert response.headers["stripe-version"] == "2026-10-28.endive"


def test_a_body_that_is_too_large_is_a_413(start: Callable[..., Emulated]) -> None:
    e = start(body_max_bytes=1_000)
    assert e.http.post("/v1/customers", data={"name": "x" * 2_000}).status_code == 413


def test_a_request_that_is_cut_off_has_no_effect_and_leaves_its_key_unused(fresh: Emulated) -> None:
    """As a client leaves it that is killed between sending the head and the body; to pay needs no parameter."""
    invoice = fresh.open_invoice()
    host, port = fresh.base_url.removeprefix("http://").split(":")
    head = (
        f"POST /v1/invoices/{invoice.id}/pay HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
        "Idempotency-Key: pay-1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 20\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as half:
        half.sendall(head.encode())
    with socket.create_connection((host, int(port))) as half:
        half.sendall(head.encode() + b"expand[0]=")
    time.sleep(0.2)
    calls = fresh.control("GET", "/calls?limit=1000")["calls"]
    assert [call["path"] for call in calls if call["path"].endswith("/pay")] == []
    assert fresh.api.invoices.retrieve(invoice.id).status == "open"
    paid = fresh.api.invoices.pay(invoice.id, {"expand": ["payments"]}, {"idempotency_key": "pay-1"})
    assert paid.status == "paid"
