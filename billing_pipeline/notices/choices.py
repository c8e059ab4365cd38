"""What a customer wants to be told, where and when: addresses, kinds that are off, hours, addresses that bounced."""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.email_addresses import is_email
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.notice_kinds import KINDS, OPTIONAL
from billing_pipeline.core.signature import Signature
from billing_pipeline.core.texts import shown
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.letters import Notice
from billing_pipeline.notices.rules.sending import Hours
from billing_pipeline.postgres.errors import violated
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse


class NotedAlready(UserError):  # noqa: N818 - reads as what happened
    """Nothing is mailed to the address since an earlier note."""


SHORTEST = timedelta(hours=1)
"""Shorter hours could be missed day by day by what has to wait in a line."""
_KEY = re.compile(r"notice-(\d{1,18})-[0-9a-f]{16}")


def add_address(warehouse: Warehouse, customer_id: str, email: str, kinds: Sequence[str], signature: Signature) -> None:
    """Tell this address, too. `kinds`: which; none: all.

    Raises:
        UserError: there is no such customer or kind, or the address is told already.
    """
    read_customer(warehouse, customer_id)
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise UserError(f'kind "{wrong[0]}": expected one of {", ".join(KINDS)}')
    _do(
        warehouse,
        _ADD,
        f"{email}: told already",
        signature,
        customer=customer_id,
        email=_email(email),
        kinds=list(kinds),
    )


def remove_address(warehouse: Warehouse, customer_id: str, email: str, signature: Signature) -> None:
    """Tell it nothing more.

    Raises:
        UserError: it is not told.
    """
    found = _do(warehouse, _REMOVE, "", signature, customer=customer_id, email=email)
    if not found:
        raise UserError(f"{email}: expected a further address of customer {customer_id}, found none")


def switch_off(warehouse: Warehouse, kind: str, customer_id: str | None, signature: Signature) -> None:
    """Mail this kind to nobody, or not to one customer. The platform's endpoints hear of it all the same.

    Raises:
        UserError: the kind is due by law or contract, or is off already, or there is no such customer.
    """
    if kind not in OPTIONAL:
        raise UserError(f'kind "{kind}": expected one that is not due anyway: {", ".join(sorted(OPTIONAL))}')
    if customer_id is not None:
        read_customer(warehouse, customer_id)
    _do(warehouse, _OFF, f"{kind}: off already", signature, kind=kind, customer=customer_id, email=None)


def switch_on(
    warehouse: Warehouse, kind: str, customer_id: str | None, signature: Signature, *, email: str | None = None
) -> int:
    """Mail this kind again: to everybody, or to a customer and its addresses that unsubscribed. How many that ends.

    `email`: to this one alone of the addresses, and not to the others that unsubscribed.

    Raises:
        UserError: it is not off.
    """
    found = _do(warehouse, _ON, "", signature, kind=kind, customer=customer_id, email=email)
    if not found:
        raise UserError(f"{kind}: not off")
    return len(found)


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
    whose = {"customer": customer_id, "email": None if email is None else _email(email)}
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
    if not _do(warehouse, _END_HOURS, "", signature, customer=customer_id, email=email):
        raise UserError(f"expected hours of {email or customer_id or 'everybody'}, found none")


def unsubscribe(warehouse: Warehouse, key: str) -> tuple[str, str]:
    """Whoever has a mail ends mails of its kind to its address; doing it again changes nothing. Returns kind, address.

    Raises:
        NotFound: no mail that may be ended has this key.
    """
    kind, customer_id, email = unsubscribable(warehouse, key)
    signature = Signature(f"customer {customer_id}", "unsubscribed by the link of a mail")
    with suppress(UserError):  # it is off already
        _do(warehouse, _OFF, "off already", signature, kind=kind, customer=customer_id, email=email)
    return kind, email


def unsubscribable(warehouse: Warehouse, key: str) -> tuple[str, str, str]:
    """Kind, customer and address of the mail with this key.

    Raises:
        NotFound: there is none, or its kind is due.
    """
    match = _KEY.fullmatch(key)
    rows = warehouse.rows(load_sql("notices/notice_of_key.sql"), notice_id=int(match[1])) if match else []
    for row in rows:
        if row["kind"] in OPTIONAL and Notice(**row).key == key:
            return row["kind"], row["customer_id"], row["recipient"]
    raise NotFound("this link ends no mails")


def note_bounce(warehouse: Warehouse, email: str, signature: Signature) -> None:
    """Mails to this address come back, or it complained: nothing is mailed to it any more, and what is due fails.

    Raises:
        NotedAlready: it is noted already.
        UserError: it is no address.
    """
    if not _do(warehouse, _BOUNCE, "", signature, email=_email(email)):
        raise NotedAlready(f"{email}: noted already")


