"""What of a measure is drawn: bars for each currency and, where the measure says so, each meter or plan. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BARS_MAX = 24
PICTURES_MAX = 4
"""Those whose newest bar is highest: the table has all of them."""


@dataclass(slots=True)
class Picture:
    """Bars of one column, from the oldest to the newest: name (a month or a text) and value. `of`: a meter, a plan."""

    column: str
    currency: str | None
    of: str | None
    bars: list[tuple[Any, Any]] = field(default_factory=list)


def pictures(rows: Sequence[Mapping[str, Any]], drawn: Sequence[str], along: str, apart: str | None) -> list[Picture]:
    """The pictures of a measure's rows, the newest of which come first; where nothing is known there is no bar."""
    found: dict[tuple[Any, ...], Picture] = {}
    for row in reversed(rows):
        for column in drawn:
            of = row[apart] if apart else None
            currency = row.get("currency")
            picture = found.setdefault((column, currency, of), Picture(column, currency, of))
            if row[column] is not None:
                picture.bars.append((row[along], row[column]))
    largest: dict[tuple[str, str | None], list[Picture]] = defaultdict(list)
    for picture in found.values():
        picture.bars = picture.bars[-BARS_MAX:]
        largest[picture.column, picture.currency].append(picture)
    return [
        picture
        for group in largest.values()
        for picture in sorted(group, key=lambda one: one.bars[-1][1] if one.bars else 0, reverse=True)[:PICTURES_MAX]
        if picture.bars
    ]
