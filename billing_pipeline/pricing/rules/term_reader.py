"""Reads `commitments:` and `discounts:` of a version of a price book. Not here: prices (`price_book_reader`)."""

from collections.abc import Collection, Mapping
from datetime import date
from decimal import Decimal
from functools import partial

from billing_pipeline.pricing.rules.price_book_fields import FieldReader, found
from billing_pipeline.pricing.rules.price_book_model import PRORATE, BookTerm, TermKind
from billing_pipeline.pricing.rules.price_book_yaml import Node, Problems, join

TERM_SECTIONS = ("commitments", "discounts")
_COMMON_KEYS = ("name", "amount", "customer", "plan", "meters", "description", "prorate")
_KEYS: dict[TermKind, tuple[str, ...]] = {
    "commitment": _COMMON_KEYS,
    "discount": (*_COMMON_KEYS, "percent", "until"),
}


class TermReader(FieldReader):
    """Reads a version's terms; after a mistake it goes on with a harmless value, to find the other ones."""

    def __init__(self, problems: Problems, meters: Collection[str]) -> None:
        super().__init__(problems)
        self.meters = meters

    def terms(self, fields: Mapping[str, Node], path: str) -> tuple[BookTerm, ...]:
        """Both sections, commitments first, each in file order."""
        terms = []
        for section, kind in zip(TERM_SECTIONS, _KEYS, strict=True):
            own = self.entries(fields, section, path, kind, partial(self._term, kind))
            whose = [(term.name, term.customer_id, term.plan) for term in own]
            for i, term in enumerate(own):
                if term.name and whose.index(whose[i]) < i:
                    at = f"{join(path, section)}[{whose.index(whose[i])}]"
                    self.problems.add(
                        f"{join(path, section)}[{i}].name", f"{at} is {term.name} of the same customers already"
                    )
            terms.extend(own)
        return tuple(terms)

    def _term(self, kind: TermKind, node: Node, path: str) -> BookTerm:
        required = ("name", "amount") if kind == "commitment" else ("name",)
        further = [key for key in _KEYS[kind] if key not in required]
        fields = self.mapping(node, path, required=required, optional=further)
        customer_id, plan = self.text(fields, "customer", path), self.text(fields, "plan", path)
        if customer_id is not None and plan is not None:
            self.problems.add(path, "has both customer and plan; keep one")
        amount, percent = self.amount(fields, "amount", path), self._percent(fields, path)
        if kind == "discount" and (amount is None) == (percent is None):
            self.problems.add(path, "expected either amount or percent")
        if percent is not None and "prorate" in fields:
            self.problems.add(join(path, "prorate"), "a percentage is a share already; only an amount is prorated")
        return BookTerm(
            kind=kind,
            name=self.text(fields, "name", path) or "",
            customer_id=customer_id,
            plan=plan,
            meters=self._meters(fields, path),
            amount=amount,
            percent=percent,
            prorate=self.choice(fields, "prorate", path, PRORATE),
            description=self.text(fields, "description", path),
            until_on=self._until(fields, path),
        )

    def _percent(self, fields: Mapping[str, Node], path: str) -> Decimal | None:
        percent = self.amount(fields, "percent", path)
        if percent is not None and not 0 < percent <= 100:
            self.problems.add(join(path, "percent"), f"expected more than 0 and at most 100, found {percent}")
        return percent

    def _until(self, fields: Mapping[str, Node], path: str) -> date | None:
        return self.iso_date(fields, "until", path) if "until" in fields else None

    def _meters(self, fields: Mapping[str, Node], path: str) -> tuple[str, ...] | None:
        if "meters" not in fields:
            return None
        return tuple(self.entries(fields, "meters", path, "meter", self._meter))

    def _meter(self, node: Node, path: str) -> str:
        if isinstance(node, str) and node in self.meters:
            return node
        known = ", ".join(self.meters) or "none"
        self.problems.add(path, f"expected a meter of the book ({known}), found {found(node)}")
        return ""
