"""What Stripe is sent for an invoice, byte for byte."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_pipeline.invoicing.rules.charge_request import (
    LINES_MAX,
    BilledInvoice,
    BilledLine,
    frozen_request,
    parse_request,
)


def invoice(total_minor: int) -> BilledInvoice:
    return BilledInvoice(
        "inv-1",
        "INV-00000001",
        "0017",
        date(2026, 10, 1),
        "usd",
        total_minor,
        datetime(2026, 10, 1, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        date(2026, 10, 1),
        date(2026, 11, 1),
    )


def test_the_body_is_canonical_json() -> None:
    body = frozen_request(invoice(4000), [BilledLine(1, "users", "Über users", 4000)])
    assert body.decode() == (
        '{"invoice":{"auto_advance":false,"collection_method":"charge_automatically","currency":"usd",'
        '"description":"Usage from 2026-10-01 to 2026-10-31","metadata":{"billing_month":"2026-10-01",'
        '"customer_id":"0017","invoice_id":"inv-1"},"number":"INV-00000001",'
        '"pending_invoice_items_behavior":"exclude"},"lines":[{"amount":4000,"description":"Über users",'
        '"discountable":false,"metadata":{"line_no":"1"},"period":{"end":1793491199,"start":1790812800}}]}'
    )


def test_an_invoice_without_lines_gets_one_of_zero() -> None:
    _, lines = parse_request(frozen_request(invoice(0), []))
    assert [(line["amount"], line["description"]) for line in lines] == [(0, "No usage")]


def test_lines_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="do not add up to 4001"):
        frozen_request(invoice(4001), [BilledLine(1, "users", "users", 4000)])


def test_250_lines_are_sent_as_they_are_and_251_merged_by_meter() -> None:
    lines = [BilledLine(n, "users" if n % 2 else "storage", f"line {n}", n) for n in range(1, LINES_MAX + 2)]
    _, sent = parse_request(frozen_request(invoice(sum(range(1, 251))), lines[:250]))
    assert [line["amount"] for line in sent] == list(range(1, 251))
    _, merged = parse_request(frozen_request(invoice(sum(range(1, 252))), lines))
    assert [(line["description"], line["amount"]) for line in merged] == [
        ("users: 126 lines", sum(range(1, 252, 2))),
        ("storage: 125 lines", sum(range(2, 251, 2))),
    ]


def test_a_meter_with_one_line_keeps_its_description_when_others_are_merged() -> None:
    lines = [BilledLine(1, "base", "Platform fee", 10)]
    lines += [BilledLine(n, "users", "user", 1) for n in range(2, 302)]
    _, sent = parse_request(frozen_request(invoice(310), lines))
    assert [line["description"] for line in sent] == ["Platform fee", "users: 300 lines"]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(-1000, 10**9)), max_size=600))
def test_the_total_survives_and_the_lines_fit(parts: list[tuple[int, int]]) -> None:
    lines = [BilledLine(n, f"meter {meter}", "x" * meter, amount) for n, (meter, amount) in enumerate(parts, 1)]
    body = frozen_request(invoice(sum(line.amount_minor for line in lines)), lines)
    _, sent = parse_request(body)
    assert 1 <= len(sent) <= LINES_MAX
    assert sum(line["amount"] for line in sent) == sum(amount for _, amount in parts)
    assert all(len(line["description"]) <= 500 for line in sent)
    assert body == json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def graduated(line_no: int, quantity: str, unit_amount: str, amount_minor: int, *tier: Any) -> BilledLine:
    price = Decimal(unit_amount)
    return BilledLine(
        line_no, "tokens", "Tokens", amount_minor, "usage", Decimal(quantity), Decimal(0), price, "graduated", *tier
    )


def test_lines_of_one_graduated_price_can_be_told_apart() -> None:
    lines = [
        graduated(1, "500", "0.03", 1500, 0, Decimal(0), Decimal(500)),
        graduated(2, "1500", "0.02", 3000, 1, Decimal(500), None),
    ]
    _, sent = parse_request(frozen_request(invoice(4500), lines))
    assert [(line["amount"], line["description"]) for line in sent] == [
        (1500, "Tokens: 500 \N{MULTIPLICATION SIGN} 0.03 USD (tier 1: up to 500)"),
        (3000, "Tokens: 1,500 \N{MULTIPLICATION SIGN} 0.02 USD (tier 2: above 500)"),
    ]


def test_a_request_of_the_first_version_is_computed_again_as_it_was() -> None:
    lines = [graduated(1, "500", "0.03", 1500, 0, Decimal(0), Decimal(500))]
    _, sent = parse_request(frozen_request(invoice(1500), lines, version=1))
    assert [line["description"] for line in sent] == ["Tokens"]
