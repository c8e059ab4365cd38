"""Cursors: where the next page of a listing begins, as a text that says nothing to who carries it."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import HTTPException, Query

LIMIT_MAX = 200
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="At most so many.", examples=[50])]
Cursor = Annotated[
    str | None,
    Query(max_length=2000, description="`next_cursor` of the page before.", examples=["WyIyMDI2LTEwLTAxIiwiYzEiLDBd"]),
]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and where the next ones begin; None: these are the last."""

    rows: Sequence[dict[str, Any]]
    next_cursor: str | None

    def named(self, name: str) -> dict[str, Any]:
        """As the answer shows it."""
        return {name: self.rows, "next_cursor": self.next_cursor}


def page(rows: Sequence[dict[str, Any]], limit: int, *keys: str) -> Page:
    """A page of at most `limit`; `rows` are one more where there is a next page. `keys` order the listing."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(shown, _cursor([shown[-1][key] for key in keys]) if more else None)


def _cursor(values: Sequence[Any]) -> str:
    text = json.dumps([value if isinstance(value, int | None) else str(value) for value in values])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, *types: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The values after which the page begins; as many None where there is no cursor.

    Raises:
        HTTPException: 422, it is no cursor of this listing.
    """
    if cursor is None:
        return (None,) * len(types)
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return tuple(read(value) for read, value in zip(types, values, strict=True))
    except (ValueError, TypeError, binascii.Error):
        raise HTTPException(422, "cursor: expected next_cursor of a page of this listing") from None
