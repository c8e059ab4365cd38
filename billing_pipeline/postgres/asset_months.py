"""What the builds of a month share: the transaction that owns the month, and its entry in asset_months."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from billing_pipeline.postgres.locks import lock_month
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True)
class Built:
    """What a build did to its month: rows written and removed, and rows there now."""

    inserted: int
    deleted: int
    row_count: int


@contextmanager
def owned_month(warehouse: Warehouse, month: date) -> Iterator[Connection]:
    """A transaction that holds the month against other builds and against finalisation."""
    with warehouse.transaction() as connection:
        # sorts and hashes of a whole month belong in memory; the default would spill them all to disk
        connection.execute(text("SET LOCAL work_mem = '256MB'; SET LOCAL jit = off"))
        lock_month(connection, month)
        yield connection


def version_of(connection: Connection, asset: str, month: date) -> int:
    """Version of the asset's rows in the month; 0 if it never had any."""
    found = connection.execute(
        text("SELECT version FROM billing.asset_months WHERE asset = :asset AND billing_month = :month"),
        {"asset": asset, "month": month},
    ).scalar()
    return int(found or 0)


def record_build(
    connection: Connection,
    asset: str,
    month: date,
    run_id: str,
    *,
    built_from: int | None = None,
    as_of: datetime | None = None,
    known_until: datetime | None = None,
    carried_forward_from: datetime | None = None,
) -> None:
    """Enter a build in asset_months. The version is not set here: triggers raise it when rows change."""
    connection.execute(
        text(
            """
            INSERT INTO billing.asset_months AS m
            (asset, billing_month, built_from, as_of, known_until, carried_forward_from, run_id)
            VALUES (:asset, :month, :built_from, :as_of, :known_until, :carried_forward_from, :run_id)
            ON CONFLICT (asset, billing_month) DO UPDATE SET
                built_from = excluded.built_from,
                as_of = excluded.as_of,
                known_until = excluded.known_until,
                carried_forward_from = excluded.carried_forward_from,
                run_id = excluded.run_id
            """
        ),
        {
            "asset": asset,
            "month": month,
            "built_from": built_from,
            "as_of": as_of,
            "known_until": known_until,
            "carried_forward_from": carried_forward_from,
            "run_id": run_id,
        },
    )


def count_rows(connection: Connection, asset: str, month: date) -> int:
    """Rows of the asset in the month."""
    return int(
        connection.execute(
            text(f"SELECT count(*) FROM billing.{asset} WHERE billing_month = :month"), {"month": month}
        ).scalar_one()
    )
