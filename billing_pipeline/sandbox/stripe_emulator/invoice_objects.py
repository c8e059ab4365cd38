"""The shape of an invoice and of its lines, and their sums; no state changes."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from . import currencies
from .errors import StripeError, invalid
from .indexing import Body
from .listing import sublist
from .store import new_id
from .work import Work, merged_metadata, text_or_none

LINES_MAX = 250
LINES_EMBEDDED = 10
AUTO_ADVANCE_S = 3_600


def new_invoice(work: Work, customer: Body, currency: str, params: Body, starting_balance: int) -> Body:
    """A draft without lines."""
    invoice_id = new_id("in")
    auto_advance = params.get("auto_advance", False)
    finalizes_at = params.get("automatically_finalizes_at") or (work.now + AUTO_ADVANCE_S if auto_advance else None)
    method = params.get("collection_method", "charge_automatically")
    return {
        "id": invoice_id,
        "object": "invoice",
        "account_country": "US",
        "account_name": "Stripe emulator",
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": auto_advance,
        "automatic_tax": {
            "disabled_reason": None, "enabled": False, "liability": None, "provider": None, "status": None
        },
        "automatically_finalizes_at": finalizes_at,
        "billing_reason": "manual",
        "collection_method": method,
        "created": work.now,
        "currency": currency,
        "custom_fields": params.get("custom_fields") or None,
        "customer": customer["id"],
        "customer_account": None,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": params.get("default_payment_method") or None,
        "default_source": None,
        "default_tax_rates": [],
        "description": text_or_none(params, "description"),
        "discounts": [],
        "due_date": due_date(work, method, params),
        "effective_at": params.get("effective_at") or None,
        "ending_balance": None,
        "footer": text_or_none(params, "footer"),
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": sublist([], f"/v1/invoices/{invoice_id}/lines"),
        "livemode": False,
        "metadata": merged_metadata(None, params.get("metadata")),
        "next_payment_attempt": finalizes_at if method == "charge_automatically" else None,
        "number": params.get("number") or None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None
        },
        "period_end": work.now,
        "period_start": work.now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": starting_balance,
        "statement_descriptor": text_or_none(params, "statement_descriptor"),
        "status": "draft",
        "status_details": None,
        "status_transitions": {
            "finalized_at": None, "marked_uncollectible_at": None, "paid_at": None, "voided_at": None
        },
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "threshold_reason": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    }  # fmt: skip


def due_date(work: Work, collection_method: str, params: Body) -> int | None:
    """When an emailed invoice is due; Stripe refuses a due date on one that is charged automatically."""
    days, date = params.get("days_until_due"), params.get("due_date")
    if collection_method == "charge_automatically":
        if days is not None or date is not None:
            name = "due_date" if days is None else "days_until_due"
            raise invalid(
                f"You can only set {name} on an invoice if `collection_method` is `send_invoice`.", param=name
            )
        return None
    if days is None and date is None:
        raise invalid(
            "If invoice collection method is `send_invoice`, you must specify `due_date` or `days_until_due`.",
            code="parameter_missing",
        )
    return date if date is not None else work.now + int(days or 0) * 86_400


def new_line(work: Work, invoice: Body, params: Body, parent: Body, path: str) -> Body:
    """A line item from `amount`, or from a quantity times a price (rounded once, half away from zero)."""
    amount, quantity, pricing = priced(work, params, invoice["currency"], path)
    period = params.get("period") or {"start": work.now, "end": work.now}
    if period["end"] < period["start"]:
        raise invalid("Invalid period: end must be greater than or equal to start.", param=f"{path}[period][end]")
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": amount,
        "currency": invoice["currency"],
        "description": text_or_none(params, "description") or pricing.get("description"),
        "discount_amounts": [],
        "discountable": params.get("discountable", amount >= 0),
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "metadata": merged_metadata(None, params.get("metadata")),
        "parent": parent,
        "period": {"end": period["end"], "start": period["start"]},
        "pretax_credit_amounts": [],
        "pricing": pricing["pricing"],
        "quantity": int(quantity) if quantity == int(quantity) else None,
        "quantity_decimal": plain(quantity),
        "subscription": None,
        "subtotal": amount,
        "taxes": [],
    }


def priced(work: Work, params: Body, currency: str, path: str) -> tuple[int, Decimal, Body]:
    """Amount in minor units, quantity, and ``{"pricing": …, "description": …}`` of a line or invoice item."""
    from . import catalog

    def where(name: str) -> str:
        return f"{path}[{name}]" if path else name

    quantities = [name for name in ("quantity", "quantity_decimal") if name in params]
    if len(quantities) > 1:
        raise exclusive(*quantities)
    quantity = Decimal(params[quantities[0]]) if quantities else Decimal(1)
    if quantity < 0:
        raise invalid("Invalid non-negative number.", param=where(quantities[0]))
    if "amount" in params:
        clash = [
            n for n in ("quantity", "quantity_decimal", "price_data", "pricing", "unit_amount_decimal") if n in params
        ]
        if clash:
            raise exclusive("amount", clash[0])
        currencies.check_step(params["amount"], currency, where("amount"))
        return params["amount"], quantity, {"pricing": amount_pricing(Decimal(params["amount"]))}
    unit_amount, pricing = catalog.unit_price(work, params, currency, path)
    exact = unit_amount * quantity
    amount = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    currencies.check_step(amount, currency, path or "unit_amount_decimal")
    return amount, quantity, pricing


def amount_pricing(unit_amount: Decimal) -> Body:
    """Stripe makes a one-time price behind the scenes for a line that only has an amount."""
    details = {"price": new_id("price"), "product": new_id("prod", 14)}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": plain(unit_amount)}


def exclusive(first: str, second: str) -> StripeError:
    """Stripe's refusal of two parameters that exclude each other."""
    return invalid(
        f"You may only specify one of these parameters: {first}, {second}.",
        code="parameters_exclusive",
        param=first,
    )


def plain(value: Decimal) -> str:
    """A decimal as Stripe writes it: no exponent, no trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def with_lines(invoice: Body, lines: list[Body]) -> Body:
    """The draft with these lines: embedded page, subtotal, total and what would be due now."""
    url = f"/v1/invoices/{invoice['id']}/lines"
    total = sum(line["amount"] for line in lines)
    changed = invoice | {
        "lines": sublist(lines[:LINES_EMBEDDED], url, has_more=len(lines) > LINES_EMBEDDED),
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_excluding_tax": total,
    }
    due = max(0, total + invoice["starting_balance"])
    return changed | {"amount_due": due, "amount_remaining": due}


def lines_of(work: Work, invoice: str) -> list[Body]:
    """All lines of an invoice in the order they were added."""
    return work.store.find("line_item", ("parent = ?", invoice))


def item_parent(invoice_item: str, subscription: str | None = None) -> Body:
    """The parent of a line that came from an invoice item."""
    details: dict[str, Any] = {
        "invoice_item": invoice_item,
        "proration": False,
        "proration_details": None,
        "subscription": subscription,
    }  # fmt: skip
    return {
        "invoice_item_details": details,
        "subscription_item_details": None,
        "type": "invoice_item_details",
    }
