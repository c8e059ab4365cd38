"""The price table as rating reads it."""

from collections.abc import Mapping

import pyarrow as pa
from sqlalchemy import Connection

from billing_pipeline.postgres.arrow_copy import copy_arrow_out
from billing_pipeline.pricing.rules.rating_frames import PRICE_SCHEMA


def prices_in_use(reader: Connection) -> pa.Table:
    """The prices as `rate_tables` takes them."""
    return read_prices(reader, "retired_at IS NULL", {})


def read_prices(reader: Connection, condition: str, parameters: Mapping[str, object]) -> pa.Table:
    """The prices for which an SQL condition holds, as `rate_tables` takes them."""
    query = f"SELECT {', '.join(PRICE_SCHEMA.names)} FROM billing.prices WHERE {condition} ORDER BY price_id"
    tables = list(copy_arrow_out(reader, query, parameters, PRICE_SCHEMA))
    return pa.concat_tables(tables or [PRICE_SCHEMA.empty_table()])
