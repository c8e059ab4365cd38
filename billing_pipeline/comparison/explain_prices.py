"""The price rows that lines name, and those that merged lines stand for."""

from collections.abc import Collection
from uuid import UUID

import pyarrow as pa
from sqlalchemy import Connection

from billing_pipeline.pricing.prices_in_use import read_prices
from billing_pipeline.pricing.rules.rating_frames import PRICE_SCHEMA

_ALIKE = [name for name in PRICE_SCHEMA.names if name not in ("price_id", "dimensions")]
_PLACE = ("currency", "version_id", "customer_id", "plan", "meter", "tier_no", "dimensions")


def named_prices(connection: Connection, named: Collection[str]) -> pa.Table:
    """The rows of these ids; of merged prices also all that differ from them in their dimensions alone."""
    ids = sorted({UUID(price_id) for price_id in named})
    return read_prices(connection, _NAMED, {"ids": ids})


def prices_of_invoice(prices: pa.Table, named: Collection[str]) -> pa.Table:
    """Those of `named_prices` that priced an invoice whose lines name these ids.

    A row that a merged line may stand for did so only where no line names another one for its dimensions.
    """
    rows = prices.to_pylist()
    own = [row for row in rows if row["price_id"] in named]
    merged = {tuple(row[name] for name in _ALIKE) for row in own if row["lines"] == "merged"}
    taken = {tuple(row[name] for name in _PLACE) for row in own}
    stands_for = (
        row["price_id"] in named
        or (tuple(row[name] for name in _ALIKE) in merged and tuple(row[name] for name in _PLACE) not in taken)
        for row in rows
    )
    return prices.filter(pa.array(stands_for, pa.bool_()))


_NAMED = """
price_id = ANY(CAST(:ids AS uuid[])) OR (
    lines = 'merged' AND to_jsonb(prices.*) - '{price_id,dimensions,retired_at}'::text[] IN (
        SELECT to_jsonb(n.*) - '{price_id,dimensions,retired_at}'::text[]
        FROM billing.prices AS n WHERE n.price_id = ANY(CAST(:ids AS uuid[])) AND n.lines = 'merged'
    )
)
"""
