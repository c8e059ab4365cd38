"""What takes long to count over very many rows, counted again only when something has changed."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

_T = TypeVar("_T")
LASTS_S = 60.0
"""Even if nothing seems to have changed, nothing is shown that is older."""
ENTRIES_MAX = 50


@dataclass(frozen=True, slots=True)
class Remembered:
    """Values by key, each with the marker of what it was made of."""

    clock: Callable[[], float] = time.monotonic
    _kept: dict[Hashable, tuple[str, float, Any]] = field(default_factory=dict)

    def get(self, key: Hashable, marker: str, make: Callable[[], _T]) -> _T:
        """The value that was made under this marker, or a new one. Threads at the same key may both make it."""
        known = self._kept.get(key)
        if known is not None and known[0] == marker and self.clock() - known[1] < LASTS_S:
            return cast("_T", known[2])
        began = self.clock()
        value = make()
        if len(self._kept) >= ENTRIES_MAX:
            self._kept.clear()
        self._kept[key] = (marker, began, value)
        return value
