"""What set-aside usage would come to at the last price that its meter had: what a month leaves unbilled, in money."""

from datetime import date

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, text

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.pricing.prices_in_use import read_prices
from billing_pipeline.pricing.rules.rating import rate
from billing_pipeline.pricing.rules.rating_frames import PRICE_SCHEMA, SNAPSHOT_SCHEMA, to_frame

ANY_DAY = date(1900, 1, 1)

_FORGET = """
UPDATE billing.usage_quarantine SET worth_minor = NULL
WHERE billing_month = :month AND worth_minor IS NOT NULL
    AND (CAST(:customer AS text) IS NULL OR customer_id = :customer)
"""
_SET = "UPDATE billing.usage_quarantine SET worth_minor = :worth WHERE ctid = CAST(:row AS tid)"


def value_quarantine(connection: Connection, month: date, customer: str | None = None) -> None:
    """Write worth_minor of the month's quarantine, or of one customer's part of it.

    Each row is rated alone, at the newest price that covers it: one in use, else the one that was retired last. What is
    below zero or too large has no worth.
    """
    scope = {"month": month, "customer": customer}
    connection.execute(text(_FORGET), scope)
    rows = connection.execute(text(load_sql("invoicing/quarantine_worth.sql")), scope).mappings().all()
    if not rows:
        return
    left = to_frame(pa.Table.from_pylist([dict(row) for row in rows], schema=SNAPSHOT_SCHEMA))
    found: dict[str, int] = {}
    for prices in _from_newest(connection, sorted({row["currency"] for row in rows})):
        rated = rate(left, prices, any_plan=True)
        own = rated.lines[rated.lines["kind"].isin(["usage", "fee"])]
        worth = own.groupby("invoice_id")["amount_minor"].sum()
        found |= {str(row): int(amount) for row, amount in worth.items()}
        left = rated.unpriced.drop(columns="reason")
        if left.empty:
            break
    if found:
        connection.execute(text(_SET), [{"row": row, "worth": int(worth)} for row, worth in found.items()])


def _from_newest(connection: Connection, currencies: list[str]) -> list[pd.DataFrame]:
    """The prices that each customer and meter had, newest first, as books of one version each."""
    prices = to_frame(read_prices(connection, "currency = ANY(:currencies)", {"currencies": currencies}))
    retired = connection.execute(
        text("SELECT price_id::text, retired_at FROM billing.prices WHERE currency = ANY(:currencies)"),
        {"currencies": currencies},
    )
    # prices in use come before those that were retired, those before the ones retired earlier
    age = {price_id: -at.timestamp() if at is not None else float("-inf") for price_id, at in retired}
    frame = prices.assign(age=[age[price_id] for price_id in prices["price_id"]])
    started = [-day.toordinal() for day in frame["effective_from"]]
    owners = zip(frame["customer_id"], frame["plan"], strict=True)
    owner = ["\0".join(part if isinstance(part, str) else "" for part in one) for one in owners]
    place = pd.DataFrame({"age": frame["age"], "started": started, "owner": owner})
    place["currency"], place["meter"] = list(frame["currency"]), list(frame["meter"])
    place["key"] = list(zip(place["age"], place["started"], strict=True))
    rank = place.groupby(["currency", "owner", "meter"])["key"].rank(method="dense")
    plain = prices.assign(version_id="last", effective_from=ANY_DAY)
    plain["version_id"] = plain["version_id"].astype(prices["version_id"].dtype)
    plain["effective_from"] = plain["effective_from"].astype(prices["effective_from"].dtype)
    return [plain[(rank == n).to_numpy()][PRICE_SCHEMA.names] for n in sorted(rank.unique())]
