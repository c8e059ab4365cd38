"""Dunning on the tables: cases open and close with the charge, and nobody is suspended who paid."""

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.books.months import month_states
from billing_pipeline.charging.rules.refusals import Cause, Refusal
from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.holds import customer_subject, place_hold, release_hold
from billing_pipeline.invoicing.finalisation import Finalised, finalise_month
from billing_pipeline.notices import dunning
from billing_pipeline.notices.dunning_policies import load_policy, retry_days, unknown_names
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.rules.dunning_policy_file import read_policy
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.charging.world import MONTH, Bill, invoice_id_of
from billing_pipeline_tests.month_rows import change_customer, execute, move_charges, seen_at_stripe

WHO = Signature("ann", "called us")
POLICY = load_policy(None)
MONDAY = datetime(2026, 11, 2, 10, tzinfo=UTC)
SOFT = Refusal("ann", None, "usd", Cause.SOFT)
PAY = seen_at_stripe("state = 'paid'", "customer_id = :c")


def begin(warehouse: Warehouse) -> None:
    """All cases count from a Monday."""
    with warehouse.transaction() as connection:
        connection.execute(
            text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        )  # no trigger minds
        connection.execute(text("UPDATE billing.dunning_cases SET begins_at = :at"), {"at": MONDAY})


def at(warehouse: Warehouse, day: int, run_id: str = "run") -> dict[str, int]:
    return dict(dunning.take_steps(warehouse, POLICY, run_id, MONDAY + timedelta(days=day), print))


def standing(warehouse: Warehouse) -> dict[str, str]:
    return {row["customer_id"]: row["state"] for row in dunning.standings(warehouse)}


def told(warehouse: Warehouse, customer_id: str) -> list[str]:
    return [row["kind"] for row in reversed(list_notices(warehouse, customer_id=customer_id))]


@pytest.fixture
def owing(charging):
    charging.charged(Bill("ann", card=None), Bill("bob", card="pm_card_chargeCustomerFail"), Bill("eve"))
    begin(charging.warehouse)
    return charging


def test_sixty_days_of_who_pays_nothing_who_pays_and_who_pays_late(owing):
    warehouse = owing.warehouse
    table: dict[int, dict[str, int]] = {}
    stands: dict[int, dict[str, str]] = {}
    for day in range(61):
        if day == 12:
            execute(warehouse, PAY, c="bob")
        if day == 30:
            execute(warehouse, PAY, c="ann")
        taken = at(warehouse, day)
        if taken:
            table[day] = taken
        stands[day] = standing(warehouse)
    assert table == {
        3: {"past_due": 2, "payment_overdue": 2},
        10: {"grace": 2, "final_notice": 2},
        21: {"suspend": 1},
    }
    assert stands[2] == {}
    assert stands[3] == {"ann": "past_due", "bob": "past_due"}
    assert stands[11] == {"ann": "in_grace", "bob": "in_grace"}
    assert stands[12] == {"ann": "in_grace", "bob": "current"}
    assert stands[21]["ann"] == "suspended"
    assert stands[60] == {"ann": "resumed", "bob": "current"}
    assert told(warehouse, "ann") == [
        "invoice_issued", "payment_method_missing", "payment_overdue", "final_notice", "service_suspended",
        "payment_succeeded", "service_resumed",
    ]  # fmt: skip
    assert told(warehouse, "bob") == [
        "invoice_issued", "payment_failed", "payment_overdue", "final_notice", "payment_succeeded",
    ]  # fmt: skip
    assert told(warehouse, "eve") == ["invoice_issued", "payment_succeeded"]
    [notice] = list_notices(warehouse, customer_id="ann", kind="final_notice")
    assert notice["facts"]["suspends_on"] == "2026-11-23"
    assert dunning.wrongly_suspended(warehouse) == []
    assert [row["what"] for row in dunning.history(warehouse, "ann")].count("resumed") == 1


