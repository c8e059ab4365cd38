"""Requests: the SDK's own types decide what is accepted, with Stripe's errors for the rest."""

from contextlib import suppress
from decimal import Decimal
from operator import attrgetter
from typing import Any, get_type_hints

import pytest
import stripe
import stripe.params
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, TypeAdapter, ValidationError
from stripe._request_options import RequestOptions
from typing_extensions import TypedDict

from billing_pipeline.sandbox.stripe_emulator import forms, validation
from billing_pipeline.sandbox.stripe_emulator.errors import StripeError
from billing_pipeline.sandbox.stripe_emulator.operations import ROUTES
from billing_pipeline_tests.sandbox.stripe_emulator.emulated import Emulated


def adapter(params: str) -> TypeAdapter[Any]:
    """Pydantic's reading of one of the SDK's TypedDicts, without the request options; no extras."""
    source = getattr(stripe.params, params)
    hints = get_type_hints(source, localns=validation._NAMES, include_extras=True)
    kept = {name: hint for name, hint in hints.items() if name not in RequestOptions.__annotations__}
    make: Any = TypedDict
    typed = make(params, kept)
    typed.__pydantic_config__ = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    return TypeAdapter(typed)


BODIES = [
    ("InvoiceCreateParams", "customer=cus_1&currency=usd&auto_advance=false&metadata[invoice_id]=x", True),
    ("InvoiceCreateParams", "customer=cus_1&pending_invoice_items_behavior=exclude&days_until_due=30", True),
    ("InvoiceCreateParams", "customer=cus_1&metadata=", True),
    ("InvoiceCreateParams", "customer=cus_1&colour=red", False),
    ("InvoiceCreateParams", "customer=cus_1&days_until_due=soon", False),
    ("InvoiceAddLinesParams", "lines[0][amount]=5&lines[1][amount]=-7&lines[0][metadata][a]=b", True),
    ("InvoiceAddLinesParams", "lines[0][quantity_decimal]=1.5&lines[0][price_data][currency]=usd", True),
    ("InvoiceAddLinesParams", "lines[0][amount]=5.5", False),
    ("InvoiceAddLinesParams", "lines[0][period][start]=1", False),
    ("InvoiceAddLinesParams", "expand[]=lines", False),
    ("InvoiceListParams", "created[gte]=5&created[lt]=9&status=open&limit=100&expand[]=data.payments", True),
    ("InvoiceListParams", "created=5", True),
    ("InvoiceListParams", "created[near]=5", False),
    ("CustomerUpdateParams", "address[city]=Ulm&invoice_settings[default_payment_method]=pm_1", True),
    ("WebhookEndpointCreateParams", "url=http://127.0.0.1/&enabled_events[]=invoice.paid", True),
    ("WebhookEndpointCreateParams", "enabled_events[]=invoice.paid", False),
]


@pytest.mark.parametrize(("params", "body", "accepted"), BODIES)
def test_the_checker_agrees_with_pydantic_on_the_sdks_types(params: str, body: str, accepted: bool) -> None:
    if accepted:
        typed = validation.checker(params)(forms.parse(body), "")
        adapter(params).validate_python(typed)
        return
    with pytest.raises(StripeError):
        validation.checker(params)(forms.parse(body), "")
    with pytest.raises(ValidationError):
        adapter(params).validate_python(plain(forms.parse(body)))


