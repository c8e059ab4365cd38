"""One customer, made or changed by somebody: by the rules of the customers file, in the same statements."""

import json
from collections.abc import Mapping

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.importing import lock_customers, stage, write_staged
from billing_pipeline.customers.rules.fields import CONTRACT_FIELDS, CUSTOMER_FIELDS
from billing_pipeline.imports.columns import checked
from billing_pipeline.imports.problems import ImportRefused, ProblemList, shown
from billing_pipeline.imports.text import read_events
from billing_pipeline.postgres.warehouse import Warehouse

KEPT = tuple(field.name for field in CUSTOMER_FIELDS if field.name not in CONTRACT_FIELDS)
"""What is stored of a customer itself; its contract has operations of its own."""


class CustomerRefused(UserError):  # noqa: N818 - reads as what happened
    """A field is none that a customer may have; nothing was written. The text names each field."""


def create_customer(warehouse: Warehouse, given: Mapping[str, object], signature: Signature) -> None:
    """Add a customer, with the names and rules of the customers file.

    Raises:
        CustomerRefused: a field is wrong.
        UserError: there is one with this id.
    """
    with warehouse.transaction() as connection:
        _stage(connection, given)
        if connection.execute(text(_IS_THERE), {"customer_id": given.get("customer_id")}).scalar():
            raise UserError(f'customer "{given.get("customer_id")}" is there already: change it instead')
        _write(connection, signature)


def change_customer(warehouse: Warehouse, customer_id: str, given: Mapping[str, object], signature: Signature) -> bool:
    """Give a customer other values; what is not given stays as it is. False: all was so already.

    Raises:
        NotFound: there is none with this id.
        CustomerRefused: a field is wrong, or cannot be changed.
    """
    with warehouse.transaction() as connection:
        lock_customers(connection)  # before it is read: what is not given is written as it was
        stored = connection.execute(
            text(f"SELECT {', '.join(KEPT)} FROM billing.customers WHERE customer_id = :customer_id"),
            {"customer_id": customer_id},
        )
        row = stored.mappings().one_or_none()
        if row is None:
            raise NotFound(f'customer "{customer_id}": expected the id of a customer, found none')
        kept = {name: str(value) for name, value in row.items() if value is not None}
        kept |= {"payment_terms_days": row["payment_terms_days"]} if row["payment_terms_days"] is not None else {}
        _stage(connection, {**kept, **given, "customer_id": customer_id})
        return _write(connection, signature)


def _stage(connection: Connection, given: Mapping[str, object]) -> None:
    problems = ProblemList("customer")
    table = checked(read_events([json.dumps(given).encode()], CUSTOMER_FIELDS, problems), CUSTOMER_FIELDS, problems)
    _raise(problems)
    stage(connection, [table])


def _write(connection: Connection, signature: Signature) -> bool:
    problems = ProblemList("customer")
    try:
        inserted, updated = write_staged(connection, problems, signature)
    except ImportRefused:
        _raise(problems)
        raise
    return inserted + updated > 0


def _raise(problems: ProblemList) -> None:
    if problems.total:
        told = []
        for each in problems.first:
            value = "" if each.value is None else f' "{shown(each.value)}"'
            told.append(f"{each.field or 'customer'}{value}: expected {each.expected}")
        raise CustomerRefused("; ".join(told))


_IS_THERE = "SELECT EXISTS (SELECT FROM billing.customers WHERE customer_id = :customer_id)"
