"""Checks a price book file and builds its model.

Here: which keys and values a book may have, each mistake reported with its path. Not here: YAML itself
(`price_book_yaml`), what a price means for an invoice (`rating`).
"""

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from billing_pipeline.core.money import is_currency
from billing_pipeline.pricing.rules.descriptions import placeholders
from billing_pipeline.pricing.rules.price_book_fields import FieldReader, found
from billing_pipeline.pricing.rules.price_book_model import (
    AGGREGATIONS,
    LINES,
    MODELS,
    PRORATE,
    Meter,
    Model,
    Price,
    PriceBook,
    Rate,
    Retired,
    Tier,
    TierRate,
    Version,
)
from billing_pipeline.pricing.rules.price_book_yaml import Node, PriceBookError, Problems, join, read_documents
from billing_pipeline.pricing.rules.term_reader import TERM_SECTIONS, TermReader

_DIMENSION = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_METER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*", re.ASCII)

_DAYS = re.compile(r"[0-9]{1,4}", re.ASCII)
TRIAL_DAYS_MAX = 3660

_MODEL_KEYS: dict[Model, tuple[str, ...]] = {
    "flat": ("amount",),
    "per_unit": ("unit_amount", "rates", "included"),
    "graduated": ("tiers", "rates", "included"),
    "volume": ("tiers", "rates", "included"),
    "package": ("package_size", "amount", "rates", "included"),
}
_TIERED = ("graduated", "volume")
Dimensions = tuple[tuple[str, str], ...]
_COMMON_KEYS = ("meter", "model", "minimum", "description", "prorate", "lines")


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
        fields = self.mapping(node, path, required=("aggregation",), optional=("dimensions", "unit"))
        aggregation = self.choice(fields, "aggregation", path, AGGREGATIONS)
        dimensions = self.entries(fields, "dimensions", path, "dimension", self._dimension, empty_ok=True)
        for i, dimension in enumerate(dimensions):
            if dimension in dimensions[:i]:
                self.problems.add(f"{path}.dimensions[{i}]", f"{dimension!r} is listed already")
        if aggregation == "constant" and dimensions:
            self.problems.add(f"{path}.dimensions", "a constant meter has no usage, hence no dimensions")
        return Meter(name, aggregation or "sum", tuple(dimensions), self.text(fields, "unit", path))

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
            optional=("plans", "trials", "customers", "retired", *TERM_SECTIONS),
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
        return tuple(prices)

    def _entry(self, node: Node, path: str, within: tuple[str, ...] = ()) -> list[Price]:
        """A price, or those of the card that it names; `within`: the cards that led here."""
        if not isinstance(node, dict) or "card" not in node:
            return [self._price(node, path)]
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

    def _price(self, node: Node, path: str) -> Price:
        fields = self.mapping(node, path, required=("meter", "model"), optional=None)
        meter_name = self.text(fields, "meter", path) or ""
        meter = self.meters.get(meter_name)
        if meter_name and meter is None:
            known = ", ".join(self.meters) or "none"
            self.problems.add(f"{path}.meter", f"unknown meter {meter_name!r}; the book's meters: {known}")
        model = self.choice(fields, "model", path, MODELS)
        if model is None:
            return Price(meter_name, "flat")
        self._refuse_foreign_keys(fields, model, path)
        description = self.text(fields, "description", path)
        lines = self.choice(fields, "lines", path, LINES)
        if description is not None and meter is not None:
            self._check_description(description, () if lines else meter.dimensions, meter, f"{path}.description")
        return Price(
            meter=meter_name,
            model=model,
            rates=self._price_rates(fields, model, meter, path),
            tiers=self._price_tiers(fields, model, path),
            tier_rates=self._tier_rates(fields, model, meter, path),
            package_size=self._package_size(fields, path) if model == "package" else None,
            included=self.amount(fields, "included", path) or Decimal(0),
            minimum=self.amount(fields, "minimum", path),
            description=description,
            prorate=self.choice(fields, "prorate", path, PRORATE),
            lines=lines,
        )

    def _refuse_foreign_keys(self, fields: Mapping[str, Node], model: Model, path: str) -> None:
        allowed = _COMMON_KEYS + _MODEL_KEYS[model]
        for key in fields:
            if key not in allowed:
                self.problems.add(join(path, key), f"a {model} price has no such key; it takes {', '.join(allowed)}")

    def _check_description(self, description: str, known: Sequence[str], meter: Meter, path: str) -> None:
        try:
            names = placeholders(description)
        except ValueError as error:
            self.problems.add(path, f"{error}; write {{{{ and }}}} for literal braces")
            return
        for name in names:
            if name in meter.dimensions and name not in known:
                self.problems.add(path, f"{{{name}}} has no one value on a merged line")
            elif name not in known:
                told = ", ".join(known) or "none"
                self.problems.add(path, f"{{{name}}} is no dimension of {meter.name}; its dimensions: {told}")

    def _price_rates(
        self, fields: Mapping[str, Node], model: Model, meter: Meter | None, path: str
    ) -> tuple[Rate, ...]:
        if model in _TIERED:
            return ()
        key = "unit_amount" if model == "per_unit" else "amount"
        if "rates" not in fields or model == "flat":
            return (Rate(self.required_amount(fields, key, path, None if model == "flat" else "rates")),)
        return tuple(Rate(self.decimal(leaf, at), above) for leaf, at, above in self._leaves(fields, key, meter, path))

    def _tier_rates(
        self, fields: Mapping[str, Node], model: Model, meter: Meter | None, path: str
    ) -> tuple[TierRate, ...]:
        if model not in _TIERED or "rates" not in fields:
            return ()
        leaves = self._leaves(fields, "tiers", meter, path)
        return tuple(TierRate(self._tiers(leaf, at), above) for leaf, at, above in leaves)

    def _leaves(
        self, fields: Mapping[str, Node], instead: str, meter: Meter | None, path: str
    ) -> list[tuple[Node, str, Dimensions]]:
        """What stands below `rates` for each combination of dimension values, with its path and the combination."""
        if instead in fields:
            self.problems.add(path, f"has both {instead} and rates; keep one")
        if meter is None:
            return []
        if not meter.dimensions:
            self.problems.add(f"{path}.rates", f"meter {meter.name} has no dimensions; write {instead}")
            return []
        leaves: list[tuple[Node, str, Dimensions]] = []
        self._descend(fields["rates"], f"{path}.rates", meter, (), leaves, of_lists=instead == "tiers")
        return leaves

    def _descend(
        self,
        node: Node,
        path: str,
        meter: Meter,
        above: Dimensions,
        leaves: list[tuple[Node, str, Dimensions]],
        *,
        of_lists: bool,
    ) -> None:
        levels = f"meter {meter.name} has {len(meter.dimensions)} level(s) of rates: {', '.join(meter.dimensions)}"
        if len(above) == len(meter.dimensions):
            if isinstance(node, dict) or isinstance(node, list) != of_lists:
                expected = "a list of tiers" if of_lists else "an amount"
                self.problems.add(path, f"expected {expected}, found {found(node)}; {levels}")
            else:
                leaves.append((node, path, above))
            return
        dimension = meter.dimensions[len(above)]
        if not isinstance(node, dict) or not node:
            self.problems.add(path, f"expected one entry per {dimension}, found {found(node)}; {levels}")
            return
        for value, below in node.items():
            if value == "":
                self.problems.add(path, f"an empty {dimension}")
            self._descend(below, join(path, value), meter, (*above, (dimension, value)), leaves, of_lists=of_lists)

    def _price_tiers(self, fields: Mapping[str, Node], model: Model, path: str) -> tuple[Tier, ...]:
        if model not in _TIERED:
            return ()
        if "tiers" not in fields:
            if "rates" not in fields:
                self.problems.add(join(path, "tiers"), f"missing; a {model} price needs it")
            return ()
        return self._tiers(fields["tiers"], join(path, "tiers"))

    def _tiers(self, node: Node, path: str) -> tuple[Tier, ...]:
        tiers = self.items(node, path, "tier", self._tier)
        bound = Decimal(0)
        for i, tier in enumerate(tiers):
            at = f"{path}[{i}].up_to"
            if i == len(tiers) - 1:
                if tier.up_to is not None:
                    self.problems.add(at, "the last tier is open-ended; write null")
            elif tier.up_to is None:
                self.problems.add(at, "only the last tier is open-ended; expected a quantity")
            elif tier.up_to <= bound:
                self.problems.add(at, f"tiers must rise: {tier.up_to} is not above {bound}")
            else:
                bound = tier.up_to
        return tuple(tiers)

    def _tier(self, node: Node, path: str) -> Tier:
        fields = self.mapping(node, path, required=("up_to", "unit_amount"))
        up_to = self.amount(fields, "up_to", path) if fields.get("up_to") is not None else None
        return Tier(up_to, self.amount(fields, "unit_amount", path) or Decimal(0))

    def _package_size(self, fields: Mapping[str, Node], path: str) -> Decimal:
        size = self.required_amount(fields, "package_size", path)
        if size == 0:
            self.problems.add(f"{path}.package_size", "must be above 0")
        return size
