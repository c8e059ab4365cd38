"""Ids that every run derives alike."""

import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.invoicing.rules.invoice_ids import (
    NAMESPACE,
    invoice_id,
    invoice_ids,
    iso_utc,
    period_id,
)

START = datetime(2026, 10, 1, tzinfo=UTC)


def test_ids_already_issued_never_change():
    assert str(NAMESPACE) == "8f5c9d0e-52d7-4c0b-9a3e-1f6d2b7a4c58"
    assert invoice_id("00042", START) == uuid.uuid5(NAMESPACE, "00042|2026-10-01T00:00:00Z|0")
    assert period_id("00042", START) == uuid.uuid5(NAMESPACE, "00042|2026-10-01T00:00:00Z")


def test_the_same_instant_in_another_zone_is_the_same_id():
    assert invoice_id("c", START) == invoice_id("c", START.astimezone(timezone(timedelta(hours=5, minutes=45))))


def test_customer_start_and_revision_each_change_the_id():
    ids = {invoice_id(c, s, r) for c in ("a", "a|b") for s in (START, START + timedelta(days=1)) for r in (0, 1)}
    assert len(ids) == 8


def test_a_naive_start_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        iso_utc(datetime(2026, 10, 1))


@given(
    customers=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20),
    start=st.datetimes(timezones=st.just(UTC)),
    revision=st.integers(0, 99),
)
def test_many_ids_are_the_ids_one_by_one(customers, start, revision):
    starts = [iso_utc(start)] * len(customers)
    assert invoice_ids(customers, starts, revision) == [str(invoice_id(c, start, revision)) for c in customers]
