"""List answers: one page of objects, and the filters that Stripe's lists share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .indexing import Body
from .store import Filter
from .work import Work

_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; the objects are JSON already, so that a page of 100 costs no parsing."""

    texts: list[str]
    has_more: bool
    url: str

    def json(self) -> str:
        """The list object."""
        more = "true" if self.has_more else "false"
        return f'{{"object":"list","data":[{",".join(self.texts)}],"has_more":{more},"url":"{self.url}"}}'


def page(
    work: Work,
    kind: str,
    params: Body,
    url: str,
    filters: Sequence[Filter] = (),
    *,
    oldest_first: bool = False,
) -> Page:
    """One page of a kind's objects; honours limit, starting_after, ending_before and created."""
    created = interval("created", params.get("created"))
    texts, has_more = work.store.page(kind, [*filters, *created], params, oldest_first=oldest_first)
    return Page(texts, has_more, url)


def interval(column: str, value: Any) -> list[Filter]:
    """The conditions of a ``created``-like parameter: a time, or gt/gte/lt/lte."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [(f"{column} {_COMPARISONS[name]} ?", bound) for name, bound in value.items()]
    return [(f"{column} = ?", value)]


def equals(params: Body, **names: str) -> list[Filter]:
    """Conditions for plain parameters: ``equals(params, customer="customer", invoice="parent")``."""
    return [(f"{column} = ?", params[name]) for name, column in names.items() if name in params]


def sublist(items: list[Any], url: str, *, has_more: bool = False) -> Body:
    """A list object inside another object."""
    return {"object": "list", "data": items, "has_more": has_more, "url": url}
