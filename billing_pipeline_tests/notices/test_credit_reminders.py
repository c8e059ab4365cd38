"""Customers hear of prepaid credits that run low or expire, once."""

from datetime import UTC, date, datetime

from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.credits import grant_credits
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.notices.credit_reminders import remind_of_expiring_credits
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.month_rows import add_customer


def grant(
    warehouse: Warehouse, customer_id: str, amount_minor: int, order: str, expires_on: date | None = None
) -> None:
    grant_credits(warehouse, customer_id, amount_minor, Signature("ann", order), expires_on=expires_on)


def told(warehouse: Warehouse, kind: str) -> list[tuple[str, int]]:
    return [(row["customer_id"], row["facts"]["balance_minor"]) for row in list_notices(warehouse, kind=kind)]


def test_credits_that_an_invoice_draws_down_to_a_fifth_are_told_of(charging: CorrectingWorld) -> None:
    charging.drafts(Bill("low"), Bill("enough"), Bill("used_up"))
    warehouse = charging.warehouse
    grant(warehouse, "low", 5000, "order 1")
    grant(warehouse, "enough", 6000, "order 2")
    grant(warehouse, "used_up", 1000, "order 3")
    grant(warehouse, "used_up", 500, "order 4")
    finalise_month(warehouse, MONTH, "run-0")
    assert sorted(told(warehouse, "credits_low")) == [("low", 1000), ("used_up", 0)]
    [row] = list_notices(warehouse, customer_id="used_up", kind="credits_low")
    assert row["facts"]["granted_minor"] == 1500


def test_a_grant_is_told_of_once_when_its_last_day_is_near(warehouse: Warehouse) -> None:
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
    grant(warehouse, "ann", 1000, "order 1", date(2999, 1, 15))
    grant(warehouse, "bob", 1000, "order 2")
    for day in (31, 1, 1, 10):
        at = datetime(2998, 12, day, tzinfo=UTC) if day == 31 else datetime(2999, 1, day, tzinfo=UTC)
        remind_of_expiring_credits(warehouse, at)
        assert told(warehouse, "credits_expiring") == ([] if day == 31 else [("ann", 1000)])
    [row] = list_notices(warehouse, kind="credits_expiring")
    assert row["facts"]["expires_on"] == "2999-01-15"
    remind_of_expiring_credits(warehouse, datetime(2999, 2, 1, tzinfo=UTC))
    assert len(list_notices(warehouse, kind="credits_expiring")) == 1
