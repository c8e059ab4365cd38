"""Checks a price book file and builds its model.

Here: which keys and values a book, its versions and cards may have, each mistake reported with its path. Not here: YAML
itself (`price_book_yaml`), one price (`price_reader`), what it means for an invoice (`rating`).
"""

import re
from collections.abc import Collection, Mapping
from decimal import Decimal

from billing_pipeline.core.money import is_currency
from billing_pipeline.core.notice_kinds import KINDS, OPTIONAL
from billing_pipeline.pricing.rules.price_book_fields import FieldReader, found
from billing_pipeline.pricing.rules.price_book_model import (
    AGGREGATIONS,
    EVENTS,
    LEVELS,
    Meter,
    Price,
    PriceBook,
    Retired,
    Version,
)
from billing_pipeline.pricing.rules.price_book_yaml import Node, PriceBookError, Problems, join, read_documents
from billing_pipeline.pricing.rules.price_reader import PriceReader
from billing_pipeline.pricing.rules.term_reader import TERM_SECTIONS, TermReader

_DIMENSION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_METER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*", re.ASCII)

_DAYS = re.compile(r"[0-9]{1,4}", re.ASCII)
TRIAL_DAYS_MAX = 3660


def load_price_books(text: str, source: str) -> tuple[PriceBook, ...]:
    """The books of a price book file, one a YAML document, in file order; no two of the same currency.

    `source` names the file in messages. Raises PriceBookError with every problem found; nothing is returned
    then.
    """
    documents, problem_texts = read_documents(text, source)
    if not documents:
        raise PriceBookError(source, ["no price book in the file"])
    books: list[PriceBook] = []
    first_with: dict[str, int] = {}
    for number, (node, problems) in enumerate(documents, start=1):
        book = _Reader(problems).book(node)
        if book.currency in first_with:
            problems.add("currency", f"document {first_with[book.currency]} is the book of {book.currency} already")
        elif book.currency:
            first_with[book.currency] = number
        books.append(book)
    if problem_texts:
        raise PriceBookError(source, problem_texts)
    return tuple(books)


