"""What a proof found: figures for a reader, and the promises that did not hold."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Figures:
    """One proof's result; `broken` empty means that it holds."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Note a promise that does not hold."""
        if not holds:
            self.broken.append(f"{self.name}: {otherwise}")
