"""The floor that builds are held against: COPY of the same rows into the same tables."""

import io
import time
from pathlib import Path

from psycopg import sql

from billing_pipeline.postgres.connections import raw
from billing_pipeline.sandbox.bench.steps import Subject


def export(subject: Subject, asset: str, folder: Path) -> Path:
    """The asset's rows of the month as COPY writes them, in a file of this folder."""
    path = folder / asset
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE billing_month = {}) TO STDOUT").format(
        _columns(subject, asset), sql.Identifier("billing", asset), sql.Literal(subject.month)
    )
    with (
        path.open("wb") as file,
        subject.warehouse.engine.connect() as connection,
        raw(connection).cursor() as cursor,
        cursor.copy(query) as copy,
    ):
        for chunk in copy:
            file.write(chunk)
    return path


def _columns(subject: Subject, asset: str) -> sql.Composed:
    names = subject.warehouse.rows(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'billing' AND table_name = :asset"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position",
        asset=asset,
    )
    return sql.SQL(", ").join(sql.Identifier(row["column_name"]) for row in names)


def copy_in(subject: Subject, asset: str, path: Path) -> float:
    """Seconds of COPY of such a file, its commit among them."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier("billing", asset), _columns(subject, asset))
    start = time.perf_counter()
    with subject.warehouse.transaction() as connection, path.open("rb", buffering=0) as file:  # noqa: SIM117 - the commit is timed
        with raw(connection).cursor() as cursor, cursor.copy(statement) as copy:
            while block := file.read(io.DEFAULT_BUFFER_SIZE * 32):
                copy.write(block)
    return time.perf_counter() - start
