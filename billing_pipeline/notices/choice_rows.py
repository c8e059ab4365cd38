"""What choices of all sorts share: a checked address, and a statement that makes or ends one for somebody who signs."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.email_addresses import is_email
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import shown
from billing_pipeline.postgres.errors import violated
from billing_pipeline.postgres.warehouse import Warehouse


def checked_email(given: str) -> str:
    """The address as it was given.

    Raises:
        UserError: it is none.
    """
    if not is_email(given):
        raise UserError(f'"{shown(given)}": expected a mail address in ASCII such as accounts@example.com')
    return given


def change_choice(
    warehouse: Warehouse, statement: str, twice: str, signature: Signature, **values: object
) -> Sequence[object]:
    """Carry the statement out in a transaction; its rows.

    Raises:
        UserError: it is chosen already, in the words of `twice`.
    """
    parameters = {"author": signature.author, "reason": signature.reason, **values}
    try:
        with warehouse.transaction() as connection:
            return connection.execute(text(statement), parameters).all()
    except IntegrityError as error:
        if (violated(error) or "").endswith("_one_active"):
            raise UserError(twice) from None
        raise
