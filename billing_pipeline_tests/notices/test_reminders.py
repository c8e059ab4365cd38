"""Customers hear once of credits that run low or expire, of trials that end, of prices, details and cards that change."""

from datetime import UTC, date, datetime, timedelta

from billing_pipeline.core.signature import Signature
from billing_pipeline.customers.contracts import end_contract, start_contract
from billing_pipeline.customers.details import change_details
from billing_pipeline.customers.one_customer import change_customer
from billing_pipeline.invoicing.credits import grant_credits
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.reminders import remind
from billing_pipeline.notices.trying import preview
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.month_rows import BOOK, add_customer, execute, load_book


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
        remind(warehouse, at)
        assert told(warehouse, "credits_expiring") == ([] if day == 31 else [("ann", 1000)])
    [row] = list_notices(warehouse, kind="credits_expiring")
    assert row["facts"]["expires_on"] == "2999-01-15"
    remind(warehouse, datetime(2999, 2, 1, tzinfo=UTC))
    assert len(list_notices(warehouse, kind="credits_expiring")) == 1


NEXT = """
  - id: "2026"
    effective_from: 2026-01-01
    prices:
      - {meter: fee, model: flat, amount: "10"}
      - {meter: calls, model: per_unit, included: 10, unit_amount: "0.0175"}
      - meter: clusters
        model: per_unit
        rates: {small: {production: "45"}, large: {production: "160"}}
      - {meter: peak, model: graduated, tiers: [{up_to: "5", unit_amount: "3"}, {up_to: null, unit_amount: "2"}]}
      - {meter: storage, model: per_unit, unit_amount: "0.1", minimum: "5"}
"""
OWN = """
    customers: {bob: [{meter: calls, model: per_unit, unit_amount: "0.01"}]}
"""
CHANGED_FOR_ALL = {
    "effective_on": "2026-01-01",
    "currency": "usd",
    "meters": ["calls", "clusters", "peak"],
    "changes": [
        {"meter": "calls", "before": "0.015", "after": "0.0175"},
        {"meter": "clusters (production, small)", "before": "40", "after": "45"},
    ],
}


def test_whom_a_coming_version_prices_otherwise_is_told_once_and_not_of_what_is_the_same(warehouse: Warehouse) -> None:
    december = datetime(2025, 12, 10, tzinfo=UTC)
    load_book(warehouse, BOOK.rstrip() + OWN + NEXT.rstrip() + OWN)
    execute(warehouse, "UPDATE billing.price_books SET loaded_at = '2025-12-09T23:30Z'")
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
    add_customer(warehouse, "new", starts_on=date(2026, 1, 1))
    add_customer(warehouse, "gone", status="inactive")
    add_customer(warehouse, "euro", currency="eur")
    remind(warehouse, december)
    assert list_notices(warehouse) == []  # loaded half an hour ago: a mistake would be put right now
    for hour in (1, 2):
        remind(warehouse, december + timedelta(hours=hour))
    facts = {row["customer_id"]: row["facts"] for row in list_notices(warehouse, kind="prices_changing")}
    assert len(list_notices(warehouse)) == 2
    assert facts["ann"] == CHANGED_FOR_ALL
    # bob's calls stay as they are
    assert facts["bob"]["meters"] == ["clusters", "peak"]
    said = preview(warehouse, Wording(None, "en", "Lyceum", None), "prices_changing", "ann")
    assert "calls: 0.015 → 0.0175 USD" in said.text
    remind(warehouse, datetime(2026, 1, 1, tzinfo=UTC))
    assert len(list_notices(warehouse)) == 2


def test_a_trial_that_ends_is_told_of_once_unless_the_contract_ends_with_it(warehouse: Warehouse) -> None:
    who = Signature("ann", "as agreed")
    for customer, until in (("ann", date(2999, 1, 20)), ("bob", date(2999, 3, 1)), ("cyd", date(2999, 1, 20))):
        add_customer(warehouse, customer, starts_on=None, timezone="Asia/Tokyo")
        start_contract(warehouse, customer, date(2999, 1, 5), who, trial_until=until)
    end_contract(warehouse, "cyd", date(2999, 1, 20), who)
    written = len(list_notices(warehouse))
    remind(warehouse, datetime(2999, 1, 16, 14, tzinfo=UTC))  # still the 16th in Tokyo
    assert len(list_notices(warehouse)) == written
    for hour in (15, 16):
        remind(warehouse, datetime(2999, 1, 16, hour, tzinfo=UTC))
    [notice] = list_notices(warehouse, kind="trial_ending")
    assert (notice["customer_id"], notice["facts"]) == ("ann", {"trial_until": "2999-01-20", "plan": None})


