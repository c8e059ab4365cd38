"""What pages show of measures is kept as the views have it, until it is worked out again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing_pipeline.books.audit_chain import verify
from billing_pipeline.books.measure_reading import measure_csv, read_measure
from billing_pipeline.books.measures import MEASURES, Range
from billing_pipeline.books.stored_measures import work_out, work_out_all
from billing_pipeline.core.errors import NotFound
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.books.kept_measures import KEPT, kept_is_live
from billing_pipeline_tests.charging.world import Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.postgres.logins import login, refused


def charged(world: EventWorld) -> Warehouse:
    world.bill(
        Bill("a", (4000, 1)), Bill("y", (1200,), currency="jpy"), Bill("open", card="pm_card_chargeCustomerFail")
    )
    world.charge()
    return world.warehouse


def test_what_is_kept_is_what_the_views_say_and_stays_so_until_it_is_worked_out_again(world: EventWorld) -> None:
    warehouse = charged(world)
    kept_is_live(warehouse)
    before = read_measure(warehouse, "collection", personal=True)
    void_invoice(warehouse, world.gateway(), invoice_id_of("open"), Signature("ann", "wrong"))
    live = warehouse.rows("SELECT * FROM billing.collection ORDER BY 1 DESC, 2")
    assert before.rows != live
    assert read_measure(warehouse, "collection", personal=True) == before
    again = work_out(warehouse, "collection")
    after = read_measure(warehouse, "collection", personal=True)
    assert (after.rows, after.as_of) == (live, again)
    assert before.as_of is not None
    assert again > before.as_of


def test_a_database_with_few_rows_keeps_nothing_until_somebody_works_a_measure_out(world: EventWorld) -> None:
    warehouse = charged(world)
    assert work_out_all(warehouse) == []
    assert read_measure(warehouse, "net_revenue", personal=True).as_of is None
    work_out(warehouse, "net_revenue")
    assert read_measure(warehouse, "net_revenue", personal=True).as_of is not None
    assert work_out_all(warehouse) == KEPT


def test_what_is_kept_of_nothing_is_nothing_and_not_the_view(warehouse: Warehouse) -> None:
    as_of = work_out(warehouse, "revenue_summary")
    read = read_measure(warehouse, "revenue_summary", personal=True)
    assert (read.rows, read.as_of) == ([], as_of)


def test_a_range_of_months_is_read_of_what_is_kept_and_of_a_measure_of_now_all_of_it(world: EventWorld) -> None:
    warehouse = charged(world)
    month = read_measure(warehouse, "net_revenue", personal=True).rows[0]["billing_month"]
    work_out_all(warehouse, live_rows_max=0)
    ends = {"in it": (month, month), "before it": (None, date(2020, 1, 1)), "after it": (date(2031, 1, 1), None)}
    found = {
        name: len(read_measure(warehouse, "net_revenue", personal=True, within=Range(*within)).rows)
        for name, within in ends.items()
    }
    assert found == {"in it": 2, "before it": 0, "after it": 0}
    ageing = read_measure(warehouse, "receivables_ageing", personal=True, within=Range(date(2031, 1, 1)))
    assert ageing.rows == warehouse.rows("SELECT * FROM billing.receivables_ageing ORDER BY 1 DESC, 2, 3") != []


def test_of_a_measure_with_a_row_a_customer_the_first_of_each_month_are_kept_and_the_file_has_all(
    world: EventWorld,
) -> None:
    warehouse = charged(world)
    with warehouse.transaction() as connection:
        connection.execute(text("SELECT billing.store_measure('revenue_by_customer', 1)"))
    page = read_measure(warehouse, "revenue_by_customer", personal=True)
    lines, as_of = measure_csv(warehouse, "revenue_by_customer", personal=True)
    live = warehouse.rows("SELECT * FROM billing.revenue_by_customer ORDER BY 1 DESC, 2, 3")
    assert page.rows == live[:1]
    assert page.as_of is not None
    assert (len(list(lines)), as_of) == (1 + 3, None)


def test_two_who_work_out_the_same_at_once_wait_for_each_other_and_leave_one_set_of_rows(world: EventWorld) -> None:
    warehouse = charged(world)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: work_out(warehouse, "collection"), range(8)))
    read = read_measure(warehouse, "collection", personal=True)
    assert read.rows == warehouse.rows("SELECT * FROM billing.collection ORDER BY 1 DESC, 2")
    assert read.as_of == max(done)


def test_who_waited_for_one_that_began_after_they_asked_takes_theirs(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        as_login(connection)
        ahead = connection.execute(
            text("INSERT INTO billing.stored_measures VALUES ('collection', now() + interval '1 hour') RETURNING as_of")
        ).scalar_one()
    assert work_out(warehouse, "collection") == ahead


def test_names_of_customers_are_not_kept_and_shown_to_those_alone_who_may_see_them(world: EventWorld) -> None:
    warehouse = charged(world)
    work_out(warehouse, "revenue_by_customer")
    assert not warehouse.scalar(
        "SELECT count(*) FROM billing.stored_measure_rows WHERE content ? 'customer_name' OR content::text LIKE '%Customer%'"
    )
    named = read_measure(warehouse, "revenue_by_customer", personal=True).rows
    assert [row["customer_name"] for row in named] == [
        row["name"] for row in warehouse.rows("SELECT name FROM billing.customers ORDER BY currency, customer_id")
    ]
    assert "customer_name" not in read_measure(warehouse, "revenue_by_customer", personal=False).rows[0]


def test_analysts_read_what_is_kept_and_nobody_but_the_function_writes_it(world: EventWorld) -> None:
    warehouse = charged(world)
    work_out(warehouse, "net_revenue")
    with login(warehouse, "billing_analyst") as analyst:
        assert analyst.scalar("SELECT count(*) FROM billing.stored_measure_rows") == 2
        assert analyst.scalar("SELECT count(*) FROM billing.stored_measures") == 1
        refused(analyst, "SELECT billing.store_measure('net_revenue', 1)")
    for role in ("billing_pipeline", "billing_analyst"):
        with login(warehouse, role) as somebody:
            for statement in (
                "INSERT INTO billing.stored_measures VALUES ('collection', now())",
                "UPDATE billing.stored_measures SET as_of = now()",
                "DELETE FROM billing.stored_measure_rows",
                "INSERT INTO billing.stored_measure_rows VALUES ('net_revenue', 9, NULL, '{}')",
            ):
                refused(somebody, statement)
    with login(warehouse, "billing_api") as api:
        work_out(api, "net_revenue")
    assert verify(warehouse).problems == []


@pytest.mark.parametrize("name", ["api_tokens", "unusual_usage", "invoices; DROP TABLE billing.invoices"])
def test_only_measures_of_the_list_are_kept_whatever_else_the_owner_could_read(warehouse: Warehouse, name: str) -> None:
    with pytest.raises(DBAPIError) as caught, warehouse.transaction() as connection:
        connection.execute(text("SELECT billing.store_measure(:name)"), {"name": name})
    assert isinstance(caught.value.orig, psycopg.errors.CheckViolation)
    with pytest.raises(NotFound, match=r"the view itself|expected one of"):
        work_out(warehouse, name)


def test_each_measure_that_a_page_keeps_may_be_kept_and_has_its_months_where_the_table_does(world: EventWorld) -> None:
    warehouse = charged(world)
    work_out_all(warehouse, live_rows_max=0)
    checked = warehouse.scalar(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'billing.stored_measures'::regclass AND contype = 'c'"
    )
    assert all(f"'{name}'" in checked for name in KEPT)
    assert checked.count("::text") == len(KEPT)
    columns = warehouse.rows(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'billing' AND ordinal_position = 1"
    )
    firsts = {row["table_name"]: row["column_name"] for row in columns}
    for name in KEPT:
        assert MEASURES[name].time in (None, firsts[name]), name
