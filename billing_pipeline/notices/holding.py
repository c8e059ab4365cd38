"""Holds on notices: of one, of a customer, of a kind or of all. What is held waits and is sent once it is released."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.notice_kinds import KINDS
from billing_pipeline.core.signature import Signature
from billing_pipeline.postgres.errors import violated
from billing_pipeline.postgres.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Held:
    """What a hold is on: one of the three, or all notices.

    Raises:
        UserError: more than one is named, or there is no such kind.
    """

    notice_id: int | None = None
    customer_id: str | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.notice_id, self.customer_id, self.kind)) > 1:
            raise UserError("expected one of a notice, a customer and a kind")
        if self.kind is not None and self.kind not in KINDS:
            raise UserError(f'kind "{self.kind}": expected one of {", ".join(KINDS)}')

    @property
    def label(self) -> str:
        """As people say it."""
        if self.notice_id is not None:
            return f"notice {self.notice_id}"
        if self.customer_id is not None:
            return f"customer {self.customer_id}"
        return f"kind {self.kind}" if self.kind is not None else "all notices"

    @property
    def object_id(self) -> str:
        """As the audit log has it."""
        return self.customer_id or self.kind or (str(self.notice_id) if self.notice_id is not None else "all")


def hold_notices(warehouse: Warehouse, held: Held, signature: Signature) -> None:
    """Keep them from being sent, from now on.

    Raises:
        UserError: they are held already, or there is no such notice or customer.
    """
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(_PLACE), _values(held, signature))
    except IntegrityError as error:
        broken = violated(error)
        if broken == "notice_holds_one_active":
            raise UserError(f"{held.label}: held already") from None
        if broken is not None and broken.endswith("_fkey"):
            raise UserError(f"{held.label}: expected one that there is, found none") from None
        raise


def release_notices(warehouse: Warehouse, held: Held, signature: Signature) -> None:
    """End the hold; the next run sends what waited.

    Raises:
        UserError: there is none.
    """
    with warehouse.transaction() as connection:
        if connection.execute(text(_RELEASE), _values(held, signature)).rowcount != 1:
            raise UserError(f"{held.label}: not held")


def _values(held: Held, signature: Signature) -> dict[str, object]:
    return {
        "notice_id": held.notice_id,
        "customer_id": held.customer_id,
        "kind": held.kind,
        "object_id": held.object_id,
        "author": signature.author,
        "reason": signature.reason,
    }


_PLACE = """
WITH placed AS (
    INSERT INTO billing.notice_holds (notice_id, customer_id, kind, author, reason)
    VALUES (:notice_id, :customer_id, :kind, :author, :reason)
    RETURNING *
)
SELECT billing.log_action(
    author, 'notice.hold', 'notice', :object_id, reason, state_after => jsonb_build_object('hold_id', hold_id)
) FROM placed
"""
_RELEASE = """
WITH released AS (
    UPDATE billing.notice_holds
    SET released_at = clock_timestamp(), released_by = :author, release_reason = :reason
    WHERE released_at IS NULL AND (notice_id, customer_id, kind) IS NOT DISTINCT FROM
        (CAST(:notice_id AS bigint), CAST(:customer_id AS text), CAST(:kind AS text))
    RETURNING *
)
SELECT billing.log_action(
    released_by, 'notice.release', 'notice', :object_id, release_reason,
    state_after => jsonb_build_object('hold_id', hold_id)
) FROM released
"""
