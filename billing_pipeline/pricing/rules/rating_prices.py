"""Which price applies to which snapshot.

Here: the version in force and the order of precedence. Not here: what the price amounts to (`rating_models`).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.price_book import version_in_force
from billing_pipeline.pricing.rules.price_book_model import MODELS
from billing_pipeline.pricing.rules.rating_frames import Codes, encode, pair, pc, values

Dimensions = tuple[tuple[str, str], ...]
ANY: Dimensions = ()

# Currency, version, customer, plan (both None: for everybody), meter: one price with all its rates or tiers.
Entry = tuple[str, str, str | None, str | None, str]


@dataclass(frozen=True)
class PriceTable:
    """Price rows, indexed. A *set* prices one combination: one row, or one price's tiers in order.

    `set_first[s]` and `set_count[s]` are the span of set s in `set_rows`, which holds row numbers of
    `columns`; `entry_of_row` numbers the entries, `entry_first` has each entry's first row. Of a row `pool_of_row` is
    the number of its allowance's pool, -1 for none; `across_meter` and `each_combination` say what its `scope` is.
    """

    columns: dict[str, Array]
    sets: dict[tuple[Entry, Dimensions], int]
    set_rows: Codes
    set_first: Codes
    set_count: Codes
    entry_of_row: Codes
    entry_first: Codes
    pool_of_row: Codes
    across_meter: npt.NDArray[np.bool_]
    each_combination: npt.NDArray[np.bool_]
    versions: dict[str, list[tuple[str, date]]]
    plans: dict[tuple[str, str], set[str]]
    """By currency and version, the plans that have prices; only versions from the first one with plans on."""


@dataclass(frozen=True)
class Resolution:
    """Per snapshot the number of its price set, -1 where none applies; as `reasons[reason_code]` says."""

    price_set: Codes
    reason_code: Codes
    reasons: list[str]


def parse_dimensions(text: str) -> Dimensions:
    """The pairs of a JSON object, independent of the order of its keys. Raises ValueError for other JSON."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError(f"dimensions {text!r}: expected a JSON object")
    texts = ((name, item if isinstance(item, str) else json.dumps(item)) for name, item in value.items())
    return tuple(sorted(texts))


def index_prices(columns: dict[str, Array]) -> PriceTable:
    """Index the price rows. Raises ValueError for an unknown model or a row that is there twice."""
    entry_names = ("currency", "version_id", "customer_id", "plan", "meter")
    names = (*entry_names, "dimensions", "model", "tier_no", "effective_from")
    rows = zip(*(values(columns[name]) for name in names), strict=True)
    tiers: dict[tuple[Entry, Dimensions], dict[int, int]] = defaultdict(dict)
    entries: dict[Entry, int] = {}
    entry_of_row, entry_first = [], []
    versions: dict[str, dict[str, date]] = defaultdict(dict)
    for row, (*key, text, model, tier_no, effective_from) in enumerate(rows):
        currency, version_id, customer_id, plan, meter = key
        if model not in MODELS:
            raise ValueError(f"price of meter {meter}: unknown model {model!r}")
        entry: Entry = (currency, version_id, customer_id, plan, meter)
        own_tiers = tiers[entry, parse_dimensions(text)]
        if tier_no in own_tiers:
            raise ValueError(f"prices of {version_id} have tier {tier_no} of meter {meter} {text} twice")
        own_tiers[tier_no] = row
        if entry not in entries:
            entries[entry] = len(entries)
            entry_first.append(row)
        entry_of_row.append(entries[entry])
        versions[currency][version_id] = effective_from
    counts = np.array([len(own) for own in tiers.values()], dtype=np.int64)
    return PriceTable(
        columns=columns,
        sets={key: number for number, key in enumerate(tiers)},
        set_rows=np.array([own[n] for own in tiers.values() for n in sorted(own)], dtype=np.int64),
        set_first=np.cumsum(counts) - counts,
        set_count=counts,
        entry_of_row=np.array(entry_of_row, dtype=np.int64),
        entry_first=np.array(entry_first, dtype=np.int64),
        pool_of_row=_pools(columns),
        across_meter=_has_scope(columns, "meter"),
        each_combination=_has_scope(columns, "combination"),
        versions={currency: list(by_id.items()) for currency, by_id in versions.items()},
        plans=_plans(entries, versions),
    )


