"""What a customer may change of their own: the address on the invoice, the tax id, the language."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.rules.fields import CUSTOMER_FIELDS
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

ADDRESS = ("address_line1", "address_line2", "postal_code", "city", "state", "country")
DETAILS = (*ADDRESS, "tax_id", "language")
_RULES = {field.name: field for field in CUSTOMER_FIELDS if field.name in DETAILS}


def read_details(warehouse: Warehouse, customer_id: str) -> dict[str, Any]:
    """Name, e-mail address and DETAILS of one customer; null: not known.

    Raises:
        NotFound: there is no such customer.
    """
    rows = warehouse.rows(
        f"SELECT name, email, {', '.join(DETAILS)} FROM billing.customers WHERE customer_id = :id", id=customer_id
    )
    if not rows:
        raise NotFound(f'customer "{customer_id}": expected the id of a customer, found none')
    return rows[0]


def change_details(warehouse: Warehouse, customer_id: str, given: Mapping[str, str], signature: Signature) -> bool:
    """Write the details that are given, blank as unknown, and the audit log; False: all were so already.

    Raises:
        NotFound: there is no such customer.
        UserError: one of them breaks the rule of its column in the customers file; nothing was written.
    """
    wanted = {**read_details(warehouse, customer_id), **{name: _checked(name, value) for name, value in given.items()}}
    values = {name: wanted[name] for name in DETAILS}
    with warehouse.transaction() as connection:
        changed = connection.execute(
            text(load_sql("customers/change_details.sql")),
            {**values, "customer_id": customer_id, "author": signature.author, "reason": signature.reason},
        )
        return changed.rowcount == 1


def _checked(name: str, value: str) -> str | None:
    if name not in _RULES:
        raise UserError(f"{name}: expected one of {', '.join(DETAILS)}")
    try:
        return _RULES[name].rule(value.strip()) or None
    except ValueError as error:
        raise UserError(f'{name} "{value}": expected {error}') from None