def plain(raw: Any) -> Any:
    """Lists where the form has indexes; otherwise as it arrived."""
    if isinstance(raw, dict) and raw and all(key.isdecimal() for key in raw):
        return [plain(raw[key]) for key in sorted(raw, key=int)]
    return {key: plain(value) for key, value in raw.items()} if isinstance(raw, dict) else raw


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_implemented_parameter_exists_in_the_sdk(route: Any) -> None:
    known = attrgetter(route.params)(stripe.params).__annotations__.keys() - RequestOptions.__annotations__.keys()
    # `expand` is accepted on deletes too, where the SDK has no parameters at all
    assert {name.partition(".")[0] for name in route.supported} - {"expand"} <= known


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("/v1/invoices", "customer={c}&colour=red", "parameter_unknown", "colour"),
        ("/v1/invoices", "customer={c}&api_key=x", "parameter_unknown", "api_key"),
        ("/v1/invoices", "currency=usd", "parameter_missing", "customer"),
        ("/v1/invoices", "customer={c}&days_until_due=x", "parameter_invalid_integer", "days_until_due"),
        ("/v1/invoices", "customer={c}&auto_advance=yes", None, "auto_advance"),
        ("/v1/invoices", "customer={c}&auto_advance=", "parameter_invalid_empty", "auto_advance"),
        ("/v1/invoices", "customer={c}&collection_method=barter", None, "collection_method"),
        ("/v1/invoices", "customer={c}&metadata=x", None, "metadata"),
        ("/v1/invoices", "customer={c}&discounts[0][coupon]=x", "emulator_unsupported", None),
        ("/v1/invoices/in_x/add_lines", "lines[0][weight]=1", "parameter_unknown", "lines[0][weight]"),
        ("/v1/invoices/in_x/add_lines", "lines[0][tax_rates][]=txr", "emulator_unsupported", None),
        ("/v1/invoices/in_x/add_lines", "lines[a][amount]=1", None, "lines"),
        ("/v1/invoices/in_x/add_lines", "lines[0[amount]=1", None, "lines[0[amount]"),
    ],
)
def test_refusals_name_the_parameter(
    emulator: Emulated, path: str, body: str, code: str | None, param: str | None
) -> None:
    response = emulator.http.post(
        path,
        content=body.format(c=emulator.customer(None).id),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    error = response.json()["error"]
    assert (response.status_code, error.get("code"), error.get("param")) == (400, code, param)


@pytest.mark.parametrize("quantity", ["1E-7", "0.1234567890123", "NaN", "Infinity", "1,5", ""])
def test_decimals_are_plain_and_have_at_most_12_places(emulator: Emulated, quantity: str) -> None:
    draft = emulator.draft()
    body = {"lines[0][amount]": "5", "lines[0][quantity_decimal]": quantity}
    response = emulator.http.post(f"/v1/invoices/{draft.id}/add_lines", data=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "lines[0][quantity_decimal]"


def test_a_decimal_in_scientific_notation_from_the_sdk_is_refused_as_at_stripe(emulator: Emulated) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid decimal: 1E-7"):
        emulator.api.invoices.add_lines(
            emulator.draft().id, {"lines": [{"amount": 1, "quantity_decimal": Decimal("1E-7")}]}
        )


def test_metadata_is_merged_and_unset_by_empty_values(emulator: Emulated) -> None:
    customer = emulator.customer(None, metadata={"a": "1", "b": "2"}).id
    merged = emulator.api.customers.update(customer, {"metadata": {"b": "", "c": "3"}})
    assert merged.metadata is not None
    assert merged.metadata.to_dict() == {"a": "1", "c": "3"}
    cleared = emulator.api.customers.update(customer, {"metadata": ""})
    assert cleared.metadata is not None
    assert cleared.metadata.to_dict() == {}


@pytest.mark.parametrize(
    "metadata",
    [{"k" * 41: "v"}, {"k": "v" * 501}, {f"k{i}": "v" for i in range(51)}],
    ids=["key", "value", "count"],
)
def test_metadata_limits(emulator: Emulated, metadata: dict[str, str]) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"[Mm]etadata"):
        emulator.api.customers.create({"metadata": metadata})


def test_an_empty_text_unsets_it(emulator: Emulated) -> None:
    customer = emulator.customer(None, description="old", name="Ada").id
    updated = emulator.api.customers.update(customer, {"description": ""})
    assert (updated.description, updated.name) == (None, "Ada")


def test_a_field_cannot_be_a_value_and_a_container() -> None:
    with pytest.raises(StripeError, match="Invalid object"):
        forms.parse("a=1&a[b]=2")
    with pytest.raises(StripeError, match="Invalid object"):
        forms.parse("a[b]=2&a=1")


@given(st.lists(st.tuples(st.text("abelins[]0٣².%&=", max_size=12) | st.just("lines[0][amount]"), st.text(max_size=6))))
def test_whatever_arrives_is_read_or_refused_and_never_an_accident(pairs: list[tuple[str, str]]) -> None:
    encoded = "&".join(f"{name}={value}" for name, value in pairs)
    with suppress(StripeError):
        validation.checker("InvoiceAddLinesParams")(forms.parse(encoded), "")


@pytest.mark.parametrize("query", ["created[gte]=9999999999999999999", "created=1e9", f"types[{'9' * 5_000}]=x"])
def test_numbers_beyond_any_use_are_a_400(emulator: Emulated, query: str) -> None:
    assert emulator.http.get(f"/v1/events?{query}").status_code == 400