def test_two_passes_at_once_take_each_step_once(owing):
    threads = [threading.Thread(target=at, args=(owing.warehouse, 3, f"run-{number}")) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told(owing.warehouse, "ann").count("payment_overdue") == 1


def test_whoever_pays_the_moment_before_is_not_suspended(owing):
    """The payment has not committed when the step is taken: the step waits for it, and sees it."""
    warehouse = owing.warehouse
    at(warehouse, 3)
    at(warehouse, 10)
    with warehouse.engine.connect() as paying:
        paying.execute(text(PAY), {"c": "ann"})
        suspending = threading.Thread(target=at, args=(warehouse, 21))
        suspending.start()
        suspending.join(timeout=0.5)
        assert suspending.is_alive()  # it waits for the payment
        paying.commit()
    suspending.join()
    assert standing(warehouse) == {"ann": "current", "bob": "suspended"}
    assert "service_suspended" not in told(warehouse, "ann")


def test_whoever_is_suspended_the_moment_before_the_payment_is_resumed_by_it(owing):
    warehouse = owing.warehouse
    at(warehouse, 3)
    at(warehouse, 10)
    step = "SELECT billing.take_dunning_step(:id, 5, 21, 'suspend', '', now(), 'default', 'standard', 'run', '{}')"
    with warehouse.engine.connect() as suspending:
        suspending.execute(text(step), {"id": invoice_id_of("ann")})
        paying = threading.Thread(target=execute, args=(warehouse, PAY), kwargs={"c": "ann"})
        paying.start()
        paying.join(timeout=0.5)
        assert paying.is_alive()
        suspending.commit()
    paying.join()
    assert standing(warehouse)["ann"] == "resumed"
    assert told(warehouse, "ann")[-3:] == ["service_suspended", "payment_succeeded", "service_resumed"]


def test_a_promise_and_a_hold_stop_the_clock(owing):
    warehouse = owing.warehouse
    until = (MONDAY + timedelta(days=9)).date()
    dunning.promise(warehouse, "ann", until, MONDAY + timedelta(days=1), WHO)
    assert at(warehouse, 3) == {"past_due": 1, "payment_overdue": 1}  # bob's
    assert at(warehouse, 9) == {}
    assert at(warehouse, 12) == {"past_due": 1, "payment_overdue": 1, "grace": 1, "final_notice": 1}
    dunning.promise(warehouse, "ann", until + timedelta(days=20), MONDAY + timedelta(days=12), WHO)
    dunning.promise(warehouse, "ann", until + timedelta(days=3), MONDAY + timedelta(days=12, hours=1), WHO)
    place_hold(warehouse, customer_subject(warehouse, "bob"), WHO)
    execute_as_owner(warehouse, "UPDATE billing.holds SET placed_at = :at", at=MONDAY + timedelta(days=13))
    assert at(warehouse, 23) == {"grace": 1, "final_notice": 1}  # ann's; bob is held
    with pytest.raises(UserError, match="expected a day from"):
        dunning.promise(warehouse, "ann", date(2026, 1, 1), MONDAY, WHO)
    with pytest.raises(UserError, match="found none"):
        dunning.promise(warehouse, "nobody", until, MONDAY, WHO)


def execute_as_owner(warehouse: Warehouse, statement: str, **parameters: object) -> None:
    with warehouse.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        connection.execute(text(statement), parameters)


def test_payment_terms_count_from_the_due_date_in_the_customers_zone(charging):
    charging.bill(Bill("ann", card=None))
    change_customer(charging.warehouse, "ann", payment_terms_days=14, timezone="Asia/Tokyo")
    charging.charge()
    [one] = dunning.open_cases(charging.warehouse)
    [notice] = list_notices(charging.warehouse, kind="payment_method_missing")
    assert one.case.track == "after_due_date"
    assert one.case.begins_at == datetime.fromisoformat(f"{notice['facts']['due_on']}T00:00:00+09:00")


def test_a_retry_under_way_and_a_parked_charge_keep_their_steps_waiting(owing):
    warehouse = owing.warehouse
    move_charges(warehouse, "state = 'parked', reason_code = 'outcome_unknown'", "customer_id = 'ann'")
    assert at(warehouse, 3) == {"past_due": 1, "payment_overdue": 1}
    assert standing(warehouse) == {"bob": "past_due"}


def test_what_is_written_off_was_not_paid(owing):
    warehouse = owing.warehouse
    for day in (3, 10, 21):
        at(warehouse, day)
    move_charges(warehouse, "state = 'uncollectible'", "customer_id = 'ann'")
    assert standing(warehouse)["ann"] == "suspended"
    execute(warehouse, PAY, c="ann")
    assert standing(warehouse)["ann"] == "resumed"


def test_no_statement_suspends_or_releases_by_hand(owing):
    warehouse = owing.warehouse
    at(warehouse, 3)
    for statement in (
        "UPDATE billing.customer_standings SET state = 'suspended'",
        "UPDATE billing.customer_standings SET state = 'current'",
        "INSERT INTO billing.customer_standings (customer_id, state) VALUES ('eve', 'suspended')",
        "UPDATE billing.dunning_cases SET closed_at = now(), outcome = 'paid' WHERE customer_id = 'ann'",
        "UPDATE billing.dunning_cases SET level = 'none'",
        "UPDATE billing.dunning_cases SET begins_at = now()",
        "DELETE FROM billing.dunning_steps",
        "UPDATE billing.dunning_promises SET until = now()",
        "DELETE FROM billing.standing_history",
    ):
        with pytest.raises(IntegrityError):
            execute(warehouse, statement)


def test_a_refusal_from_before_there_was_dunning_is_counted_from_now(owing):
    warehouse = owing.warehouse
    execute_as_owner(warehouse, "DELETE FROM billing.dunning_cases")
    assert dunning.due_cases(warehouse, POLICY, MONDAY) == 2
    assert at(warehouse, 50) == {}
    assert at(warehouse, 53) == {"past_due": 2, "payment_overdue": 2}


def where_october_stands(warehouse: Warehouse) -> tuple[int, int, str]:
    [state] = [
        each for each in month_states(warehouse, datetime(2027, 1, 1, tzinfo=UTC)) if each.billing_month == MONTH
    ]
    return state.drafts, state.on_hold, state.state


def test_a_step_that_holds_drafts_keeps_them_until_the_overdue_invoice_is_paid(charging):
    """What is final is charged all the same, so that the customer can pay; the hold ends with the case."""
    warehouse = charging.warehouse
    charging.drafts(Bill("ann", card=None), Bill("eve"))
    subject = customer_subject(warehouse, "eve")
    place_hold(warehouse, subject, WHO)
    finalise_month(warehouse, MONTH, "run")
    charging.charge()
    begin(warehouse)
    # eve's draft of this month stands for ann's of the next one: the case is made eve's
    execute_as_owner(warehouse, "UPDATE billing.dunning_cases SET customer_id = 'eve'")
    release_hold(warehouse, subject, WHO)
    policy = read_policy("name: x\ncourses: [{name: a, after_refusal: [{day: 5, do: hold_drafts}]}]", "x.yaml")
    dunning.take_steps(warehouse, policy, "run", MONDAY + timedelta(days=5), print)
    assert finalise_month(warehouse, MONTH, "run") == Finalised(0, {"held_by_dunning": ("eve",)})
    with pytest.raises(IntegrityError, match="customer eve is on hold"):
        execute(
            warehouse,
            "UPDATE billing.invoices SET status = 'open', finalised_by = 'x', finalised_through = 'person',"
            " invoice_number = 2, finalised_at = now() WHERE customer_id = 'eve'",
        )
    assert not warehouse.scalar(
        "SELECT bool_or(billing.is_held(customer_id, invoice_id, billing_month)) FROM billing.invoices"
    )
    assert where_october_stands(warehouse) == (1, 1, "on_hold")  # no schedule asks for it again
    execute(warehouse, PAY, c="ann")
    assert where_october_stands(warehouse) == (1, 0, "not_charged")
    assert finalise_month(warehouse, MONTH, "run") == Finalised(1, {})


def test_names_that_nobody_has_are_told(owing):
    policy = read_policy(
        "name: x\ncourses:\n  - {name: a, when: {customer: [ann, zoe], plan: gold, book: [usd, xaf], cause: hard}}\n"
        "  - {name: b}",
        "x.yaml",
    )
    unknown = unknown_names(owing.warehouse, policy)
    assert [line.removeprefix("course a: ") for line in unknown] == [
        "book 'usd'", "book 'xaf'", "customer 'zoe'", "plan 'gold'",
    ]  # fmt: skip
    execute_as_owner(
        owing.warehouse,
        "INSERT INTO billing.price_books (currency, name, content_sha256) VALUES ('usd', 'b', sha256(''))",
    )
    execute_as_owner(owing.warehouse, "UPDATE billing.prices SET plan = 'gold'")
    assert unknown_names(owing.warehouse, policy) == ["course a: book 'xaf'", "course a: customer 'zoe'"]


def test_a_simulation_says_what_would_happen_and_changes_nothing(owing):
    warehouse = owing.warehouse
    rows = dunning.simulate(warehouse, POLICY, MONDAY, 30)
    ann = [(row["step"], (row["at"] - MONDAY).days) for row in rows if row["customer_id"] == "ann"]
    assert ann == [("past_due", 3), ("payment_overdue", 3), ("grace", 10), ("final_notice", 10), ("suspend", 21)]
    assert warehouse.scalar("SELECT count(*) FROM billing.dunning_steps") == 0


def test_the_policy_drives_the_retries_by_cause_unless_the_variable_says_otherwise(monkeypatch, tmp_path):
    debit = replace(SOFT, cause=Cause.DEBIT)
    assert retry_days(load_settings())(SOFT) == (1, 3, 7, 14)
    assert retry_days(load_settings())(debit) == (3, 10)
    own = tmp_path / "own.yaml"
    own.write_text(
        "name: own\ncourses:\n  - {name: a, after_refusal: [{day: 2, do: retry}, {day: 5, do: retry}]}\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("BILLING_DUNNING_POLICY", str(own))
    assert retry_days(load_settings())(SOFT) == (2, 5)
    monkeypatch.setenv("BILLING_RETRY_DAYS", "4")
    assert retry_days(load_settings())(debit) == (4,)
    monkeypatch.setenv("BILLING_RETRY_DAYS", "none")
    assert retry_days(load_settings())(debit) == ()
