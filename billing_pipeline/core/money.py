"""Minor units, currency exponents and the one rounding function of the program.

Here: what a currency's integers mean and how an exact amount becomes one of them. Not here: the same for a column
(money_columns: it loads Arrow), prices, quantities, minimum charges, exchange rates.

Amounts are integers of the unit Stripe's API uses, which is the ISO 4217 minor unit except where
https://docs.stripe.com/currencies says otherwise; currency codes are lower case, as Stripe writes them.
"""

from decimal import Decimal, InvalidOperation


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


# https://docs.stripe.com/currencies#zero-decimal, less UGX: see WHOLE_UNITS_AS_CENTS.
ZERO_DECIMAL = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")

# https://docs.stripe.com/currencies#three-decimal: the last digit must be 0.
THREE_DECIMAL = _codes("bhd jod kwd omr tnd")

# https://docs.stripe.com/currencies#special-cases: no fractions exist, yet the API takes two decimals that
# must be 00. UGX stands on the zero-decimal list of the same page as well; the special case is what the API
# does ("to charge 5 UGX, provide an amount value of 500"): sending 5 would charge a hundredth.
WHOLE_UNITS_AS_CENTS = frozenset({"isk", "ugx"})

# https://docs.stripe.com/currencies#presentment-currencies, and the three-decimal ones.
CURRENCIES = THREE_DECIMAL | _codes(
    """
    aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bif bmd bnd bob brl bsd bwp byn bzd cad
    cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd
    hkd hnl htg huf idr ils inr isk jmd jpy kes kgs khr kmf krw kyd kzt lak lbp lkr lrd lsl mad mdl
    mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln pyg
    qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah
    ugx usd uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
    """
)

AMOUNT_MINOR_MIN = -(2**63)
AMOUNT_MINOR_MAX = 2**63 - 1


class AmountOutOfRangeError(ValueError):
    """An amount that is no finite number or does not fit the 64 bits that Postgres and Stripe give it."""


def is_currency(code: str) -> bool:
    """Whether `code` is a lower-case ISO 4217 code that Stripe charges."""
    return code in CURRENCIES


def exponent(currency: str) -> int:
    """Digits of the currency's minor unit as Stripe's API counts them: 0, 2 or 3.

    Raises ValueError for an unknown currency: a guessed exponent is a charge wrong by a factor of 100.
    """
    if currency not in CURRENCIES:
        raise ValueError(f"unknown currency {currency!r}: expected a lower-case ISO 4217 code that Stripe charges")
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def rounding_step_minor(currency: str) -> int:
    """The step, in minor units, that every charged amount must be a multiple of: 1, 10 or 100."""
    if currency in WHOLE_UNITS_AS_CENTS:
        return 100
    return 10 if exponent(currency) == 3 else 1


def to_minor(amount: Decimal, currency: str) -> int:
    """The exact `amount` (whole currency units) as minor units, half away from zero to the currency's step.

    Works on integers, so neither the decimal context nor the amount's length matters. Raises
    AmountOutOfRangeError for NaN, infinity and what does not fit 64 bits, ValueError for an unknown currency.
    """
    step = rounding_step_minor(currency)
    shift = exponent(currency)
    sign, digits, power = amount.as_tuple()
    if not isinstance(power, int):
        raise AmountOutOfRangeError(f"{amount} {currency} is not an amount")
    if not amount or amount.adjusted() < -30:  # also spares building 10 ** 1_000_000 below
        return 0
    if amount.adjusted() > 30:
        raise _out_of_range(amount, currency)
    # Digits that far behind the point cannot lift a value to the half; int() refuses texts of 4,300 digits.
    power += shift + max(len(digits) - 100, 0)
    coefficient = int("".join(map(str, digits[:100])))
    numerator = coefficient * int(10 ** max(power, 0))
    denominator = step * int(10 ** max(-power, 0))
    steps: int = (2 * numerator + denominator) // (2 * denominator)
    minor = -steps * step if sign else steps * step
    if not AMOUNT_MINOR_MIN <= minor <= AMOUNT_MINOR_MAX:
        raise _out_of_range(amount, currency)
    return minor


def parse_minor(text: str, currency: str) -> int:
    """An amount that a person wrote in major units, such as `12.50`, in minor units: exactly, never rounded.

    Raises:
        ValueError: it is no amount, or finer than the currency's smallest step; the text says what was expected.
    """
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f'"{text}": expected an amount in {currency.upper()} such as 12.50') from None
    if not amount.is_finite():
        raise ValueError(f'"{text}": expected an amount in {currency.upper()} such as 12.50')
    minor = to_minor(amount, currency)
    if Decimal(minor).scaleb(-exponent(currency)) != amount:
        raise ValueError(f'"{text}": finer than the smallest step of {currency.upper()}')
    return minor


def format_minor(amount_minor: int, currency: str) -> str:
    """For people: `1,010.00 USD`, `-5.00 USD`, `1,010 JPY`; ISK and UGX keep Stripe's two zeros."""
    digits = exponent(currency)
    whole, fraction = divmod(abs(amount_minor), 10**digits)
    text = f"{whole:,}" + (f".{fraction:0{digits}d}" if digits else "")
    return f"{'-' if amount_minor < 0 else ''}{text} {currency.upper()}"


def _out_of_range(amount: Decimal, currency: str) -> AmountOutOfRangeError:
    return AmountOutOfRangeError(f"{amount} {currency} does not fit 64 bits of minor units")
