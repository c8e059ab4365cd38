"""The vectorised rating equals a plain `decimal.Decimal` loop, for random books and usage."""

import csv
import decimal
import os
import random
from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from billing_pipeline.pricing.rules.price_book import Meter, Price, PriceBook, Rate, Tier, Version, load_price_books
from billing_pipeline.pricing.rules.price_book_model import MODELS, Lines, Model, Scope, TierRate
from billing_pipeline_tests.pricing.rules.rating_oracle import CONTEXT, Snapshot, expected, rated

CURRENCIES = ["usd", "jpy", "kwd", "isk"]
CUSTOMERS = ["a", "b", "00|7"]
REGIONS, KINDS = ["eu", "us"], ["x", "y{z}", ""]
DAYS = [date(2025, 1, 1), date(2025, 2, 1), date(2025, 3, 1)]
BASES = ["measured", "corrected"]
PLANS = ["basic", "pro", None, None]
COMBINATIONS = [(("region", region), ("kind", kind)) for region in REGIONS for kind in KINDS[:2]]
GRAINS = [("plain", "{}"), ("late", "{}")] + [
    ("dim", f'{{"kind": "{kind}", "region": "{region}"}}') for region in REGIONS for kind in KINDS
]
METERS = {
    "plain": Meter("plain", "sum"),
    "dim": Meter("dim", "sum", ("region", "kind")),
    "late": Meter("late", "max"),
}


