"""Checks one price of a price book, and builds its model. Not here: versions, plans and cards (`price_book_reader`)."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from billing_pipeline.pricing.rules.descriptions import placeholders
from billing_pipeline.pricing.rules.price_book_fields import FieldReader, found
from billing_pipeline.pricing.rules.price_book_model import (
    LINES,
    MODELS,
    PRORATE,
    SCOPES,
    Meter,
    Model,
    Price,
    Rate,
    Scope,
    Tier,
    TierRate,
)
from billing_pipeline.pricing.rules.price_book_yaml import Node, Problems, join

_COUNTED = ("included", "pool", "scope")
_MODEL_KEYS: dict[Model, tuple[str, ...]] = {
    "flat": ("amount",),
    "per_unit": ("unit_amount", "rates", *_COUNTED),
    "graduated": ("tiers", "rates", *_COUNTED),
    "volume": ("tiers", "rates", *_COUNTED),
    "package": ("package_size", "amount", "rates", *_COUNTED),
}
_TIERED = ("graduated", "volume")
Dimensions = tuple[tuple[str, str], ...]
_COMMON_KEYS = ("meter", "model", "minimum", "maximum", "description", "prorate", "lines")


class PriceReader(FieldReader):
    """Reads prices; after a mistake it goes on with a harmless value, to find the other ones."""

    def __init__(self, problems: Problems, meters: Mapping[str, Meter]) -> None:
        super().__init__(problems)
        self.meters = meters

    def price(self, node: Node, path: str) -> Price:
        """The price that stands at this path; what it says of its tiers and rates is checked against its meter."""
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
        scope = self.choice(fields, "scope", path, SCOPES)
        if scope is not None and meter is not None:
            self._check_scope(scope, fields, meter, path)
        minimum, maximum = self.amount(fields, "minimum", path), self.amount(fields, "maximum", path)
        if minimum is not None and maximum is not None and maximum < minimum:
            self.problems.add(join(path, "maximum"), f"expected at least the minimum {minimum}, found {maximum}")
        if "pool" in fields and "included" not in fields:
            self.problems.add(join(path, "pool"), "a pool shares an allowance; expected included beside it")
        return Price(
            meter=meter_name,
            model=model,
            rates=self._price_rates(fields, model, meter, path),
            tiers=self._price_tiers(fields, model, path),
            tier_rates=self._tier_rates(fields, model, meter, path),
            package_size=self._package_size(fields, path) if model == "package" else None,
            included=self.amount(fields, "included", path) or Decimal(0),
            minimum=minimum,
            maximum=maximum,
            scope=scope,
            pool=self.text(fields, "pool", path),
            description=description,
            prorate=self.choice(fields, "prorate", path, PRORATE),
            lines=lines,
        )

    def _refuse_foreign_keys(self, fields: Mapping[str, Node], model: Model, path: str) -> None:
        allowed = _COMMON_KEYS + _MODEL_KEYS[model]
        for key in fields:
            if key not in allowed:
                self.problems.add(join(path, key), f"a {model} price has no such key; it takes {', '.join(allowed)}")

    def _check_scope(self, scope: Scope, fields: Mapping[str, Node], meter: Meter, path: str) -> None:
        at = join(path, "scope")
        if not meter.dimensions:
            self.problems.add(at, f"meter {meter.name} has no dimensions, so there is nothing to count together")
        if scope == "combination" and "lines" in fields:
            self.problems.add(at, "a merged line is of no combination, so none has a bound of its own")

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
        rates = tuple(TierRate(self._tiers(leaf, at), above) for leaf, at, above in leaves)
        if fields.get("scope") == "meter" and len({tuple(tier.up_to for tier in rate.tiers) for rate in rates}) > 1:
            self.problems.add(f"{path}.rates", "tiers that are counted across the meter end at the same quantities")
        return rates

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
        has_flat = isinstance(node, dict) and "flat_amount" in node
        required, optional = (("up_to",), ("unit_amount",)) if has_flat else (("up_to", "unit_amount"), ())
        fields = self.mapping(node, path, required=required, optional=("flat_amount", *optional))
        up_to = self.amount(fields, "up_to", path) if fields.get("up_to") is not None else None
        unit_amount = self.amount(fields, "unit_amount", path) or Decimal(0)
        return Tier(up_to, unit_amount, self.amount(fields, "flat_amount", path))

    def _package_size(self, fields: Mapping[str, Node], path: str) -> Decimal:
        size = self.required_amount(fields, "package_size", path)
        if size == 0:
            self.problems.add(f"{path}.package_size", "must be above 0")
        return size
