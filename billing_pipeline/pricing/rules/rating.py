"""Usage snapshots x prices -> invoice line items, in exact decimals, for a month at a time.

Here: the call, and what it sets aside. Not here: which price applies (`rating_prices`), what a model makes of a
quantity (`rating_models`), amounts, order and texts of the lines (`rating_lines`), the tables they are stored in.

Work per snapshot is done by Arrow and NumPy; Python sees each distinct text and price combination once.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from billing_pipeline.core.money_columns import Array
from billing_pipeline.pricing.rules.rating_frames import (
    LINE_SCHEMA,
    PRICE_SCHEMA,
    SNAPSHOT_SCHEMA,
    encode,
    pc,
    price_frame,
    read_columns,
    take,
    to_frame,
    to_table,
)
from billing_pipeline.pricing.rules.rating_limits import ZERO, DoesNotFitError
from billing_pipeline.pricing.rules.rating_lines import Lines
from billing_pipeline.pricing.rules.rating_models import in_trial, split
from billing_pipeline.pricing.rules.rating_prices import index_prices, resolve
from billing_pipeline.pricing.rules.rating_scopes import place_in_scope

__all__ = ["Rated", "RatedTables", "price_frame", "rate", "rate_tables"]

NEGATIVE = "negative quantity"


@dataclass(frozen=True)
class Rated:
    """`lines` as `rating_frames.LINE_SCHEMA` says; `unpriced` has the snapshots' columns and a `reason`."""

    lines: pd.DataFrame
    unpriced: pd.DataFrame


@dataclass(frozen=True)
class RatedTables:
    """The same as Arrow tables."""

    lines: pa.Table
    unpriced: pa.Table


def rate(snapshots: pd.DataFrame, prices: pd.DataFrame, *, any_plan: bool = False) -> Rated:
    """The line items of usage snapshots; columns as in `rating_frames.SNAPSHOT_SCHEMA` and `PRICE_SCHEMA`.

    Every snapshot ends up either in `unpriced`, in input order, or in at least one line, be its amount zero.
    Lines are sorted by invoice (in order of first appearance), the price's position, meter, dimensions, tier,
    everybody's price before the plan's and the customer's own, and numbered from 1 within an invoice; how the frames'
    rows are sorted changes only the order of invoices. For every line `exact_amount = quantity * unit_amount`,
    times `billed_days / full_days` where a constant meter's period is short, and `amount_minor` is that, rounded once.
    A tier's flat amount is a line of kind `fee` behind the tier's. What is `in_trial` is billed with a quantity of 0,
    all of its usage included.
    A price's minimum is reached by one further line of kind `minimum` per invoice (with `scope` "combination", per
    combination): what the rounded lines lack of it, so that they add up to it in what the customer reads. What they
    have beyond its maximum is taken off by one of kind `maximum`.
    What is too large to be billed goes to `unpriced` and leaves the others as they are.
    `any_plan`: `prices` are a part of a book, so a plan that they do not name is no mistake.

    Raises ValueError for frames of other columns or types.
    """
    rated = rate_tables(to_table(snapshots, SNAPSHOT_SCHEMA), to_table(prices, PRICE_SCHEMA), any_plan=any_plan)
    return Rated(to_frame(rated.lines), to_frame(rated.unpriced))


def rate_tables(snapshots: pa.Table, prices: pa.Table, *, any_plan: bool = False) -> RatedTables:
    """What `rate` does, of tables: for a few snapshots the way through frames costs more than the rating."""
    columns = read_columns(snapshots, SNAPSHOT_SCHEMA, "snapshots")
    table = index_prices(read_columns(prices, PRICE_SCHEMA, "prices"))
    resolution = resolve(columns, table, any_plan=any_plan)
    invoice, _ = encode(columns["invoice_id"])

    reasons = [*resolution.reasons, NEGATIVE]
    negative = pc.less(columns["quantity"], ZERO).to_numpy(zero_copy_only=False)
    reason_code = np.where(negative & (resolution.price_set >= 0), len(reasons) - 1, resolution.reason_code)
    while True:
        billed = np.flatnonzero(reason_code < 0)
        try:
            placed = place_in_scope(billed, resolution.price_set[billed], columns, invoice, table)
            parts = in_trial(split(placed, table), columns["in_trial"])
            lines = Lines(columns, invoice, table, parts).columns()
            break
        except DoesNotFitError as error:  # at least one snapshot fewer is billed the next time
            reasons.append(error.reason)
            reason_code[error.snapshots] = len(reasons) - 1

    unbilled = np.flatnonzero(reason_code >= 0)
    unpriced = {name: take(column, unbilled) for name, column in columns.items()}
    unpriced["reason"] = take(pa.array(reasons, pa.string()), reason_code[unbilled])
    return RatedTables(
        _table(lines, LINE_SCHEMA), _table(unpriced, SNAPSHOT_SCHEMA.append(pa.field("reason", pa.string())))
    )


def _table(columns: dict[str, Array], schema: pa.Schema) -> pa.Table:
    return pa.table([columns[name] for name in schema.names], schema=schema)
