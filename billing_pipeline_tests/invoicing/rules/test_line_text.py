"""A customer can tell the lines of one price apart, and compute each amount from its text."""

from decimal import Decimal
from typing import Any

import pytest

from billing_pipeline.invoicing.rules.line_text import TEXT_MAX, Priced, line_text

NONE = Decimal(0)


def priced(model: str, quantity: str, unit_amount: str, **over: Any) -> Priced:
    terms: dict[str, Any] = {name: Decimal(value) if isinstance(value, str) else value for name, value in over.items()}
    included = terms.pop("included", NONE)
    return Priced(model, Decimal(quantity), included, Decimal(unit_amount), **terms)


def _times(text: str) -> str:
    return text.replace(" x ", " \N{MULTIPLICATION SIGN} ")


@pytest.mark.parametrize(
    ("terms", "currency", "text"),
    [
        (priced("per_unit", "12.000000000000", "2.500000000000"), "usd", "12 x 2.50 USD"),
        (priced("per_unit", "1234567.25", "0.0000015"), "eur", "1,234,567.25 x 0.0000015 EUR"),
        (priced("per_unit", "3", "1500"), "jpy", "3 x 1,500 JPY"),
        (priced("per_unit", "3", "1.5"), "bhd", "3 x 1.500 BHD"),
        (priced("per_unit", "200", "0.015", included="10"), "usd", "200 x 0.015 USD (10 more included)"),
        (priced("package", "3", "5", package_size="1000"), "usd", "3 x 1,000 for 5.00 USD"),
        (priced("graduated", "500", "0.03", tier_up_to="500"), "usd", "500 x 0.03 USD (tier 1: up to 500)"),
        (
            priced("graduated", "1500", "0.02", tier_no=1, tier_from="500", tier_up_to="2000"),
            "usd",
            "1,500 x 0.02 USD (tier 2: above 500 up to 2,000)",
        ),
        (
            priced("graduated", "7", "0.01", tier_no=2, tier_from="2000"),
            "usd",
            "7 x 0.01 USD (tier 3: above 2,000)",
        ),
        (
            priced("volume", "20", "1", tier_no=1, tier_from="10", included="5"),
            "usd",
            "20 x 1.00 USD (5 more included, tier 2: above 10)",
        ),
    ],
)  # fmt: skip
def test_quantity_unit_price_and_tier_stand_in_the_text(terms: Priced, currency: str, text: str) -> None:
    assert line_text("Tokens", terms, currency) == f"Tokens: {_times(text)}"


def test_a_flat_fee_and_what_was_not_metered_have_their_description_alone() -> None:
    assert line_text("Platform fee", priced("flat", "1", "10"), "usd") == "Platform fee"
    assert line_text("Goodwill", None, "usd") == "Goodwill"


def test_a_text_that_is_too_long_loses_words_and_no_numbers() -> None:
    text = line_text("x" * 600, priced("per_unit", "12", "2.5"), "usd")
    assert len(text) == TEXT_MAX
    assert text.endswith(_times("x…: 12 x 2.50 USD"))
