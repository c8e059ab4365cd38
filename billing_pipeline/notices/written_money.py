"""Amounts as people read them, by CLDR."""

import re
from decimal import Decimal

from babel import Locale
from babel.numbers import format_currency

from billing_pipeline.core.money import WHOLE_UNITS_AS_CENTS, exponent

_LETTERS_AND_DIGIT = re.compile(r"([A-Z]{3})(?=\d)")
_LETTERS_AND_SIGN = re.compile(r"([A-Z]\$)")


def written_money(amount_minor: int | Decimal, currency: str, locale: Locale) -> str:
    """The amount with the digits and the sign of its currency, where the language puts them.

    Raises:
        ValueError: the currency is none that Stripe charges.
    """
    amount = Decimal(amount_minor).scaleb(-exponent(currency))
    if currency in WHOLE_UNITS_AS_CENTS:
        amount = amount.quantize(Decimal(1))
    return _spaced(format_currency(amount, currency.upper(), locale=locale), locale)


def written_price(value: Decimal, currency: str, locale: Locale) -> str:
    """A price of one unit in major units, with as many digits as it has."""
    return _spaced(format_currency(value, currency.upper(), locale=locale, decimal_quantization=False), locale)


def _spaced(written: str, locale: Locale) -> str:
    # CLDR has a blank between letters and digits, which Babel leaves out
    written = _LETTERS_AND_DIGIT.sub("\\1\xa0", written)
    # a sign behind letters stays behind them, also where all else goes from right to left: US$, not $US
    return _LETTERS_AND_SIGN.sub("\\1\u200e", written) if locale.text_direction == "rtl" else written
