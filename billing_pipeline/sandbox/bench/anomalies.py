"""Recall and false alarms of the detection of unusual usage and amounts, on seeded ones with injected spikes and drops.

Usage: sixty series with days and weekends, growth, quiet nights and noise of different size, hour by hour for fourteen
weeks; the last four are judged. What is injected is a single hour: three to ten times as much, or a tenth to nothing.
Amounts: five hundred customers with growth and noise of different size, month by month for two years; the last eight
are judged. What is injected is a single month: three to ten times as much, or a fifth to nothing.
"""

from collections import Counter
from math import exp, pi, sin, sqrt
from random import Random
from typing import Any

from billing_pipeline.notices.rules.anomalies import EVENTS_MIN, NEIGHBOURS, WEEKS, Hour, unusual, unusual_amount

SERIES, WEEKS_MADE, WEEKS_JUDGED = 60, 14, 4
CUSTOMERS, MONTHS_MADE, MONTHS_JUDGED = 500, 24, 8
INJECTED = 200
WEEK_H = 7 * 24
DAYS = 30


def measure_anomalies(seed: int = 2026) -> dict[str, Any]:
    """How many of the injected were found, by kind, and how many alarms were false."""
    dice = Random(seed)  # noqa: S311 - the same usage each time
    series = [_usage(dice) for _ in range(SERIES)]
    first_judged = (WEEKS_MADE - WEEKS_JUDGED) * WEEK_H
    places = [(number, hour) for number in range(SERIES) for hour in range(first_judged, WEEKS_MADE * WEEK_H)]
    # nobody can miss what is not there
    chosen = dice.sample([(n, h) for n, h in places if series[n][h].events >= EVENTS_MIN * 2], INJECTED)
    kinds = {}
    for number, (one, hour) in enumerate(chosen):
        factor = dice.uniform(3, 10) if number % 2 else dice.uniform(0, 0.1)
        kinds[one, hour] = "spikes" if factor > 1 else "drops"
        old = series[one][hour]
        series[one][hour] = Hour(old.quantity * factor, round(old.events * factor))
    alarms = []
    for one, hour in places:
        before = [[series[one][hour - week * WEEK_H + beside] for beside in NEIGHBOURS] for week in range(1, WEEKS + 1)]
        if unusual(series[one][hour], before) is not None:
            alarms.append((one, hour))
    return _figures(kinds, alarms, "hours", len(places))


def measure_amounts(seed: int = 2026) -> dict[str, Any]:
    """The same of what months come to."""
    dice = Random(seed)  # noqa: S311 - the same amounts each time
    series = [_amounts(dice) for _ in range(CUSTOMERS)]
    places = [(n, month) for n in range(CUSTOMERS) for month in range(MONTHS_MADE - MONTHS_JUDGED, MONTHS_MADE)]
    kinds = {}
    for number, (one, month) in enumerate(dice.sample(places, INJECTED)):
        factor = dice.uniform(3, 10) if number % 2 else dice.uniform(0, 0.2)
        kinds[one, month] = "spikes" if factor > 1 else "drops"
        series[one][month] = round(series[one][month] * factor)
    alarms = [
        (one, month)
        for one, month in places
        if unusual_amount(series[one][month], DAYS, [amount / DAYS for amount in series[one][month - 1 :: -1]])
    ]
    return _figures(kinds, alarms, "months", len(places))


def _figures(
    kinds: dict[tuple[int, int], str], alarms: list[tuple[int, int]], what: str, judged: int
) -> dict[str, Any]:
    found = Counter(kinds[place] for place in alarms if place in kinds)
    false_alarms = len(alarms) - found.total()
    return {
        f"judged_{what}": judged,
        "injected": len(kinds),
        "recall": round(found.total() / len(kinds), 3),
        "spikes_found": found["spikes"],
        "drops_found": found["drops"],
        "false_alarms": false_alarms,
        f"false_alarms_per_10000_{what}": round(10_000 * false_alarms / (judged - len(kinds)), 2),
    }


def _amounts(dice: Random) -> list[int]:
    """What one customer's months come to, in minor units."""
    usual_minor, noise, growth = exp(dice.uniform(8, 14)), dice.uniform(0.02, 0.3), dice.uniform(-0.02, 0.05)
    return [round(usual_minor * (1 + growth) ** month * exp(dice.gauss(0, noise))) for month in range(MONTHS_MADE)]


def _usage(dice: Random) -> list[Hour]:
    """One customer's meter, hour by hour."""
    events_an_hour = exp(dice.uniform(3, 7.5))
    noise, growth, size = dice.uniform(0.05, 0.25), dice.uniform(-0.01, 0.03), dice.uniform(0.1, 100)
    night = dice.choice((0.0, 0.1, 0.5))
    weekend = dice.choice((0.2, 0.6, 1.0))
    made = []
    for hour in range(WEEKS_MADE * WEEK_H):
        of_day = night + (1 - night) * max(sin(pi * (hour % 24 - 5) / 18), 0)
        level = events_an_hour * of_day * (weekend if hour // 24 % 7 >= 5 else 1) * (1 + growth) ** (hour / WEEK_H)
        mean = level * exp(dice.gauss(0, noise))
        events = max(round(dice.gauss(mean, sqrt(mean))), 0)
        made.append(Hour(events * size * exp(dice.gauss(0, 0.02)), events))
    return made