def forget_bounce(warehouse: Warehouse, email: str, signature: Signature) -> None:
    """The address takes mails again; what failed is sent by `resend`.

    Raises:
        UserError: nothing is noted of it.
    """
    if not _do(warehouse, _TAKES, "", signature, email=email):
        raise UserError(f"{email}: nothing is noted of it")


def list_choices(warehouse: Warehouse, customer_id: str | None = None) -> list[dict[str, Any]]:
    """What holds now: what (address, off, book, hours, bounced), customer_id, email, kinds, author, reason, since."""
    return warehouse.rows(load_sql("notices/list_choices.sql"), customer_id=customer_id)


def choosable_kinds(warehouse: Warehouse, customer_id: str) -> dict[str, bool]:
    """The kinds that a customer may switch off, and whether they are mailed to its own address.

    What nobody is mailed is no choice of one customer's, and not among them.
    """
    rows = warehouse.rows(_CHOOSABLE, customer=customer_id, kinds=sorted(OPTIONAL, key=KINDS.index))
    return {row["kind"]: row["is_mailed"] for row in rows}


def _email(text: str) -> str:
    if not is_email(text):
        raise UserError(f'"{shown(text)}": expected a mail address in ASCII such as accounts@example.com')
    return text


def _do(warehouse: Warehouse, statement: str, twice: str, signature: Signature, **values: object) -> Sequence[object]:
    parameters = {"author": signature.author, "reason": signature.reason, **values}
    try:
        with warehouse.transaction() as connection:
            return connection.execute(text(statement), parameters).all()
    except IntegrityError as error:
        if (violated(error) or "").endswith("_one_active"):
            raise UserError(twice) from None
        raise


_CHOOSABLE = """
SELECT k.kind, billing.is_mailed(k.kind, c.customer_id, c.email) AS is_mailed
FROM billing.customers AS c CROSS JOIN unnest(CAST(:kinds AS text[])) WITH ORDINALITY AS k (kind, place)
WHERE c.customer_id = :customer AND NOT billing.is_off_by_book(k.kind, c.customer_id) AND NOT EXISTS (
    SELECT FROM billing.notices_off AS o
    WHERE o.kind = k.kind AND o.customer_id IS NULL AND o.email IS NULL AND o.released_at IS NULL
)
ORDER BY k.place
"""
_ADD = """
WITH done AS (
    INSERT INTO billing.notice_addresses (customer_id, email, kinds, author, reason)
    VALUES (:customer, :email, nullif(CAST(:kinds AS text[]), '{}'), :author, :reason)
    RETURNING *
)
SELECT billing.log_action(author, 'notice.add_address', 'customer', customer_id, reason) FROM done
"""
_REMOVE = """
WITH done AS (
    UPDATE billing.notice_addresses
    SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE customer_id = :customer AND lower(email) = lower(:email) AND released_at IS NULL
    RETURNING *
)
SELECT billing.log_action(released_by, 'notice.remove_address', 'customer', customer_id, release_reason) FROM done
"""
_OFF = """
WITH done AS (
    INSERT INTO billing.notices_off (kind, customer_id, email, author, reason)
    VALUES (:kind, :customer, :email, :author, :reason)
    RETURNING *
)
SELECT billing.log_action(
    author, 'notice.off', 'notice', kind, reason, state_after => jsonb_build_object('customer_id', customer_id)
) FROM done
"""
_ON = """
WITH done AS (
    UPDATE billing.notices_off
    SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE kind = :kind AND customer_id IS NOT DISTINCT FROM CAST(:customer AS text) AND released_at IS NULL
        AND (email IS NULL OR lower(email) = lower(coalesce(CAST(:email AS text), email)))
    RETURNING *
)
SELECT billing.log_action(
    released_by, 'notice.on', 'notice', kind, release_reason,
    state_after => jsonb_build_object('customer_id', customer_id)
) FROM done
"""
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
_BOUNCE = """
WITH done AS (
    INSERT INTO billing.bounced_addresses (email, author, reason) VALUES (:email, :author, :reason)
    ON CONFLICT (lower(email)) WHERE released_at IS NULL DO NOTHING
    RETURNING *
)
SELECT billing.log_action(author, 'notice.bounce', 'notice', email, reason) FROM done
"""
_TAKES = """
WITH done AS (
    UPDATE billing.bounced_addresses
    SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE lower(email) = lower(:email) AND released_at IS NULL
    RETURNING *
)
SELECT billing.log_action(released_by, 'notice.takes_mail', 'notice', email, release_reason) FROM done
"""
