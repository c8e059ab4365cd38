"""What the customer reads of a line at Stripe: its description, and how its amount came about.

Stripe is sent amounts, and shows each line with quantity 1; so quantity, tier and unit price stand in the text.
It is in English, with the ISO code of the invoice's currency: no customer has a language here yet. Amounts stay.
"""

from dataclasses import dataclass
from decimal import Decimal

from billing_pipeline.core.money import exponent

_TIMES = "\N{MULTIPLICATION SIGN}"
TEXT_MAX = 500
"""Characters of a line's description: https://docs.stripe.com/api/invoices/add_lines."""


@dataclass(frozen=True, slots=True)
class Priced:
    """How a metered line was priced: the line's quantities, and the terms of its price's row.

    `quantity` is billed (of the model package: packages), `unit_amount` in major units for each. A tier prices what is
    above `tier_from` and up to `tier_up_to`, without end if that is None.
    """

    model: str
    quantity: Decimal
    included_quantity: Decimal
    unit_amount: Decimal
    tier_no: int = 0
    tier_from: Decimal = Decimal(0)
    tier_up_to: Decimal | None = None
    package_size: Decimal | None = None


def line_text(description: str, priced: Priced | None, currency: str) -> str:
    """`Large input tokens: 1,500 x 0.02 USD (tier 2: above 500 up to 2,000)`; at most TEXT_MAX characters.

    A flat fee, a minimum or an adjustment (`priced` None) has its description alone. Where the text would be too long,
    the description is shortened and the numbers stay.
    """
    told = "" if priced is None or priced.model == "flat" else f": {_how(priced, currency)}"
    room = TEXT_MAX - len(told)
    return (description if len(description) <= room else f"{description[: room - 1]}…") + told


def _how(priced: Priced, currency: str) -> str:
    price = _price(priced.unit_amount, currency)
    if priced.package_size is not None:
        product = f"{_number(priced.quantity)} {_TIMES} {_number(priced.package_size)} for {price}"
    else:
        product = f"{_number(priced.quantity)} {_TIMES} {price}"
    notes = []
    if priced.included_quantity:
        notes.append(f"{_number(priced.included_quantity)} more included")
    if priced.model in ("graduated", "volume"):
        notes.append(_tier(priced))
    return f"{product} ({', '.join(notes)})" if notes else product


def _tier(priced: Priced) -> str:
    bounds = []
    if priced.tier_from or priced.tier_up_to is None:
        bounds.append(f"above {_number(priced.tier_from)}")
    if priced.tier_up_to is not None:
        bounds.append(f"up to {_number(priced.tier_up_to)}")
    return f"tier {priced.tier_no + 1}: {' '.join(bounds)}"


def _number(quantity: Decimal) -> str:
    """Without trailing zeros, and with every other digit; thousands are grouped."""
    text = f"{quantity:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _price(amount: Decimal, currency: str) -> str:
    """At least as many decimals as the currency has, and every other digit that the rate has."""
    whole, _, decimals = f"{amount:,f}".partition(".")
    kept = decimals.rstrip("0").ljust(exponent(currency), "0")
    return f"{whole}{'.' if kept else ''}{kept} {currency.upper()}"
