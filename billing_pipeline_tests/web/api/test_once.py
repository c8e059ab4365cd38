"""Idempotency-Key: the same request twice is done once; a process that dies in between loses and doubles nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from billing_pipeline.access import requests
from billing_pipeline.access.requests import NotTaken, Taken, take_request
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.postgres.invariants.rows import customer
from billing_pipeline_tests.web.api.serving import Client, Serving, told

PATH = "/customers/a/adjustments"
BODY = {"amount_minor": 1250, "reason": "set-up"}


@pytest.fixture
def operator(api: Serving) -> Client:
    with api.warehouse.transaction() as connection:
        customer(connection, "a")
    return api.as_("operator")


def sent(client: Client, key: str = "k-1", body: Any = BODY, path: str = PATH) -> httpx.Response:
    return client.send("POST", path, json=body, headers={"Idempotency-Key": key})


def change(warehouse: Warehouse, statement: str) -> None:
    with warehouse.transaction() as connection:
        connection.execute(text(statement))


def adjustments(warehouse: Warehouse) -> int:
    return int(warehouse.scalar("SELECT count(*) FROM billing.adjustments"))


def test_the_same_request_twice_is_done_once_and_told_the_same(api: Serving, operator: Client) -> None:
    first, second = sent(operator), sent(operator)
    assert (first.status_code, second.status_code) == (200, 200), first.text
    assert first.json() == second.json()
    assert ("idempotency-replayed" in first.headers, second.headers["idempotency-replayed"]) == (False, "true")
    assert adjustments(api.warehouse) == 1
    assert sent(operator, "k-2").status_code == 409  # without the key it would be another one of the same reason


def test_the_same_key_with_another_request_is_refused(api: Serving, operator: Client) -> None:
    sent(operator)
    told(sent(operator, body={**BODY, "amount_minor": 1}), 422, "invalid")
    told(sent(operator, path="/charges/pause", body={"reason": "x"}), 422, "invalid")
    assert sent(api.as_("operator"), body={**BODY, "amount_minor": 1}).status_code == 200  # another token's key
    assert adjustments(api.warehouse) == 2


def test_what_was_not_heard_frees_the_key_and_what_was_refused_may_be_tried_again(operator: Client) -> None:
    told(sent(operator, body={"amount_minor": 1}), 422, "invalid")
    assert sent(operator).status_code == 200
    hold = "/customers/a/release"
    told(sent(operator, "k-3", {"reason": "r"}, hold), 409, "refused")
    operator.post("/customers/a/hold", {"reason": "h"})
    assert sent(operator, "k-3", {"reason": "r"}, hold).status_code == 200


def test_of_two_at_once_one_works_and_the_other_is_told_so(api: Serving, operator: Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: sent(operator), range(8)))
    assert {answer.status_code for answer in found} <= {200, 409}
    assert {answer.text for answer in found if answer.status_code == 200} == {sent(operator).text}
    for answer in found:
        if answer.status_code == 409:
            assert "is being worked on" in told(answer, 409, "refused")["detail"]
            assert answer.headers["retry-after"] == "2"
    assert adjustments(api.warehouse) == 1


def test_who_dies_between_the_operation_and_its_answer_doubles_nothing(
    api: Serving, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr("billing_pipeline.web.api.once.keep_answer", dies)
        told(sent(operator), 500, "internal")
    assert adjustments(api.warehouse) == 1
    assert "is being worked on" in told(sent(operator), 409, "refused")["detail"]
    change(api.warehouse, "UPDATE billing.api_answers SET busy_until = clock_timestamp()")
    assert "was made already" in told(sent(operator), 409, "refused")["detail"]
    assert adjustments(api.warehouse) == 1


def test_keys_are_texts_and_are_forgotten_after_a_day(api: Serving, operator: Client) -> None:
    for key in ("", "a b", "ä".encode(), "x" * 256):
        told(sent(operator, key), 422, "invalid")  # type: ignore[arg-type]
    sent(operator)
    change(api.warehouse, "UPDATE billing.api_answers SET taken_at = taken_at - interval '25 hours'")
    assert "was made already" in told(sent(operator), 409, "refused")["detail"]
    assert json.loads(operator.send("GET", "/months", headers={"Idempotency-Key": "a b"}).text) == {"months": []}


def test_who_took_a_request_over_is_not_disturbed_by_who_had_it_before(
    api: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.as_("operator")
    token_id = api.warehouse.scalar("SELECT token_id FROM billing.api_tokens")
    monkeypatch.setattr(requests, "BUSY", timedelta())
    digest = sha256(b"x").digest()
    slow, quick = (take_request(api.warehouse, token_id, "k", digest) for _ in range(2))
    assert isinstance(slow, Taken)
    assert isinstance(quick, Taken)
    requests.give_back(api.warehouse, slow, changed_nothing=True)
    requests.keep_answer(api.warehouse, slow, 200, b"slow")
    requests.keep_answer(api.warehouse, quick, 200, b"quick")
    assert take_request(api.warehouse, token_id, "k", digest) == requests.Answered(200, b"quick")
    assert take_request(api.warehouse, token_id, "k", sha256(b"y").digest()) is NotTaken.OTHER_REQUEST
