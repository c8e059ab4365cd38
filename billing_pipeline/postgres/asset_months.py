"""What the builds of a month share: the transaction that owns the month, and its entry in asset_months."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class CutOff:
    """Until when a build read.

    `known_until`: its clock: what came later outdates the drafts. `as_of`, of usage: what was received until then
    counts. `carried_forward_from`: the feed's reach, where an operator released what lies behind it.
    """

    known_until: datetime
    as_of: datetime | None = None
    carried_forward_from: datetime | None = None


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
    cut_off: CutOff | None = None,
) -> None:
    """Enter a build of the month in asset_months.

    The version is not set here: triggers raise it when rows change. Nobody's rows are newer than the month's from now
    on, so what was noted of customers who were built by themselves is gone.
    """
    connection.execute(
        text("DELETE FROM billing.customer_builds WHERE asset = :asset AND billing_month = :month"),
        {"asset": asset, "month": month},
    )
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
            "as_of": cut_off and cut_off.as_of,
            "known_until": cut_off and cut_off.known_until,
            "carried_forward_from": cut_off and cut_off.carried_forward_from,
            "run_id": run_id,
        },
    )


def record_customer_build(
    connection: Connection, asset: str, month: date, customer: str, run_id: str, cut_off: CutOff
) -> None:
    """Enter a build of one customer's rows; billing.cut_off has it instead of the month's until that is built again."""
    connection.execute(
        text(
            """
            INSERT INTO billing.customer_builds
            (asset, billing_month, customer_id, as_of, known_until, carried_forward_from, run_id)
            VALUES (:asset, :month, :customer, :as_of, :known_until, :carried_forward_from, :run_id)
            ON CONFLICT (asset, billing_month, customer_id) DO UPDATE SET
                as_of = excluded.as_of,
                known_until = excluded.known_until,
                carried_forward_from = excluded.carried_forward_from,
                run_id = excluded.run_id
            """
        ),
        {"asset": asset, "month": month, "customer": customer, "run_id": run_id, **asdict(cut_off)},
    )


@contextmanager
def kept_together(connection: Connection, month: date) -> Iterator[None]:
    """Assets that were built from each other's current rows still are at the end of the block.

    For changes of a few rows that are made in all of them. One that was not up to date before stays so.
    """
    current = {
        (below, above)
        for below, above in _EDGES
        if _built_from(connection, below, month) == version_of(connection, above, month)
    }
    yield
    for below, above in sorted(current):
        connection.execute(
            text(
                "UPDATE billing.asset_months SET built_from = :version"
                " WHERE asset = :asset AND billing_month = :month AND built_from <> :version"
            ),
            {"asset": below, "month": month, "version": version_of(connection, above, month)},
        )


_EDGES = (("invoice_line_items", "usage_snapshots"), ("invoices", "invoice_line_items"))


def _built_from(connection: Connection, asset: str, month: date) -> int | None:
    found: int | None = connection.execute(
        text("SELECT built_from FROM billing.asset_months WHERE asset = :asset AND billing_month = :month"),
        {"asset": asset, "month": month},
    ).scalar()
    return found


def count_rows(connection: Connection, asset: str, month: date) -> int:
    """Rows of the asset in the month."""
    return int(
        connection.execute(
            text(f"SELECT count(*) FROM billing.{asset} WHERE billing_month = :month"), {"month": month}
        ).scalar_one()
    )