def _has_scope(columns: dict[str, Array], scope: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.fill_null(pc.equal(columns["scope"], scope), False).to_numpy(zero_copy_only=False)
    return found


def _pools(columns: dict[str, Array]) -> Codes:
    """A code for the prices of one list, be it everybody's, a plan's or a customer's, that name one pool."""
    names = values(columns["pool"])
    if not any(names):
        return np.full(len(names), -1, dtype=np.int64)
    owners = zip(*(values(columns[name]) for name in ("currency", "version_id", "customer_id", "plan")), strict=True)
    known: dict[tuple[object, ...], int] = {}
    return np.array(
        [
            -1 if name is None else known.setdefault((*owner, name), len(known))
            for owner, name in zip(owners, names, strict=True)
        ],
        dtype=np.int64,
    )


def _plans(entries: Iterable[Entry], versions: Mapping[str, Mapping[str, date]]) -> dict[tuple[str, str], set[str]]:
    named: dict[tuple[str, str], set[str]] = defaultdict(set)
    for currency, version_id, _, plan, _ in entries:
        if plan is not None:
            named[currency, version_id].add(plan)
    first: dict[str, date] = {}
    for currency, version_id in named:
        day = versions[currency][version_id]
        first[currency] = min(day, first.get(currency, day))
    return {
        (currency, version_id): named[currency, version_id]
        for currency, by_id in versions.items()
        for version_id, day in by_id.items()
        if currency in first and day >= first[currency]
    }


def resolve(snapshots: dict[str, Array], table: PriceTable, *, any_plan: bool = False) -> Resolution:
    """The price set of every snapshot.

    The version in force on the period's local start date, then the first that exists of: the customer's price
    for exactly these dimensions, the customer's for any, the plan's for exactly these and for any, everybody's for
    exactly these and for any. Where the book has plans, a plan that it does not have has no price at all; `any_plan`
    takes it for one without prices of its own, for prices that are only a part of a book.
    """
    currency, currencies = encode(snapshots["currency"])
    day, days = encode(snapshots["start_date"])
    meter, meters = encode(snapshots["meter"])
    dimension, texts = encode(snapshots["dimensions"])

    # Texts that no price names fall together, so that a book decides how much is left to do in Python, not
    # the usage.
    priced: dict[Dimensions, int] = {ANY: 0}
    for _, dimensions in table.sets:
        priced.setdefault(dimensions, len(priced))
    known = list(priced)
    text_codes = [priced.get(parse_dimensions(text), len(known)) for text in values(texts)]
    dimension = np.array(text_codes, dtype=np.int64)[dimension]
    customers = sorted({entry[2] for entry, _ in table.sets if entry[2] is not None})
    customer = _index_in(snapshots["customer_id"], customers)

    combination, _ = pair(currency, day, len(days))
    combination, _ = pair(combination, meter, len(meters))
    combination, _ = pair(combination, dimension, len(known) + 1)
    plan, plans = _plan_codes(snapshots["plan"], table)
    combination, _ = pair(combination, plan, len(plans))
    combination, examples = pair(combination, customer, len(customers) + 1)

    reasons: dict[str, int] = {}
    price_set = np.full(len(examples), -1, dtype=np.int64)
    reason_code = np.full(len(examples), -1, dtype=np.int64)
    currency_names, day_values, meter_names = values(currencies), values(days), values(meters)
    for number, row in enumerate(examples.tolist()):
        money, name = currency_names[currency[row]], meter_names[meter[row]]
        version = version_in_force(table.versions.get(money, []), day_values[day[row]])
        exact = known[dimension[row]] if dimension[row] < len(known) else ANY
        owner = customers[customer[row]] if customer[row] < len(customers) else None
        on_plan = plans[plan[row]]
        known_plans = table.plans.get((money, version or ""))
        is_unknown = not any_plan and on_plan is not None and known_plans is not None and on_plan not in known_plans
        found = None if version is None or is_unknown else _find(table, (money, version), owner, on_plan, name, exact)
        if found is None:
            reason = f"no plan {on_plan} in the price book" if is_unknown else f"no price for meter {name}"
            if version is None:
                reason = "no price version in force"
            reason_code[number] = reasons.setdefault(reason, len(reasons))
        else:
            price_set[number] = found
    return Resolution(price_set[combination], reason_code[combination], list(reasons))


def _plan_codes(column: Array, table: PriceTable) -> tuple[Codes, list[str | None]]:
    """Each snapshot's plan as a code, and the plans; of books without plans, nobody has one."""
    if not table.plans:
        return np.zeros(len(column), dtype=np.int64), [None]
    codes, plans = encode(pc.fill_null(column, ""))
    return codes, [plan or None for plan in values(plans)]


def _find(
    table: PriceTable, book: tuple[str, str], owner: str | None, plan: str | None, meter: str, exact: Dimensions
) -> int | None:
    own = [(owner, None)] if owner is not None else []
    holders = [*own, *([(None, plan)] if plan is not None else []), (None, None)]
    for customer, on_plan in holders:
        for dimensions in (exact, ANY):
            found = table.sets.get(((*book, customer, on_plan, meter), dimensions))
            if found is not None:
                return found
    return None


def _index_in(column: Array, names: list[str]) -> Codes:
    """The index of each value in `names`, its length where it is not there."""
    if not names:
        return np.zeros(len(column), dtype=np.int64)
    found = pc.index_in(column, value_set=pa.array(names, pa.string()))
    codes: Codes = pc.fill_null(found, len(names)).to_numpy().astype(np.int64)
    return codes
