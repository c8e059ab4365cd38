"""Products and prices: as much as invoice lines and subscriptions need (per-unit prices only)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from . import currencies
from .errors import StripeError, invalid, unsupported
from .indexing import Body
from .listing import Page, equals, page
from .routes import list_route, retrieving, route
from .store import new_id
from .work import Work, merged_metadata, text_or_none


def plain(value: Decimal) -> str:
    """A decimal as Stripe writes it: no exponent, no trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def create_product(work: Work, params: Body) -> Body:
    """POST /v1/products."""
    product_id = params.get("id") or new_id("prod", 14)
    try:
        work.store.text("product", product_id)
    except StripeError:
        pass
    else:
        raise invalid("Product already exists.", code="resource_already_exists", param="id")
    body = {
        "id": product_id,
        "object": "product",
        "active": params.get("active", True),
        "created": work.now,
        "default_price": None,
        "description": text_or_none(params, "description"),
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": merged_metadata(None, params.get("metadata")),
        "name": params["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "tax_details": None,
        "type": "service",
        "unit_label": text_or_none(params, "unit_label"),
        "updated": work.now,
        "url": None,
    }
    return work.create(body, "product.created")


def list_products(work: Work, params: Body) -> Page:
    """GET /v1/products."""
    return page(work, "product", params, "/v1/products", _active(params))


def create_price(work: Work, params: Body) -> Body:
    """POST /v1/prices: per-unit prices, one-time or licensed recurring."""
    if "product" in params:
        product = work.store.get("product", params["product"], "product")
    elif "product_data" in params:
        product = create_product(work, params["product_data"])
    else:
        raise invalid("You must specify either `product` or `product_data`.", code="parameter_missing")
    currency = currencies.known(params["currency"])
    unit_amount = _unit_amount(params, "")
    recurring = params.get("recurring")
    if recurring and recurring.get("usage_type", "licensed") != "licensed":
        raise unsupported("metered prices")
    body = {
        "id": new_id("price"),
        "object": "price",
        "active": params.get("active", True),
        "billing_scheme": "per_unit",
        "created": work.now,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": params.get("lookup_key"),
        "metadata": merged_metadata(None, params.get("metadata")),
        "nickname": params.get("nickname"),
        "product": product["id"],
        "recurring": recurring
        and {
            "interval": recurring["interval"],
            "interval_count": recurring.get("interval_count", 1),
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": int(unit_amount) if unit_amount == int(unit_amount) else None,
        "unit_amount_decimal": plain(unit_amount),
    }
    return work.create(body, "price.created")


def list_prices(work: Work, params: Body) -> Page:
    """GET /v1/prices."""
    return page(work, "price", params, "/v1/prices", [*equals(params, product="parent"), *_active(params)])


def _active(params: Body) -> list[tuple[str, Any]]:
    return [("status = ?", str(params["active"]))] if "active" in params else []


def _unit_amount(params: Body, path: str) -> Decimal:
    names = [name for name in ("unit_amount", "unit_amount_decimal") if name in params]
    if len(names) != 1:
        message = "You must specify exactly one of `unit_amount` and `unit_amount_decimal`."
        raise invalid(message, code="parameter_missing", param=f"{path}[unit_amount]" if path else "unit_amount")
    return Decimal(params[names[0]])


def unit_price(work: Work, params: Body, currency: str, path: str) -> tuple[Decimal, Body]:
    """The unit amount of a line, and its ``pricing`` and default description."""
    prefix = f"{path}[price_data]" if path else "price_data"
    if "pricing" in params and "price" in params["pricing"]:
        price = work.store.get("price", params["pricing"]["price"], "price")
        description = work.store.get("product", price["product"])["name"]
        unit_amount = Decimal(price["unit_amount_decimal"])
        price_id, product_id, price_currency = price["id"], price["product"], price["currency"]
    elif "price_data" in params:
        data = params["price_data"]
        if "product_data" in data:
            product = create_product(work, data["product_data"])
        elif "product" in data:
            product = work.store.get("product", data["product"], f"{prefix}[product]")
        else:
            raise invalid(
                "You must specify either `product` or `product_data`.", code="parameter_missing", param=prefix
            )
        unit_amount, description = _unit_amount(data, prefix), product["name"]
        price_id, product_id, price_currency = new_id("price"), product["id"], data["currency"].lower()
    elif "unit_amount_decimal" in params:
        unit_amount, description = params["unit_amount_decimal"], None
        price_id, product_id, price_currency = new_id("price"), new_id("prod", 14), currency
    else:
        raise invalid(
            "You must specify one of `amount`, `price_data` or `pricing`.",
            code="parameter_missing",
            param=path or None,
        )
    if price_currency != currency:
        raise invalid(
            f"The currency of the price ({price_currency}) doesn't match the invoice's ({currency}).",
            param=prefix,
        )
    pricing = {
        "price_details": {"price": price_id, "product": product_id},
        "type": "price_details",
        "unit_amount_decimal": plain(unit_amount),
    }
    return unit_amount, {"pricing": pricing, "description": description}


ROUTES = (
    route("POST", "/v1/products", "ProductCreate", create_product, "id name active description metadata unit_label"),
    list_route("/v1/products", "ProductList", list_products, "created active"),
    retrieving("/v1/products/:product", "ProductRetrieve", "product"),
    route(
        "POST",
        "/v1/prices",
        "PriceCreate",
        create_price,
        "currency product product_data.name product_data.metadata product_data.unit_label unit_amount "
        "unit_amount_decimal recurring.interval recurring.interval_count recurring.usage_type active "
        "lookup_key metadata nickname",
    ),
    list_route("/v1/prices", "PriceList", list_prices, "created active product"),
    retrieving("/v1/prices/:price", "PriceRetrieve", "price"),
)
