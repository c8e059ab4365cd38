"""Whatever a valid signature covers can be stored; what cannot be a column is left out, never the event."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.events.rules.received_event import UNREADABLE, parse_event, read_json


def event(**over: Any) -> bytes:
    return json.dumps({"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}, **over}).encode()


def test_the_columns_are_those_of_the_body():
    read = parse_event(event(created=1_790_000_000, livemode=True, account="acct_1", api_version="2026-10-28.endive"))
    assert (read.event_id, read.type, read.object_id) == ("evt_1", "invoice.paid", "in_1")
    assert (read.livemode, read.account, read.api_version) == (True, "acct_1", "2026-10-28.endive")
    assert read.created == datetime.fromtimestamp(1_790_000_000, UTC)


ODD = {
    "NUL in a text": rb'{"id": "evt_1", "type": "a\u0000b"}',
    "NaN": b'{"id": "evt_1", "created": NaN, "total": -Infinity}',
    "lone surrogate": rb'{"id": "evt_1", "type": "\ud800", "data": {"object": {"id": "\udfff"}}}',
    "doubled keys": b'{"id": "evt_0", "id": "evt_1", "type": "a", "type": "b"}',
    "an integer of 5,000 digits": b'{"id": "evt_1", "created": ' + b"9" * 5_000 + b"}",
    "created before 1970": b'{"id": "evt_1", "created": -1}',
    "created after 9999": b'{"id": "evt_1", "created": 253402300800}',
    "created is true": b'{"id": "evt_1", "created": true}',
    "livemode is a text": b'{"id": "evt_1", "livemode": "false"}',
    "data is a list": b'{"id": "evt_1", "data": []}',
    "the object is a text": b'{"id": "evt_1", "data": {"object": "in_1"}}',
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_an_odd_body_keeps_its_id_and_loses_only_what_cannot_be_a_column(body: bytes):
    read = parse_event(body)
    assert read.event_id == "evt_1"
    assert read.body == body
    assert read.created is None
    assert read.livemode is None
    assert read.object_id is None


UNREADABLES = {
    "nothing": b"",
    "no JSON": b"paid",
    "a list": b"[]",
    "nested too deeply": b"[" * 100_000,
    "nested too deeply below an id": b'{"id": "evt_1", "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "no UTF-8": b'{"id": "\xff"}',
    "UTF-16": '{"id": "evt_1"}'.encode("utf-16"),
    "no id": b'{"type": "invoice.paid"}',
    "an empty id": b'{"id": ""}',
    "an id with a NUL": rb'{"id": "evt_\u0000"}',
    "an id of 256 characters": b'{"id": "' + b"e" * 256 + b'"}',
    "an id that is a number": b'{"id": 7}',
}


@pytest.mark.parametrize("body", UNREADABLES.values(), ids=UNREADABLES.keys())
def test_a_body_without_a_usable_id_gets_one_of_its_bytes(body: bytes):
    read = parse_event(body)
    assert read.event_id == f"{UNREADABLE}_{read.body_sha256.hex()}"
    assert read.body == body
    assert parse_event(body) == read


@given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "type", "data", "object", "created"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_body_fails(body: bytes):
    read = parse_event(body)
    assert 0 < len(read.event_id) <= 255
    for name in (read.event_id, read.type, read.object_id or "x", read.account or "x", read.api_version or "x"):
        assert name.isascii()
        assert name.isprintable()
        assert " " not in name


def test_content_is_the_same_however_it_is_spaced_and_ordered_and_other_when_it_says_other_things():
    first = parse_event(b'{"id": "evt_1", "a": [1, 2.50], "pending_webhooks": 3}')
    assert parse_event(b'{"a":[1,2.5],"pending_webhooks":0,"id":"evt_1"}').content_sha256 == first.content_sha256
    for other in (b'{"id": "evt_1", "a": [2.5, 1]}', b'{"id": "evt_1", "a": ["1", 2.5]}', b'{"id": "evt_1"}'):
        assert parse_event(other).content_sha256 != first.content_sha256


def test_the_content_of_an_unreadable_body_is_its_bytes():
    assert parse_event(b"paid").content_sha256 == parse_event(b"paid").body_sha256


def test_read_json_says_what_is_wrong():
    with pytest.raises(ValueError, match="expected a JSON object, got list"):
        read_json(b"[]")
