"""What the prices of a bill include, and how much of that is used. Pure.

An allowance holds for what the price's terms say: a combination of dimensions, all of a meter (`scope: meter`), or all
prices of one list that name the same pool (pricing/rules/rating_scopes.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

Shared = tuple[object, ...]
"""What names all that one allowance covers."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is included, used and left of it, in the meters' unit; `used` counts what is above it too.

    `description`: of the first line that it covers. `pool`: the name under which several prices share it.
    """

    meters: list[str]
    pool: str | None
    description: str
    included: Decimal
    used: Decimal

    @property
    def left(self) -> Decimal:
        """What may still be used without being billed."""
        return max(self.included - self.used, Decimal(0))

    @property
    def above(self) -> Decimal:
        """What was used beyond it."""
        return max(self.used - self.included, Decimal(0))


def allowances(lines: Iterable[Mapping[str, Any]], prices: Mapping[str, Mapping[str, Any]]) -> list[Allowance]:
    """The allowances that the lines of a bill draw on, in their order.

    Args:
        lines: rated lines, as `pricing.rules.rating_frames.LINE_SCHEMA` says.
        prices: by `price_id` those that include something, as `PRICE_SCHEMA` says.
    """
    found: dict[Shared, Allowance] = {}
    for line in lines:
        price = prices.get(line["price_id"]) if line["kind"] == "usage" else None
        if price is None or _is_one_of_many(price):
            continue
        shared = _shared(line, price)
        known = found.get(shared) or Allowance([], price["pool"], line["description"], price["included"], Decimal(0))
        meters = known.meters if line["meter"] in known.meters else [*known.meters, line["meter"]]
        found[shared] = replace(known, meters=meters, used=known.used + line["usage_quantity"])
    return list(found.values())


def _is_one_of_many(price: Mapping[str, Any]) -> bool:
    """Whether a line stands for combinations that have an allowance each: it does not say how much of which is used."""
    return price["lines"] == "merged" and price["scope"] != "meter" and price["pool"] is None


def _shared(line: Mapping[str, Any], price: Mapping[str, Any]) -> Shared:
    owner = (price["version_id"], price["customer_id"], price["plan"])
    if price["pool"] is not None:
        return (*owner, "pool", price["pool"])
    return (*owner, line["meter"]) if price["scope"] == "meter" else (*owner, line["meter"], line["dimensions"])
