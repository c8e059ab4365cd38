"""Budgets: of how much of a running period a customer wants to be told. None of them stops anything, or is billed."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import shown
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.imports.rules.fields import quantity
from billing_pipeline.notices.rules.budgets import DEFAULT_PERCENT, thresholds
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


def budget_amount(
    warehouse: Warehouse,
    customer_id: str,
    limit_minor: int,
    signature: Signature,
    *,
    percents: Sequence[int] = DEFAULT_PERCENT,
) -> bool:
    """Watch what each running period's invoice comes to so far; in place of the budget that did.

    Args:
        warehouse: the billing database.
        customer_id: whose.
        limit_minor: what is 100 percent, in minor units of the customer's currency.
        signature: who, why.
        percents: which shares of it are told.

    Returns:
        False: it was so already.

    Raises:
        UserError: there is no such customer, or the limit or a share is none.
    """
    currency = read_customer(warehouse, customer_id)["currency"]
    if limit_minor <= 0:
        raise UserError(f"limit {limit_minor}: expected an amount above 0")
    limit = {"limit_minor": limit_minor, "currency": currency, "limit_quantity": None}
    return _set(warehouse, customer_id, None, limit, percents, signature)


def budget_quantity(
    warehouse: Warehouse,
    customer_id: str,
    meter: str,
    limit: str,
    signature: Signature,
    *,
    percents: Sequence[int] = DEFAULT_PERCENT,
) -> bool:
    """Watch a meter's quantity in each running period, of all its dimensions together; in place of the budget that did.

    Args:
        warehouse: the billing database.
        customer_id: whose.
        meter: one of the price book of the customer's currency.
        limit: what is 100 percent, in the meter's unit: an exact number, as it was typed.
        signature: who, why.
        percents: which shares of it are told.

    Returns:
        False: it was so already.

    Raises:
        UserError: there is no such customer or meter, or the limit or a share is none.
    """
    currency = read_customer(warehouse, customer_id)["currency"]
    known = [row["meter"] for row in warehouse.rows(_METERS, currency=currency)]
    if meter not in known:
        raise UserError(f'meter "{meter}": expected one of {", ".join(known) or "a price book that is loaded"}')
    row = {"limit_minor": None, "currency": None, "limit_quantity": _quantity(limit)}
    return _set(warehouse, customer_id, meter, row, percents, signature)


def end_budget(warehouse: Warehouse, customer_id: str, meter: str | None, signature: Signature) -> None:
    """Watch this no more: a meter, or with None the amount.

    Raises:
        UserError: there is no such customer, or no such budget of it.
    """
    read_customer(warehouse, customer_id)
    parameters = {"customer": customer_id, "meter": meter, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        if connection.execute(text(load_sql("notices/end_budget.sql")), parameters).first() is None:
            raise UserError(f"customer {customer_id}: expected a budget of {meter or 'the amount'}, found none")


def list_budgets(
    warehouse: Warehouse, *, customer_id: str | None = None, after: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Budgets that hold now, in the order of their making. Columns: sql/notices/list_budgets.sql."""
    return warehouse.rows(load_sql("notices/list_budgets.sql"), customer_id=customer_id, after=after, row_limit=limit)


def _quantity(typed: str) -> Decimal:
    try:
        found = Decimal(quantity(typed.strip()))
    except ValueError as error:
        raise UserError(f'limit "{shown(typed)}": expected {error}') from None
    if found <= 0:
        raise UserError(f"limit {typed}: expected a quantity above 0")
    return found


def _set(
    warehouse: Warehouse,
    customer_id: str,
    meter: str | None,
    limit: dict[str, Any],
    percents: Sequence[int],
    signature: Signature,
) -> bool:
    who = {"author": signature.author, "reason": signature.reason}
    parameters = {"customer": customer_id, "meter": meter, "thresholds": thresholds(percents), **limit, **who}
    with warehouse.transaction() as connection:
        return connection.execute(text(load_sql("notices/set_budget.sql")), parameters).first() is not None


_METERS = "SELECT meter FROM billing.meters WHERE currency = :currency ORDER BY meter"
