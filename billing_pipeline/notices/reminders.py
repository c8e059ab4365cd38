"""What customers are told because a day is near: credits or cards that expire, trials that end, prices that change."""

from datetime import datetime

from sqlalchemy import text

from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse

CREDITS_EXPIRE_WITHIN_DAYS = 14
TRIALS_END_WITHIN_DAYS = 3
CARDS_EXPIRE_WITHIN_DAYS = 30
PRICES_CHANGE_WITHIN_DAYS = 60
LOADED_FOR_MIN = 60
"""A price book is told of when it was in use for so many minutes: a mistake in it is put right before that."""


def remind(warehouse: Warehouse, now: datetime) -> None:
    """Write the notices whose day is near, each once; doing it often changes nothing."""
    with warehouse.transaction() as connection:
        connection.execute(
            text("SELECT billing.tell_of_expiring_credits(:now, :days)"),
            {"now": now, "days": CREDITS_EXPIRE_WITHIN_DAYS},
        )
        connection.execute(text(load_sql("notices/ending_trials.sql")), {"now": now, "days": TRIALS_END_WITHIN_DAYS})
        connection.execute(
            text(load_sql("notices/expiring_methods.sql")), {"now": now, "days": CARDS_EXPIRE_WITHIN_DAYS}
        )
        connection.execute(
            text(load_sql("notices/changing_prices.sql")),
            {"now": now, "days": PRICES_CHANGE_WITHIN_DAYS, "loaded_for_min": LOADED_FOR_MIN},
        )
