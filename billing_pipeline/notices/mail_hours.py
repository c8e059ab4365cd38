"""The hours in which mails come that can wait: everybody's, a customer's, or those of one of its addresses."""

from datetime import timedelta

from sqlalchemy import text

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.choice_rows import change_choice, checked_email
from billing_pipeline.notices.rules.sending import Hours
from billing_pipeline.postgres.warehouse import Warehouse

SHORTEST = timedelta(hours=1)
"""Shorter hours could be missed day by day by what has to wait in a line."""


def choose_hours(
    warehouse: Warehouse, customer_id: str | None, email: str | None, hours: Hours, signature: Signature
) -> None:
    """Mail what can wait within these hours of the customer's zone: to everybody, a customer, or one address of it.

    Raises:
        UserError: there is no such customer, an address stands without one, or the hours are shorter than one.
    """
    if hours.lasts < SHORTEST:
        raise UserError(f"hours {hours.begins:%H:%M} to {hours.ends:%H:%M}: expected an end an hour or more later")
    if customer_id is not None:
        read_customer(warehouse, customer_id)
    elif email is not None:
        raise UserError(f"{email}: expected the customer whose address it is")
    whose = {"customer": customer_id, "email": None if email is None else checked_email(email)}
    who = {"author": signature.author, "reason": signature.reason}
    times = {"begins": hours.begins, "ends": hours.ends, "on_weekends": hours.on_weekends}
    with warehouse.transaction() as connection:
        connection.execute(text(_END_HOURS), {**whose, **who})
        connection.execute(text(_HOURS), {**whose, **who, **times})


def give_hours_up(warehouse: Warehouse, customer_id: str | None, email: str | None, signature: Signature) -> None:
    """Mail within the hours that hold otherwise.

    Raises:
        UserError: none were chosen there.
    """
    if not change_choice(warehouse, _END_HOURS, "", signature, customer=customer_id, email=email):
        raise UserError(f"expected hours of {email or customer_id or 'everybody'}, found none")


_HOURS = """
WITH done AS (
    INSERT INTO billing.notice_hours (customer_id, email, begins, ends, on_weekends, author, reason)
    VALUES (:customer, :email, :begins, :ends, :on_weekends, :author, :reason)
    RETURNING *
)
SELECT billing.log_action(
    author, 'notice.hours', 'customer', coalesce(customer_id, 'all'), reason, state_after => to_jsonb(done)
) FROM done
"""
_END_HOURS = """
WITH done AS (
    UPDATE billing.notice_hours
    SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE customer_id IS NOT DISTINCT FROM CAST(:customer AS text)
        AND lower(email) IS NOT DISTINCT FROM lower(CAST(:email AS text)) AND released_at IS NULL
    RETURNING *
)
SELECT billing.log_action(
    released_by, 'notice.hours_end', 'customer', coalesce(customer_id, 'all'), release_reason, to_jsonb(done)
) FROM done
"""
