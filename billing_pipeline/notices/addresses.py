"""Where a customer's mails go: further addresses, and addresses from which mails came back."""

from collections.abc import Sequence

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.notice_kinds import KINDS
from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.reading import read_customer
from billing_pipeline.notices.choice_rows import change_choice, checked_email
from billing_pipeline.postgres.warehouse import Warehouse


class NotedAlready(UserError):  # noqa: N818 - reads as what happened
    """Nothing is mailed to the address since an earlier note."""


def add_address(warehouse: Warehouse, customer_id: str, email: str, kinds: Sequence[str], signature: Signature) -> None:
    """Tell this address, too. `kinds`: which; none: all.

    Raises:
        UserError: there is no such customer or kind, or the address is told already.
    """
    read_customer(warehouse, customer_id)
    if wrong := [kind for kind in kinds if kind not in KINDS]:
        raise UserError(f'kind "{wrong[0]}": expected one of {", ".join(KINDS)}')
    change_choice(
        warehouse,
        _ADD,
        f"{email}: told already",
        signature,
        customer=customer_id,
        email=checked_email(email),
        kinds=list(kinds),
    )


def remove_address(warehouse: Warehouse, customer_id: str, email: str, signature: Signature) -> None:
    """Tell it nothing more.

    Raises:
        UserError: it is not told.
    """
    found = change_choice(warehouse, _REMOVE, "", signature, customer=customer_id, email=email)
    if not found:
        raise UserError(f"{email}: expected a further address of customer {customer_id}, found none")


def note_bounce(warehouse: Warehouse, email: str, signature: Signature) -> None:
    """Mails to this address come back, or it complained: nothing is mailed to it any more, and what is due fails.

    Raises:
        NotedAlready: it is noted already.
        UserError: it is no address.
    """
    if not change_choice(warehouse, _BOUNCE, "", signature, email=checked_email(email)):
        raise NotedAlready(f"{email}: noted already")


def forget_bounce(warehouse: Warehouse, email: str, signature: Signature) -> None:
    """The address takes mails again; what failed is sent by `resend`.

    Raises:
        UserError: nothing is noted of it.
    """
    if not change_choice(warehouse, _TAKES, "", signature, email=email):
        raise UserError(f"{email}: nothing is noted of it")


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
