"""What a period's terms add to its invoice: lines that are derived from the rounded lines, in one fixed order.

Commitments first: what usage, fees and minimums of the commitment's meters lack of its amount. Then discounts, each on
what those before it have left of its meters; a discount of the whole invoice reduces the commitments' lines too. So no
discount takes more than there is, and none reduces what another one took.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

from billing_pipeline.core.money import exponent, format_minor, rounding_step_minor, to_minor
from billing_pipeline.pricing.rules.proration import prorated, short_text
from billing_pipeline.pricing.rules.terms import Term

COMMITMENTS, DISCOUNTS = "commitments", "discounts"
"""What stands for the meter in the lines of terms."""

_EXACT = Context(prec=120, rounding=ROUND_HALF_UP)


@dataclass(frozen=True, slots=True)
class TermLine:
    """A line that a term makes: `amount_minor` above zero of a commitment, below zero of a discount."""

    term: Term
    description: str
    amount_minor: int

    @property
    def meter(self) -> str:
        """`commitments` or `discounts`."""
        return COMMITMENTS if self.term.kind == "commitment" else DISCOUNTS

    @property
    def dimensions(self) -> dict[str, str]:
        """The term's name."""
        return {self.term.kind: self.term.name}


def term_lines(
    lines: Iterable[tuple[str, int]], terms: Sequence[Term], currency: str, days: int, full_days: int | None
) -> list[TermLine]:
    """The lines of these terms, in their order; a term that changes nothing has none.

    Args:
        lines: meter and rounded amount, in minor units, of the invoice's lines of usage, fees and minimums.
        terms: as `TermsInForce.of` gives them: commitments before discounts.
        currency: of all amounts.
        days: of the period.
        full_days: of the cycle's whole period, where this one is short; else None.

    Raises:
        AmountOutOfRangeError: a commitment does not fit 64 bits of minor units.
    """
    rated: dict[str, int] = {}
    for meter, amount_minor in lines:
        rated[meter] = rated.get(meter, 0) + amount_minor
    left = dict(rated)
    found = []
    for term in terms:
        own = [meter for meter in left if term.meters is None or meter in term.meters]
        share = None if full_days is None or term.prorate == "none" else (days, full_days)
        if term.kind == "commitment":
            own = [meter for meter in own if meter in rated]
            due = _amount_minor(term, currency, share)
            missing = due - sum(rated[meter] for meter in own)
            if missing > 0:
                left[COMMITMENTS] = left.get(COMMITMENTS, 0) + missing
                found.append(TermLine(term, _committed_text(term, due, currency, share), missing))
            continue
        base = sum(left[meter] for meter in own)
        off = min(_discount_minor(term, base, currency, share), base)
        if off > 0:
            _spread(left, own, off)
            found.append(TermLine(term, _discount_text(term, base, currency, share), -off))
    return found


def _amount_minor(term: Term, currency: str, share: tuple[int, int] | None) -> int:
    amount = term.amount or Decimal(0)
    return to_minor(amount if share is None else prorated(amount, *share), currency)


def _discount_minor(term: Term, base: int, currency: str, share: tuple[int, int] | None) -> int:
    if term.percent is None:
        return _amount_minor(term, currency, share)
    # 18 + 12 digits of percent and 19 of the base: exact, then rounded once to the currency's step
    step = rounding_step_minor(currency)
    exact = _EXACT.divide(_EXACT.multiply(Decimal(base), term.percent), Decimal(100 * step))
    return int(exact.quantize(Decimal(1), context=_EXACT)) * step


def _spread(left: dict[str, int], meters: Sequence[str], off: int) -> None:
    """Take `off` from the meters by what each has left, the rest of the division from the largest remainders."""
    base = sum(left[meter] for meter in meters)
    parts = {meter: divmod(off * left[meter], base) for meter in meters}
    over = off - sum(whole for whole, _ in parts.values())
    by_rest = sorted(meters, key=lambda meter: -parts[meter][1])
    for place, meter in enumerate(by_rest):
        left[meter] -= parts[meter][0] + (place < over)


def _committed_text(term: Term, due: int, currency: str, share: tuple[int, int] | None) -> str:
    title = term.description or f"Commitment {term.name}"
    days = short_text(*share) if share else ""
    return f"{title}: up to {format_minor(due, currency)}{days} for {_meters(term)}"


def _discount_text(term: Term, base: int, currency: str, share: tuple[int, int] | None) -> str:
    title = term.description or f"Discount {term.name}"
    days = short_text(*share) if share and term.percent is None else ""
    rate = "" if term.percent is None else f"{_number(term.percent)} % "
    return f"{title}: {rate}off {format_minor(base, currency)}{days} for {_meters(term)}"


def _meters(term: Term) -> str:
    return "all of this invoice" if term.meters is None else ", ".join(m.replace("_", " ") for m in term.meters)


def _number(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def major(amount_minor: int, currency: str) -> Decimal:
    """The amount in whole currency units, exactly."""
    return Decimal(amount_minor).scaleb(-exponent(currency))
