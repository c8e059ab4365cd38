"""Notices as an operator reads them. Changes nothing."""

from typing import Any

from billing_pipeline.core.errors import NotFound
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

STATES = ("pending", "claimed", "handing_over", "sent", "overtaken", "failed")


def list_notices(
    warehouse: Warehouse,
    *,
    customer_id: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    notice_id: int | None = None,
    after: int | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Notices and how far each is sent, the newest first. Columns: sql/notices/list_notices.sql.

    `after`: those that follow the one of this number.
    """
    return warehouse.rows(
        load_sql("notices/list_notices.sql"),
        notice_id=notice_id,
        customer_id=customer_id,
        kind=kind,
        state=state,
        after=after,
        row_limit=limit,
    )


def read_notice(warehouse: Warehouse, notice_id: int) -> dict[str, Any]:
    """One of them.

    Raises:
        NotFound: there is none with this number.
    """
    rows = list_notices(warehouse, notice_id=notice_id, limit=1)
    if not rows:
        raise NotFound(f"notice {notice_id}: expected the number of a notice, found none")
    return rows[0]
