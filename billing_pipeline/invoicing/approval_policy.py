"""Whether a month's drafts need an approval before they are finalised; Postgres holds finalising to it.

Approving is corrections/approvals.py's.
"""

from sqlalchemy import text

from billing_pipeline.postgres.warehouse import Warehouse


def set_approval_policy(warehouse: Warehouse, required: bool, *, author: str) -> None:
    """Make finalisation need approvals, or no longer; without a change nothing is written."""
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "UPDATE billing.finalisation_policy SET require_approval = :required, changed_by = :author"
                " WHERE require_approval <> :required"
            ),
            {"required": required, "author": author},
        )
