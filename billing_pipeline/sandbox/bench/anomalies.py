"""Recall and false alarms of the detection of unusual usage, on seeded usage with injected spikes and drops.

Sixty series with days and weekends, growth, quiet nights and noise of different size, hour by hour for fourteen weeks;
the last four are judged. What is injected is a single hour: three to ten times as much, or a tenth to nothing.
"""

from math import exp, pi, sin, sqrt
from random import Random
from typing import Any

from billing_pipeline.notices.rules.anomalies import EVENTS_MIN, NEIGHBOURS, WEEKS, Hour, unusual

SERIES, WEEKS_MADE, WEEKS_JUDGED = 60, 14, 4
INJECTED = 200
WEEK_H = 7 * 24


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
    found = {"spikes": 0, "drops": 0}
    false_alarms = 0
    for one, hour in places:
        before = [[series[one][hour - week * WEEK_H + beside] for beside in NEIGHBOURS] for week in range(1, WEEKS + 1)]
        if unusual(series[one][hour], before) is None:
            continue
        if (one, hour) in kinds:
            found[kinds[one, hour]] += 1
        else:
            false_alarms += 1
    return {
        "judged_hours": len(places),
        "injected": INJECTED,
        "recall": round(sum(found.values()) / INJECTED, 3),
        "spikes_found": found["spikes"],
        "drops_found": found["drops"],
        "false_alarms": false_alarms,
        "false_alarms_per_10000_hours": round(10_000 * false_alarms / (len(places) - INJECTED), 2),
    }


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
