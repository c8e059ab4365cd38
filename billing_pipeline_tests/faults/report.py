"""What a part found, and how all of them are shown."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Part:
    """Figures of one part and, in words, whatever it found wrong. `double_charges` and `uncharged` add up over parts."""

    name: str
    seeds: list[int] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def require(self, true: bool, otherwise: str) -> None:
        """Note what is wrong, unless it is true."""
        if not true:
            self.failures.append(otherwise)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "seeds": self.seeds,
            "figures": dict(self.figures),
            "failures": self.failures,
            "seconds": round(self.seconds, 1),
        }


def part_of(found: dict[str, Any]) -> Part:
    return Part(found["name"], found["seeds"], Counter(found["figures"]), found["failures"], found["seconds"])


def recorded(document: str, name: str, shown: str) -> str:
    """The document with this between the marks of that name.

    Raises:
        ValueError: it has no such marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, begins, rest = document.partition(begin)
    _, ends, after = rest.partition(end)
    if not (begins and ends):
        raise ValueError(f"the document has no {begin} … {end}")
    return f"{before}{begin}\n\n{shown}\n\n{end}{after}"


ZERO = ("double_charges", "uncharged")


def table(parts: Iterable[Part]) -> str:
    """A Markdown table, a line a part."""
    lines = [
        "| part | what was done | invoices | double charges | uncharged | passes at most | seconds | seeds |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    shown = {*ZERO, "invoices", "passes_max"}
    for part in parts:
        done = ", ".join(
            f"{number:,} {name.replace('_', ' ')}" for name, number in part.figures.items() if name not in shown
        )
        cells = (
            part.name,
            done,
            f"{part.figures['invoices']:,}",
            *(str(part.figures[name]) for name in ZERO),
            str(part.figures["passes_max"] or ""),
            f"{part.seconds:.0f}",
            ", ".join(map(str, part.seeds)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(parts: Iterable[Part], seconds: float) -> dict[str, Any]:
    """All figures in one object; `failures` is empty when everything held."""
    total: Counter[str] = Counter(dict.fromkeys(ZERO, 0))
    passes_max = 0
    seeds: dict[str, list[int]] = {}
    failures: list[str] = []
    for part in parts:
        passes_max = max(passes_max, part.figures["passes_max"])
        total.update({name: number for name, number in part.figures.items() if name != "passes_max"})
        seeds[part.name] = part.seeds
        failures += [f"{part.name}: {failure}" for failure in part.failures]
    return {**total, "passes_max": passes_max, "seeds": seeds, "seconds": round(seconds, 1), "failures": failures}