def test_changed_details_are_told_by_name_and_another_address_to_the_one_before_too(warehouse: Warehouse) -> None:
    add_customer(warehouse, "ann")
    who = Signature("ann", "moved")
    change_details(warehouse, "ann", {"language": "de"}, who)
    assert list_notices(warehouse) == []
    change_details(warehouse, "ann", {"city": "Berlin", "country": "DE"}, who)
    change_customer(warehouse, "ann", {"email": "new@example.com", "name": "Ann B"}, who)
    told = [(row["recipient"], row["facts"]["details"]) for row in list_notices(warehouse, kind="details_changed")]
    assert sorted(told) == [
        ("ann@example.com", ["address"]), ("ann@example.com", ["name", "email"]),
        ("new@example.com", ["name", "email"]),
    ]  # fmt: skip


def _method(warehouse: Warehouse, customer_id: str, name: str, expires_on: str | None, *, default: bool = True) -> None:
    warehouse_rows = {"id": f"pm_{name}", "customer": customer_id, "stripe": f"cus_{customer_id}", "until": expires_on}
    execute(
        warehouse,
        "INSERT INTO billing.stripe_payment_methods (payment_method_id, customer_id, stripe_customer_id, type, brand,"
        " last4, expires_on, status, created_at)"
        " VALUES (:id, :customer, :stripe, 'card', 'visa', '4242', :until, 'attached', now())",
        **warehouse_rows,
    )
    if default:
        execute(
            warehouse,
            "INSERT INTO billing.stripe_customers (stripe_customer_id, customer_id, default_payment_method_id, delinquent,"
            " status) VALUES (:stripe, :customer, :id, FALSE, 'live')",
            stripe=warehouse_rows["stripe"],
            customer=customer_id,
            id=warehouse_rows["id"],
        )


def test_a_card_that_invoices_are_charged_to_is_told_of_once_before_it_expires(warehouse: Warehouse) -> None:
    for customer_id, until in (("ann", "2999-01-31"), ("bob", "2999-03-31"), ("cyd", None)):
        add_customer(warehouse, customer_id, stripe_customer_id=f"cus_{customer_id}")
        _method(warehouse, customer_id, customer_id, until)
    _method(warehouse, "bob", "old", "2999-01-31", default=False)
    for day in (1, 2, 31):
        remind(warehouse, datetime(2999, 1, day, 12, tzinfo=UTC))
    [notice] = list_notices(warehouse, kind="payment_method_expiring")
    assert (notice["customer_id"], notice["facts"]) == ("ann", {"method": "Visa •••• 4242", "expires_on": "2999-01-31"})
    remind(warehouse, datetime(2999, 2, 1, 12, tzinfo=UTC))
    assert len(list_notices(warehouse)) == 1


def test_the_last_payment_method_that_is_removed_is_told_of_once_unless_another_one_comes(warehouse: Warehouse) -> None:
    removed = "UPDATE billing.stripe_payment_methods SET status = 'detached' WHERE payment_method_id = :id"
    for customer_id in ("ann", "bob"):
        add_customer(warehouse, customer_id, stripe_customer_id=f"cus_{customer_id}")
        _method(warehouse, customer_id, f"{customer_id}_1", "2999-01-31")
    execute(warehouse, removed, id="pm_ann_1")
    execute(warehouse, removed, id="pm_bob_1")
    now = datetime.now(UTC)
    remind(warehouse, now)
    assert list_notices(warehouse) == []
    _method(warehouse, "bob", "bob_2", "2999-03-31", default=False)  # his next card came just after
    for minutes in (16, 20):
        remind(warehouse, now + timedelta(minutes=minutes))
    [notice] = list_notices(warehouse, kind="payment_method_removed")
    assert (notice["customer_id"], notice["facts"]) == ("ann", {"method": "Visa •••• 4242"})
    execute(warehouse, removed, id="pm_bob_2")
    remind(warehouse, now + timedelta(days=8))
    assert len(list_notices(warehouse)) == 1
