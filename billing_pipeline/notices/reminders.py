"""What customers are told because a day is near: credits or cards that expire, trials that end, prices that change."""

from datetime import datetime

from sqlalchemy import text

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

CREDITS_EXPIRE_WITHIN_DAYS = 14
TRIALS_END_WITHIN_DAYS = 3
CARDS_EXPIRE_WITHIN_DAYS = 30
REMOVED_WITHIN_DAYS, REMOVED_FOR_MIN = 7, 15
"""The last payment method is told of that was removed so lately, and has no successor after so long."""
PRICES_CHANGE_WITHIN_DAYS = 60
LOADED_FOR_MIN = 60
"""A price book is told of when it was in use for so many minutes: a mistake in it is put right before that."""


def remind(warehouse: Warehouse, now: datetime) -> None:
    """Write the notices whose day is near, each kind in a transaction; doing it often changes nothing."""
    for statement, values in (
        ("SELECT billing.tell_of_expiring_credits(:now, :days)", {"days": CREDITS_EXPIRE_WITHIN_DAYS}),
        (load_sql("notices/ending_trials.sql"), {"days": TRIALS_END_WITHIN_DAYS}),
        (load_sql("notices/expiring_methods.sql"), {"days": CARDS_EXPIRE_WITHIN_DAYS}),
        (load_sql("notices/removed_methods.sql"), {"days": REMOVED_WITHIN_DAYS, "wait_min": REMOVED_FOR_MIN}),
        (
            load_sql("notices/changing_prices.sql"),
            {"days": PRICES_CHANGE_WITHIN_DAYS, "loaded_for_min": LOADED_FOR_MIN},
        ),
    ):
        with warehouse.transaction() as connection:
            connection.execute(text(statement), {"now": now, **values})