class _Reader(FieldReader):
    """Reads one document; after a mistake it goes on with a harmless value, to find the other ones."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(problems)
        self.meters: dict[str, Meter] = {}
        self.cards: dict[str, Node] = {}

    def book(self, node: Node) -> PriceBook:
        fields = self.mapping(node, "", required=("name", "currency", "meters", "versions"), optional=("cards",))
        name = self.text(fields, "name", "") or ""
        currency = self.text(fields, "currency", "") or ""
        if currency and not is_currency(currency):
            hint = f"; write {currency.lower()}" if is_currency(currency.lower()) else ""
            self.problems.add(
                "currency",
                f"expected a lower-case ISO 4217 code that Stripe charges, found {currency!r}{hint}",
            )
            currency = ""
        if "meters" in fields:
            for meter, value in self.named(fields["meters"], "meters", "meter"):
                self.meters[meter] = self._meter(meter, value, join("meters", meter))
        if "cards" in fields:
            self.cards = dict(self.named(fields["cards"], "cards", "card"))
        versions = self.entries(fields, "versions", "", "version", self._version)
        self.refuse_repeated([v.id for v in versions], "versions", "id")
        self.refuse_repeated([v.effective_from for v in versions], "versions", "effective_from")
        return PriceBook(name, currency, self.meters, tuple(versions))

    def _meter(self, name: str, node: Node, path: str) -> Meter:
        if not _METER.fullmatch(name):
            self.problems.add(path, "a meter's name has letters, digits and any of _ . : / - after the first")
        fields = self.mapping(
            node, path, required=("aggregation",), optional=("dimensions", "unit", "property", "events")
        )
        aggregation = self.choice(fields, "aggregation", path, AGGREGATIONS)
        dimensions = self.entries(fields, "dimensions", path, "dimension", self._dimension, empty_ok=True)
        for i, dimension in enumerate(dimensions):
            if dimension in dimensions[:i]:
                self.problems.add(f"{path}.dimensions[{i}]", f"{dimension!r} is listed already")
        if aggregation == "constant" and dimensions:
            self.problems.add(f"{path}.dimensions", "a constant meter has no usage, hence no dimensions")
        unit, events = self.text(fields, "unit", path), self.choice(fields, "events", path, EVENTS)
        if events == "deltas" and aggregation not in LEVELS:
            self.problems.add(f"{path}.events", f"only levels change: {', '.join(LEVELS)}")
        counted = self._dimension(fields["property"], f"{path}.property") if "property" in fields else None
        if (aggregation == "unique") != (counted is not None):
            self.problems.add(f"{path}.property", "expected with the aggregation unique, and with no other one")
        return Meter(name, aggregation or "sum", tuple(dimensions), unit, counted or None, events)

    def _dimension(self, node: Node, path: str) -> str:
        if isinstance(node, str) and _DIMENSION.fullmatch(node):
            return node
        self.problems.add(path, f"a dimension's name has letters, digits and _, no digit first; found {found(node)}")
        return ""

    def _version(self, node: Node, path: str) -> Version:
        fields = self.mapping(
            node,
            path,
            required=("id", "effective_from", "prices"),
            optional=("plans", "trials", "customers", "retired", "notices_off", *TERM_SECTIONS),
        )
        plans = self._named_prices(fields, "plans", path, "plan")
        return Version(
            id=self.text(fields, "id", path) or "",
            effective_from=self.iso_date(fields, "effective_from", path),
            prices=self._prices(fields, "prices", path),
            plans=plans,
            trials=self._trials(fields, plans, path),
            customers=self._named_prices(fields, "customers", path, "customer"),
            retired=self._retired(fields, path),
            terms=TermReader(self.problems, self.meters).terms(fields, path),
            notices_off=self._notices_off(fields, path),
        )

    def _named_prices(self, fields: Mapping[str, Node], key: str, path: str, what: str) -> dict[str, tuple[Price, ...]]:
        """The prices of each plan or customer."""
        at = f"{path}.{key}"
        entries = self.named(fields[key], at, what) if key in fields else []
        return {name: self._prices({name: value}, name, at) for name, value in entries}

    def _trials(self, fields: Mapping[str, Node], plans: Collection[str], path: str) -> dict[str, int]:
        """Days of trial by plan."""
        at = f"{path}.trials"
        trials = {}
        for plan, node in self.named(fields["trials"], at, "plan") if "trials" in fields else []:
            if plan not in plans:
                self.problems.add(join(at, plan), f"expected a plan of this version: {', '.join(plans) or 'none'}")
            days = node if isinstance(node, str) and _DAYS.fullmatch(node) else None
            if days is None or not 1 <= int(days) <= TRIAL_DAYS_MAX:
                self.problems.add(
                    join(at, plan), f"expected whole days from 1 to {TRIAL_DAYS_MAX}, found {found(node)}"
                )
                days = "1"
            trials[plan] = int(days)
        return trials

    def _notices_off(self, fields: Mapping[str, Node], path: str) -> tuple[str, ...]:
        kinds = self.entries(fields, "notices_off", path, "kind of notices", self._optional_kind)
        for i, kind in enumerate(kinds):
            if kind in kinds[:i]:
                self.problems.add(f"{path}.notices_off[{i}]", f"{kind} is listed already")
        return tuple(kinds)

    def _optional_kind(self, node: Node, path: str) -> str:
        if isinstance(node, str) and node in OPTIONAL:
            return node
        due = ", which is due anyway" if node in KINDS else ""
        expected = ", ".join(sorted(OPTIONAL))
        self.problems.add(path, f"expected a kind that may be switched off: {expected}; found {found(node)}{due}")
        return ""

    def _retired(self, fields: Mapping[str, Node], path: str) -> tuple[Retired, ...]:
        retired = self.entries(fields, "retired", path, "meter or rate", self._retired_rate)
        priced = fields.get("prices")
        for i, entry in enumerate(retired):
            if (
                not entry.dimensions
                and isinstance(priced, list)
                and any(isinstance(price, dict) and price.get("meter") == entry.meter for price in priced)
            ):
                self.problems.add(f"{path}.retired[{i}].meter", f"{entry.meter} has a price in this version")
        return tuple(retired)

    def _retired_rate(self, node: Node, path: str) -> Retired:
        fields = self.mapping(node, path, required=("meter",), optional=("dimensions",))
        meter = self.meters.get(self.text(fields, "meter", path) or "")
        if meter is None:
            known = ", ".join(self.meters) or "none"
            self.problems.add(f"{path}.meter", f"expected a meter of the book, also a retired one: {known}")
            return Retired("")
        if "dimensions" not in fields:
            return Retired(meter.name)
        named = dict(self.named(fields["dimensions"], f"{path}.dimensions", "dimension"))
        if set(named) != set(meter.dimensions):
            expected = ", ".join(meter.dimensions) or "none"
            self.problems.add(f"{path}.dimensions", f"expected exactly the dimensions of {meter.name}: {expected}")
        return Retired(meter.name, tuple((name, str(value)) for name, value in named.items()))

    def _prices(self, fields: Mapping[str, Node], key: str, path: str) -> tuple[Price, ...]:
        prices = [price for own in self.entries(fields, key, path, "price", self._entry) for price in own]
        self.refuse_repeated([price.meter for price in prices], join(path, key), "meter")
        pools: dict[str, Decimal] = {}
        for price in prices:
            if price.pool and pools.setdefault(price.pool, price.included) != price.included:
                known = f"expected included {pools[price.pool]} in all prices of the pool {price.pool}"
                self.problems.add(join(path, key), f"{known}, found {price.included} of {price.meter}")
        return tuple(prices)

    def _entry(self, node: Node, path: str, within: tuple[str, ...] = ()) -> list[Price]:
        """A price, or those of the card that it names; `within`: the cards that led here."""
        if not isinstance(node, dict) or "card" not in node:
            return [PriceReader(self.problems, self.meters).price(node, path)]
        name = self.text(node, "card", path)
        card = None if name in within else self.cards.get(name or "")
        own = {key: value for key, value in node.items() if key != "card"}
        if card is None:
            known = ", ".join(known for known in self.cards if known not in within) or "none"
            self.problems.add(join(path, "card"), f"expected a card of the book ({known}), found {found(node['card'])}")
            return []
        if isinstance(card, dict):
            return self._entry({**card, **own}, path, (*within, name or ""))
        if own or not isinstance(card, list):
            expected = "no other key beside a card of several prices" if own else "a price, or a list of prices"
            self.problems.add(path if own else f"cards.{name}", f"expected {expected}, found {found(own or card)}")
            return []
        led = (*within, name or "")
        return [price for i, item in enumerate(card) for price in self._entry(item, f"{path}.card[{i}]", led)]
