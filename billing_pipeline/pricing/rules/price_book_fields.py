"""The shapes in a price book file: mappings, lists, texts, dates, exact decimals; mistakes keep their path.

Here: what any such file needs. Not here: prices (`price_book_reader`).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TypeVar

from billing_pipeline.pricing.rules.price_book_yaml import Node, Problems, join

DECIMALS_MAX = 12
INTEGER_DIGITS_MAX = 18  # numeric(30,12) in Postgres

_DECIMAL = re.compile(r"[0-9]+(?:\.([0-9]+))?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
T = TypeVar("T")


class FieldReader:
    """Reads values out of converted YAML; a wrong one goes to `problems` and reads as a harmless one."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def mapping(
        self, node: Node, path: str, required: Sequence[str], optional: Sequence[str] | None = ()
    ) -> dict[str, Node]:
        """The mapping at `path`, its known keys only; `optional=None` leaves unknown keys to the caller."""
        if not isinstance(node, dict):
            self.problems.add(path, f"expected a mapping with {', '.join(required)}; found {found(node)}")
            return {}
        for key in required:
            if key not in node:
                self.problems.add(join(path, key), "missing")
        if optional is None:
            return node
        allowed = (*required, *optional)
        for key in node:
            if key not in allowed:
                self.problems.add(join(path, key), f"unknown key; expected one of {', '.join(allowed)}")
        return {key: value for key, value in node.items() if key in allowed}

    def named(self, node: Node, path: str, what: str) -> list[tuple[str, Node]]:
        """The entries of a mapping from names of the user's choice."""
        if not isinstance(node, dict) or not node:
            self.problems.add(path, f"expected a mapping with one entry per {what}, found {found(node)}")
            return []
        if "" in node or any(name != name.strip() for name in node):
            self.problems.add(path, f"a {what}'s name is empty or has blanks around it")
        return list(node.items())

    def entries(
        self,
        fields: Mapping[str, Node],
        key: str,
        path: str,
        what: str,
        read: Callable[[Node, str], T],
        *,
        empty_ok: bool = False,
    ) -> list[T]:
        """A list, each item read by `read(item, path)`; missing reads as empty."""
        if key not in fields:
            return []
        return self.items(fields[key], join(path, key), what, read, empty_ok=empty_ok)

    def items(
        self, node: Node, path: str, what: str, read: Callable[[Node, str], T], *, empty_ok: bool = False
    ) -> list[T]:
        """The items of the list at `path`, each read by `read(item, path)`."""
        if not isinstance(node, list) or not (node or empty_ok):
            self.problems.add(path, f"expected a list with one entry per {what}, found {found(node)}")
            return []
        return [read(item, f"{path}[{i}]") for i, item in enumerate(node)]

    def refuse_repeated(self, values: Sequence[object], path: str, key: str) -> None:
        """Report each value that an earlier item of the list at `path` has under `key`."""
        first: dict[object, int] = {}
        for i, value in enumerate(values):
            if value in ("", date.min):
                continue
            if value in first:
                self.problems.add(f"{path}[{i}].{key}", f"{path}[{first[value]}] has {value} already")
            else:
                first[value] = i

    def text(self, fields: Mapping[str, Node], key: str, path: str) -> str | None:
        """A non-empty text, or None if missing."""
        if key not in fields:
            return None
        node = fields[key]
        if isinstance(node, str) and node.strip() and node == node.strip():
            return node
        self.problems.add(join(path, key), f"expected text without blanks around it, found {found(node)}")
        return None

    def choice(self, fields: Mapping[str, Node], key: str, path: str, choices: Sequence[T]) -> T | None:
        """One of `choices`, or None if missing."""
        if key not in fields:
            return None
        for choice in choices:
            if fields[key] == choice:
                return choice
        self.problems.add(
            join(path, key), f"expected one of {', '.join(map(str, choices))}; found {found(fields[key])}"
        )
        return None

    def iso_date(self, fields: Mapping[str, Node], key: str, path: str) -> date:
        """A date; `date.min` if missing."""
        node = fields.get(key)
        if isinstance(node, str) and _DATE.fullmatch(node):
            try:
                return date.fromisoformat(node)
            except ValueError:
                pass
        if key in fields:
            self.problems.add(join(path, key), f"expected a date such as 2025-01-01, found {found(node)}")
        return date.min

    def required_amount(self, fields: Mapping[str, Node], key: str, path: str, instead: str | None = None) -> Decimal:
        """A decimal that must be there; `instead` names the key that may stand for it."""
        if key not in fields:
            self.problems.add(join(path, key), f"missing (or {instead})" if instead else "missing")
            return Decimal(1)
        return self.decimal(fields[key], join(path, key))

    def amount(self, fields: Mapping[str, Node], key: str, path: str) -> Decimal | None:
        """A decimal, or None if missing."""
        return self.decimal(fields[key], join(path, key)) if key in fields else None

    def decimal(self, node: Node, path: str) -> Decimal:
        """An exact decimal of at most 18 digits before the point and 12 after it, not negative."""
        match = _DECIMAL.fullmatch(node) if isinstance(node, str) else None
        if match is None or not isinstance(node, str):
            problem = f"expected a plain decimal such as 0.10, not negative; found {found(node)}"
        elif len(match[1] or "") > DECIMALS_MAX:
            problem = f"at most {DECIMALS_MAX} decimals, found {len(match[1])} in {node}"
        elif len(node.split(".")[0].lstrip("0")) > INTEGER_DIGITS_MAX:
            problem = f"at most {INTEGER_DIGITS_MAX} digits before the point, found {node}"
        else:
            return Decimal(node)
        self.problems.add(path, problem)
        return Decimal(1)


def found(node: Node) -> str:
    """What a message says was found."""
    if node is None:
        return "nothing"
    if isinstance(node, str):
        return repr(node)
    kind = "a mapping" if isinstance(node, dict) else "a list"
    return kind if node else f"an empty {kind[2:]}"
