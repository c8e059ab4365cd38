"""What is counted as rows change is what counting them gives, whatever became of the month."""

from datetime import UTC, datetime

from sqlalchemy import text

from billing_pipeline.books.audit_chain import verify
from billing_pipeline.books.month_overview import month_overview
from billing_pipeline.books.months import month_states
from billing_pipeline.core.signature import Signature
from billing_pipeline.corrections.void_invoice import void_invoice
from billing_pipeline.postgres.roles import as_login
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Bill, invoice_id_of
from billing_pipeline_tests.events.world import EventWorld
from billing_pipeline_tests.month_rows import OCTOBER, SEPTEMBER, add_usage, at, bill, event_of_ann


def counted(warehouse: Warehouse) -> list[dict[str, object]]:
    return warehouse.rows(
        "SELECT * FROM billing.counted_months() WHERE row_count <> 0 ORDER BY 1, 2, 3 NULLS FIRST, 4 NULLS FIRST, 5"
    )


def figures(warehouse: Warehouse) -> list[dict[str, object]]:
    return warehouse.rows(
        "SELECT billing_month, subject, state, reason_code, currency, sum(row_count)::bigint AS row_count,"
        " sum(total) AS total FROM billing.month_figures GROUP BY 1, 2, 3, 4, 5 HAVING sum(row_count) <> 0"
        " ORDER BY 1, 2, 3 NULLS FIRST, 4 NULLS FIRST, 5"
    )


def test_drafts_that_are_built_twice_are_counted_once(billed: Warehouse) -> None:
    for month in (SEPTEMBER, OCTOBER, SEPTEMBER):
        add_usage(billed, [event_of_ann(f"e{len(figures(billed))}", "calls", 100, f"{month:%Y-%m}-15")])
        bill(billed, month)
        assert figures(billed) == counted(billed)
    counts = month_overview(billed, SEPTEMBER, at("2025-12-01")).counts
    assert (counts.customers, counts.drafts, counts.final, counts.events) == (1, 1, 0, 2)
    assert counts.lines == billed.scalar(
        "SELECT count(*) FROM billing.invoice_line_items WHERE billing_month = '2025-09-01'"
    )


def test_charges_are_counted_where_they_are_and_a_wrong_figure_is_named(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("gone", card="pm_card_chargeCustomerFail"), Bill("b"))
    assert figures(world.warehouse) == counted(world.warehouse)
    world.charge()
    void_invoice(world.warehouse, world.gateway(), invoice_id_of("gone"), Signature("ann", "wrong"))
    found = figures(world.warehouse)
    assert found == counted(world.warehouse)
    assert {row["state"]: row["row_count"] for row in found if row["state"]} == {"paid": 2, "void": 1}
    with world.warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("UPDATE billing.month_figures SET row_count = row_count + 1 WHERE state = 'paid'"))
    [problem] = [line for line in verify(world.warehouse).problems if "figures" in line]
    assert problem.endswith(", invoices paid: are not what is counted")
    with world.warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("SELECT billing.count_months_again()"))
    assert figures(world.warehouse) == found
    assert not [line for line in verify(world.warehouse).problems if "figures" in line]


def test_what_is_owed_is_not_decided_by_the_figures(world: EventWorld) -> None:
    """Rows that came past the triggers, as a restore brings them, are billed all the same."""
    world.drafts(Bill("a"))
    january = datetime(2027, 1, 1, tzinfo=UTC)
    before = month_states(world.warehouse, january)
    assert "not_charged" in {month.state for month in before}
    with world.warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text("DELETE FROM billing.month_figures"))
    assert month_states(world.warehouse, january) == before


def test_what_sessions_counted_is_put_together_and_what_one_counts_meanwhile_is_not_lost(world: EventWorld) -> None:
    world.bill(Bill("a"), Bill("b"))
    world.charge()
    warehouse = world.warehouse
    add_one = "SELECT billing.add_to_month('2025-09-01', 'customers', NULL, NULL, NULL, 1, 0)"
    found = figures(warehouse)
    with warehouse.transaction() as counting:
        as_login(counting)
        counting.execute(text("SELECT billing.add_to_month('2025-09-01', 'customers', NULL, NULL, NULL, -1, 0)"))
        counting.execute(text(add_one))
        with warehouse.transaction() as folding:
            assert folding.execute(text("SELECT billing.fold_month_figures()")).scalar_one() > 0
        counting.execute(text(add_one))
    assert figures(warehouse) != found
    with warehouse.transaction() as connection:
        as_login(connection)
        connection.execute(text(add_one.replace(" 1,", " -1,")))
        connection.execute(text("SELECT billing.fold_month_figures()"))
    assert figures(warehouse) == found
    assert warehouse.scalar("SELECT count(*) FROM billing.month_figures WHERE written_by <> 0") == 0
    assert not [line for line in verify(warehouse).problems if "figures" in line]
