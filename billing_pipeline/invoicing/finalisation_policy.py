"""What finalising needs beside gates: approvals, time for looking, drafts that know everything. Postgres asks for it.

Approving is corrections/approvals.py's.
"""

from sqlalchemy import text

from billing_pipeline.postgres.warehouse import Warehouse


def set_finalisation_policy(
    warehouse: Warehouse,
    *,
    author: str,
    require_approval: bool | None = None,
    review_hours: int | None = None,
    charge_as_approved: bool | None = None,
) -> None:
    """Change what is given; what is None stays as it is, and without a change nothing is written."""
    given = {
        "require_approval": require_approval,
        "review_hours": review_hours,
        "charge_as_approved": charge_as_approved,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if not changes:
        return
    assigned = ", ".join(f"{name} = :{name}" for name in changes)
    differs = " OR ".join(f"{name} <> :{name}" for name in changes)
    with warehouse.transaction() as connection:
        connection.execute(
            text(f"UPDATE billing.finalisation_policy SET {assigned}, changed_by = :author WHERE {differs}"),
            {**changes, "author": author},
        )
