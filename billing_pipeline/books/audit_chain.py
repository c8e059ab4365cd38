"""The audit chain: sealed in order, checked against the rows, and its head to keep outside.

Postgres notes every change of a row that money depends on, with the change (billing.note_changes). Sealing is a job of
its own, so that those who write never wait for each other.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import UserError
from billing_pipeline.postgres.locks import lock_audit_chain
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

INVOICES_AT_ONCE = 2_000
_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Head:
    """The newest sealed entry: its place in the chain, 0 while there is none, and its seal in hex."""

    seal_no: int
    seal: str

    @classmethod
    def read(cls, value: str) -> Self:
        """From what `billing audit head` printed.

        Raises:
            UserError: it is something else.
        """
        found = _HEAD.fullmatch(value.strip())
        if found is None:
            raise UserError(f"{value!r}: expected a head as `billing audit head` prints it, such as 1234:9f86d0…")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        """As it is printed and kept."""
        return f"{self.seal_no}:{self.seal}"


@dataclass(frozen=True, slots=True)
class Verified:
    """The newest sealed entry, how many entries wait for a seal, and what does not fit: nothing, if all is well."""

    head: Head
    unsealed: int
    problems: list[str]


def seal(warehouse: Warehouse) -> int:
    """Seal what is not sealed, in order; returns how many entries."""
    with warehouse.transaction() as connection:
        return seal_within(connection)


def seal_within(connection: Connection) -> int:
    """The same, within a transaction; nobody else seals until it ends."""
    lock_audit_chain(connection)
    return int(connection.execute(text("SELECT billing.seal_audit()")).scalar_one())


def head(connection: Connection) -> Head:
    """The newest sealed entry."""
    row = connection.execute(text("SELECT seal_no, encode(seal, 'hex') AS seal FROM billing.audit_head()")).one()
    return Head(row.seal_no, row.seal)


def verify(warehouse: Warehouse, kept: Head | None = None) -> Verified:
    """Check the chain, the rows against their entries, and final invoices against their seals; writes nothing.

    Args:
        warehouse: the database.
        kept: a head that was kept outside; the chain must still have it.
    """
    connection = warehouse.engine.connect().execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=True
    )
    with connection:
        unsealed = connection.execute(text("SELECT count(*) FROM billing.audit_entries WHERE seal_no IS NULL"))
        return Verified(head(connection), int(unsealed.scalar_one()), list(problems(connection, kept)))


def problems(connection: Connection, kept: Head | None = None) -> Iterator[str]:
    """What does not fit, one line each."""
    if kept is not None and kept.seal_no > 0:
        found = connection.execute(text(_SEAL), {"seal_no": kept.seal_no}).scalar()
        if found != kept.seal:
            how = "has another seal than" if found else "is missing, it was"
            yield f"audit chain: entry {kept.seal_no} {how} the one kept"
    for row in connection.execute(text(load_sql("books/audit_problems.sql"))):
        yield f"{row.place}: {row.problem}"
    for row in connection.execute(text("SELECT * FROM billing.rows_without_entry()")):
        key = row.row_key.replace("\x1f", " ")
        yield f"{_of_import(key) if row.table_name == 'usage_events' else f'{row.table_name} {key}'}: {row.problem}"
    ids = list(connection.execute(text(_FINAL)).scalars())
    for first in range(0, len(ids), INVOICES_AT_ONCE):
        for row in connection.execute(text(_SEALS), {"ids": ids[first : first + INVOICES_AT_ONCE]}):
            yield f"invoice {row.number or row.invoice_id}: seal broken: {', '.join(row.parts)}"


def _of_import(key: str) -> str:
    return f"usage_events of import {key}"


_SEAL = "SELECT encode(seal, 'hex') FROM billing.audit_entries WHERE seal_no = :seal_no"
_FINAL = "SELECT invoice_id FROM billing.invoices WHERE status <> 'draft' ORDER BY invoice_number"
_SEALS = """
SELECT i.number, b.invoice_id, b.parts FROM billing.broken_seals(CAST(:ids AS uuid[])) AS b
JOIN billing.invoices AS i USING (invoice_id) WHERE b.parts <> '{}' ORDER BY i.invoice_number
"""
