"""Requests that come with a key of their own: the second of the same key is told what the first was answered.

Here: billing.api_answers. Not here: that an operation happens once, which is the operation's own affair: a process may
die between the operation and its answer, and then the same request is tried again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import text

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

KEPT = timedelta(hours=24)
BUSY = timedelta(minutes=1)
"""Who works on a request has it for so long: after that it is taken for dead."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The request is ours to do. `at` tells it from one that took it over later."""

    token_id: str
    key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Answered:
    """It was done. `content` is None where the answer held a secret."""

    status: int
    content: bytes | None


class NotTaken(Enum):
    """Why a request is not to be done now."""

    BUSY = "another request of this key is being worked on"
    OTHER_REQUEST = "the key belongs to another request"


def take_request(warehouse: Warehouse, token_id: str, key: str, digest: bytes) -> Taken | Answered | NotTaken:
    """Begin a request, unless it was done, is being done, or is another one than the key stands for.

    `digest` is the SHA-256 of all that the request says.
    """
    values = {"token_id": token_id, "key": key, "digest": digest, "busy": BUSY, "kept": KEPT}
    with warehouse.transaction() as connection:
        connection.execute(text(load_sql("access/forget_answers.sql")), values)
        taken_at = connection.execute(text(load_sql("access/take_request.sql")), values).scalar()
    if taken_at is not None:
        return Taken(token_id, key, taken_at)
    found = warehouse.rows(_READ, token_id=token_id, key=key)
    if not found:
        return NotTaken.BUSY  # whoever had it gave it back just now
    [row] = found
    if row["request_digest"] != digest:
        return NotTaken.OTHER_REQUEST
    return NotTaken.BUSY if row["status"] is None else Answered(row["status"], row["content"])


def keep_answer(warehouse: Warehouse, taken: Taken, status: int, content: bytes | None) -> None:
    """Keep what the request was answered."""
    _change(warehouse, taken, _KEEP, status=status, content=content)


def give_back(warehouse: Warehouse, taken: Taken, *, changed_nothing: bool) -> None:
    """Let the request be tried again at once; if nothing was changed, its key may stand for another one."""
    _change(warehouse, taken, _FORGET if changed_nothing else _LET_GO)


def _change(warehouse: Warehouse, taken: Taken, statement: str, **values: object) -> None:
    with warehouse.transaction() as connection:
        connection.execute(
            text(f"{statement} WHERE token_id = :token_id AND idempotency_key = :key AND taken_at = :taken_at"),
            {"token_id": taken.token_id, "key": taken.key, "taken_at": taken.at, **values},
        )


_READ = """
SELECT request_digest, status, content FROM billing.api_answers WHERE token_id = :token_id AND idempotency_key = :key
"""
_KEEP = "UPDATE billing.api_answers SET answered_at = clock_timestamp(), status = :status, content = :content"
_FORGET = "DELETE FROM billing.api_answers"
_LET_GO = "UPDATE billing.api_answers SET busy_until = clock_timestamp()"