class Case:
    """A random month, books and usage of most meters, from a seed: cases this dense do not shrink."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.merging = random.Random(f"lines: merged, {seed}")
        self.scoping = random.Random(f"scopes, pools, maximums and fees, {seed}")
        self.scopes = self.scoping.random() < 0.7
        self.merges = self.merging.random() < 0.5
        currencies = self.random.sample(CURRENCIES, self.random.randint(1, 3))
        # One case in three has quantities and amounts up to the limits, of which some do not fit.
        self.digits = self.random.choice([3, 6, 18])
        self.books = [PriceBook("book", currency, METERS, self.versions()) for currency in currencies]
        self.snapshots = [
            Snapshot(customer, meter, self.quantity(), dimensions, currency, day, self.random.choice(BASES), plan)
            for number, customer in enumerate(CUSTOMERS)
            for currency in [currencies[number % len(currencies)]]
            for day in self.random.sample(DAYS, 2)
            for plan in [self.random.choice(PLANS)]
            for meter, dimensions in self.random.sample(GRAINS, self.random.randint(0, len(GRAINS)))
        ]
        self.random.shuffle(self.snapshots)
        trials = {s.invoice_id: self.merging.random() < 0.1 for s in self.snapshots}
        self.snapshots = [replace(s, in_trial=trials[s.invoice_id]) for s in self.snapshots]

    def decimal(self, integer_digits: int) -> Decimal:
        """An exact decimal; ties and small whole numbers as likely as long ones."""
        if self.random.random() < 0.6:
            return Decimal(self.random.randint(1, 40) * 5).scaleb(self.random.choice([-3, -2, 0]))
        return Decimal(f"{self.random.randrange(1, 10 ** (self.random.randint(1, integer_digits) + 12))}e-12")

    def quantity(self) -> Decimal:
        kind = self.random.random()
        return Decimal(0) if kind < 0.1 else -self.decimal(3) if kind < 0.15 else self.decimal(self.digits)

    def price(self, meter: str) -> Price:
        model = self.random.choice(MODELS)
        rates: tuple[Rate, ...] = (Rate(self.decimal(4)),)
        if model in ("graduated", "volume"):
            bounds = sorted({self.decimal(3) for _ in range(self.random.randint(0, 3))})
            tiers = tuple(Tier(b, self.decimal(4)) for b in [*bounds, None])
            if meter == "dim" and self.merging.random() < 0.4:
                named = self.merging.sample(COMBINATIONS, 2)
                more = [tuple(Tier(t.up_to, t.unit_amount + n) for t in tiers) for n in range(2)]
                pairs = zip(more, named, strict=True)
                return self.whole(meter, model, tier_rates=tuple(TierRate(own, of) for own, of in pairs))
            return self.whole(meter, model, tiers=tiers)
        size = self.decimal(3) if model == "package" else None
        if model == "per_unit" and meter == "dim" and self.random.random() < 0.6:
            named = self.random.sample(COMBINATIONS, self.random.randint(1, len(COMBINATIONS)))
            rates = tuple(Rate(self.decimal(4), combination) for combination in named)
            if self.merges and self.merging.random() < 0.5:
                rates = tuple(Rate(rates[0].amount, rate.dimensions) for rate in rates)
        if model == "package" and meter == "dim" and self.merging.random() < 0.4:
            amount = rates[0].amount
            rates = tuple(Rate(amount + n, of) for n, of in enumerate(self.merging.sample(COMBINATIONS, 2)))
        return self.whole(meter, model, rates=rates, package_size=size)

    def whole(self, meter: str, model: Model, **parts: Any) -> Price:
        included = self.decimal(2) if model != "flat" and self.random.random() < 0.5 else Decimal(0)
        minimum = self.decimal(self.digits) if self.random.random() < 0.5 else None
        lines: Lines | None = "merged" if self.merges and self.merging.random() < 0.6 else None
        return self.scoped(Price(meter, model, **parts, included=included, minimum=minimum, lines=lines))

    def scoped(self, price: Price) -> Price:
        """Perhaps with a scope, a maximum, flat amounts of tiers."""
        chance = self.scoping.random
        if not self.scopes:
            return price
        if chance() < 0.5 and price.model in ("graduated", "volume"):
            flat = [self.small() if chance() < 0.7 else None for _ in range(9)]
            tiers = self.with_fees(price.tiers, flat)
            rates = tuple(TierRate(self.with_fees(of.tiers, flat), of.dimensions) for of in price.tier_rates)
            price = replace(price, tiers=tiers, tier_rates=rates)
        scopes: list[Scope | None] = [None, None if price.lines else "combination"]
        if price.model != "flat":
            scopes += ["meter", "meter"]
        scope = self.scoping.choice(scopes)
        if chance() < 0.4:
            price = replace(price, maximum=(price.minimum or Decimal(0)) + self.small())
        return replace(price, scope=scope)

    @staticmethod
    def with_fees(tiers: tuple[Tier, ...], flat: list[Decimal | None]) -> tuple[Tier, ...]:
        return tuple(replace(tier, flat_amount=fee) for tier, fee in zip(tiers, flat, strict=False))

    def small(self) -> Decimal:
        return Decimal(self.scoping.randrange(10**5)).scaleb(-3)

    def prices(self) -> tuple[Price, ...]:
        found = [self.price(meter) for meter in self.random.sample(list(METERS), self.random.randint(1, 3))]
        if self.scopes and self.scoping.random() < 0.5:
            size = self.small()
            found = [price if price.model == "flat" else replace(price, included=size, pool="p") for price in found]
        return tuple(found)

    def versions(self) -> tuple[Version, ...]:
        days = self.random.sample([date(2024, 12, 1), date(2025, 1, 2), date(2025, 2, 1)], 2)
        owners = self.random.sample(CUSTOMERS, 2)
        plans = self.random.sample(["basic", "pro"], self.random.randint(0, 2))
        return tuple(
            Version(
                f"v{i}",
                day,
                self.prices(),
                {owner: self.prices() for owner in owners},
                plans={plan: self.prices() for plan in plans},
            )
            for i, day in enumerate(days)
        )


COLUMNS = [
    "invoice_id",
    "line_no",
    "customer_id",
    "meter",
    "dimensions",
    "kind",
    "usage_quantity",
    "included_quantity",
    "quantity",
    "unit_amount",
    "exact_amount",
    "currency",
    "amount_minor",
    "price_version",
    "basis",
]


@given(seed=st.integers(0, 2**32 - 1))
@example(seed=1934).via("minimums of the book's and of the customer's price on one invoice")
@example(seed=31238).via("the same, with quantities")
@example(seed=114199).via("minimums of the plan's and of the customer's price on one invoice")
@example(seed=522021).via("a minimum that does not fit, of which the lines lack less than that")
@settings(max_examples=200)
def test_vectorised_rating_is_the_plain_loop(seed):
    case = Case(seed)
    snapshots, priced = case.snapshots, case.books
    lines, reasons = expected(snapshots, priced)
    for reason in {reason for reason in reasons if "can be billed" in reason}:
        event(reason)
    for kind in ("fee", "minimum", "maximum"):
        event(f"lines of kind {kind}: {any(line['kind'] == kind for line in lines)}")
    result = rated(snapshots, priced)
    assert result.lines[COLUMNS].to_dict("records") == [{name: line[name] for name in COLUMNS} for line in lines]
    assert result.unpriced.reason.tolist() == reasons

    usage_lines = result.lines[result.lines.kind == "usage"]
    covered: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    measured: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    of = (lambda *grain: grain[:2]) if case.merges else (lambda *grain: grain)
    left = result.unpriced.to_dict("records")
    unpriced = {(line["invoice_id"], line["meter"], line["dimensions"]) for line in left}
    with decimal.localcontext(CONTEXT):
        for line in usage_lines.to_dict("records"):
            covered[of(line["invoice_id"], line["meter"], line["dimensions"])] += line["usage_quantity"]
        for s in snapshots:
            if (s.invoice_id, s.meter, s.dimensions) not in unpriced:
                measured[of(s.invoice_id, s.meter, s.dimensions)] += s.quantity
    assert covered == measured


FOCUS = Path(os.environ.get("BILLING_FOCUS_DATA", Path(__file__).parents[3] / "shared" / "data" / "focus"))


@pytest.mark.skipif(not (FOCUS / "expected.csv").exists(), reason="the FOCUS sample is not beside the repository")
def test_real_cloud_usage_is_rated_to_the_last_digit():
    books_ = list(load_price_books((FOCUS / "price_book.yaml").read_text(), "price_book.yaml"))
    sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    with (FOCUS / "usage.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            sums[row["customer_id"], row["meter"], row["dimensions"]] += Decimal(row["quantity"])
    day = date(2024, 9, 1)
    result = rated([Snapshot(c, m, quantity, d, start_date=day) for (c, m, d), quantity in sums.items()], books_)
    assert len(result.unpriced) == 0
    with (FOCUS / "expected.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = {r["customer_id"]: (int(r["line_items"]), Decimal(r["exact_total"]), int(r["total_minor"])) for r in rows}
    by_customer = result.lines.groupby("customer_id")
    assert wanted == {c: (len(g), sum(g.exact_amount), sum(g.amount_minor)) for c, g in by_customer}
