"""The HTML report of a difference: one file that needs nothing else, its waterfalls drawn as inline SVG."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from billing_pipeline.comparison.rules.month_diff import CAUSES, Difference, Waterfall
from billing_pipeline.core.money import exponent, format_minor

WIDTH, HEIGHT = 880, 340
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 34, 44
CUSTOMERS_SHOWN = 200
CUT_AXIS_ABOVE = Decimal("0.6")
"""Where every level is above this part of the highest, the axis does not start at zero: the steps would not be seen."""


@dataclass(frozen=True)
class Comparison:
    """Two sides and what differs between them, with the words for it."""

    title: str
    before: str
    after: str
    found: Sequence[Difference]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Bar:
    """A rectangle of the chart with its labels; `kind` is total, up, down or none."""

    x: float
    y: float
    width: float
    height: float
    name: str
    amount: str
    kind: str
    level_y: float
    """Where the next bar takes over."""


def render(
    title: str, falls: Sequence[Waterfall], months: tuple[str, str], comparisons: Sequence[Comparison], footer: str
) -> str:
    """The page: a waterfall a currency from the first of `months` to the second, then each comparison's lines."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": format_minor, "signed": _signed, "plain": _plain, "values": _values}
    return environment.get_template("diff_report.html.j2").render(
        title=title,
        months=months,
        charts=[_chart(fall, months) for fall in falls],
        comparisons=[(comparison, _by_customer(comparison.found), _totals(comparison)) for comparison in comparisons],
        footer=footer,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        shown=CUSTOMERS_SHOWN,
    )


def _chart(fall: Waterfall, months: tuple[str, str]) -> dict[str, Any]:
    causes = [(cause, fall.causes[cause]) for cause in CAUSES if cause != "other" or fall.causes[cause]]
    levels = [fall.before_minor]
    for _, amount in causes:
        levels.append(levels[-1] + amount)
    bottom, top, step = _axis([*levels, fall.after_minor], fall.currency)
    height = HEIGHT - TOP - BOTTOM

    def y(level: int) -> float:
        return round(TOP + height * float(Decimal(top - level) / Decimal(top - bottom)), 2)

    slot = (WIDTH - LEFT - RIGHT) / (len(causes) + 2)
    base = min(max(0, bottom), top)
    spans = [(months[0], base, fall.before_minor, "total")]
    spans += [
        (cause, low, low + amount, "up" if amount > 0 else "down" if amount < 0 else "none")
        for (cause, amount), low in zip(causes, levels[:-1], strict=True)
    ]
    spans.append((months[1], base, fall.after_minor, "total"))
    bars = []
    for number, (name, start, end, kind) in enumerate(spans):
        shown = format_minor(end, fall.currency) if kind == "total" else _signed(end - start, fall.currency)
        upper, lower = y(max(start, end)), y(min(start, end))
        bars.append(
            Bar(
                x=round(LEFT + slot * number + slot * 0.14, 2),
                y=upper,
                width=round(slot * 0.72, 2),
                height=max(round(lower - upper, 2), 1.5),
                name=name,
                amount=shown,
                kind=kind,
                level_y=y(end),
            )
        )
    ticks = [(y(level), format_minor(level, fall.currency)) for level in range(bottom, top + 1, step)]
    change = fall.after_minor - fall.before_minor
    share = f"{change / fall.before_minor:+.1%}" if fall.before_minor > 0 else ""
    return {
        "fall": fall,
        "bars": bars,
        "ticks": ticks,
        "cut": bottom > 0,
        "bottom": bottom,
        "change": change,
        "share": share,
        "base_y": y(base),
    }


def _axis(levels: Sequence[int], currency: str) -> tuple[int, int, int]:
    """Where the axis starts and ends, and its step, all of them round in the currency's unit."""
    low, high = min(levels), max(*levels, 1)
    start = low if low < 0 or low > high * CUT_AXIS_ABOVE else 0
    if start == low > 0:
        start = max(0, low - (high - low or high))
    unit = 10 ** exponent(currency)
    step = _round_step(max((high - start) / 5, 1), unit)
    bottom = start // step * step
    return bottom, -(-high // step) * step if high > bottom else bottom + step, step


def _round_step(wanted: float, unit: int) -> int:
    step = unit
    while True:
        for factor in (1, 2, 5):
            if step * factor >= wanted:
                return step * factor
        step *= 10


def _by_customer(found: Sequence[Difference]) -> list[tuple[str, str, int, list[Difference]]]:
    groups = groupby(found, key=lambda each: (each.customer_id, each.currency))
    listed = [(customer, currency, list(own)) for (customer, currency), own in groups]
    return [(customer, currency, sum(d.difference_minor for d in own), own) for customer, currency, own in listed]


def _totals(comparison: Comparison) -> list[tuple[str, int, int, int, dict[str, int]]]:
    """By currency: customers, lines, the sum, and its causes."""
    totals = []
    for currency in sorted({each.currency for each in comparison.found}):
        own = [each for each in comparison.found if each.currency == currency]
        causes = {cause: sum(getattr(each, f"{cause}_minor") for each in own) for cause in CAUSES}
        customers = len({each.customer_id for each in own})
        totals.append((currency, customers, len(own), sum(causes.values()), {k: v for k, v in causes.items() if v}))
    return totals


def _signed(amount_minor: int, currency: str) -> str:
    return f"{'+' if amount_minor > 0 else ''}{format_minor(amount_minor, currency)}"


def _plain(number: Decimal) -> str:
    shown = f"{number:,f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _values(dimensions: str) -> Iterable[str]:
    return [str(value) for value in json.loads(dimensions).values()]
