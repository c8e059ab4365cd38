"""`billing demo` as a user runs it: again, in the next month, and after being killed."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from billing_pipeline.cli import main
from billing_pipeline.comparison.explain import explain_all, ledger_problems
from billing_pipeline.core.months import month_before
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.demo import last_finished_month
from billing_pipeline_tests.books.kept_measures import kept_is_live
from billing_pipeline_tests.contract.sdk_contract import violations
from billing_pipeline_tests.sandbox.demo_process import (
    RECONCILED,
    at_stripe,
    demo,
    opened,
    recorded_demo,
    tables,
)


def invoices(state: Path) -> dict[str, dict[str, int]]:
    """Invoices by month and status."""
    counts: dict[str, dict[str, int]] = {}
    with opened(state) as warehouse:
        rows = warehouse.rows("SELECT billing_month, status, count(*) AS n FROM billing.invoices GROUP BY 1, 2")
    for row in rows:
        counts.setdefault(str(row["billing_month"]), {})[row["status"]] = row["n"]
    return counts


METERED = [
    ("usage", "sign_ins", 3),
    ("usage", "active_students", 75),
    ("usage", "traffic_gb", 8_000),
    ("usage", "traffic_gb", 2_000),
    ("usage", "traffic_gb", 2_000),
    ("fee", "traffic_gb", 500),
    ("maximum", "traffic_gb", -2_500),
    ("usage", "translations", 1_000),
    ("usage", "translations", 160),
    ("usage", "translations", 2_000),
    ("usage", "translations", 300),
    ("usage", "library_loans", 2),
    ("usage", "voice_minutes", 0),
    ("usage", "text_messages", 600),
]


def lines(state: Path, customer_id: str, month: date) -> list[tuple[str, int | None, bool]]:
    """Of a customer's lines the first words, the days that they are for, and whether they are a trial's."""
    with opened(state) as warehouse:
        rows = warehouse.rows(
            "SELECT l.description, l.billed_days FROM billing.invoice_line_items AS l"
            " JOIN billing.billing_periods AS p USING (period_id)"
            " WHERE l.customer_id = :customer AND l.billing_month = :month ORDER BY p.period_start, l.line_no",
            customer=customer_id,
            month=month,
        )
    return [(row["description"].split(" (")[0], row["billed_days"], "trial" in row["description"]) for row in rows]


def test_a_second_demo_changes_nothing_and_the_next_month_is_billed_once_it_has_ended(state):
    now = datetime.now(UTC)
    this_month = last_finished_month(now)
    last_month = month_before(this_month)

    # as it would have been a month ago
    month_days = (this_month - last_month).days
    earlier = datetime(this_month.year, this_month.month, 1, 12, tzinfo=UTC) + timedelta(days=3)
    status, output, said = recorded_demo(state, earlier)
    assert status == 0, output
    assert RECONCILED in output
    assert len(said) > 1_000
    assert [wrong for exchange in said for wrong in violations(exchange)] == []
    for total in ("40.00 USD", "254.50 USD", "1,010.00 USD"):
        assert len(re.findall(rf" {re.escape(total)}", output)) >= 2, total
    for expected in (
        "unknown meter",
        "unknown customer",
        "no_payment_method",
        "declined",
        "action_required",
        "make up",
    ):
        assert expected in output
    first = invoices(state)
    assert first[str(last_month)]["open"] == 5
    assert set(first[str(month_before(last_month))]) == {"draft"}
    assert str(this_month) not in first

    licences = ("basic license", None, False)
    joined = [("Starter plan", 5, False), licences, ("Campus plan", month_days - 24, False), licences]
    assert lines(state, "00117", last_month) == joined
    assert lines(state, "00118", last_month) == [("Starter plan", 10, False)]
    tried = [("Tryout plan", 14, True), licences, ("Tryout plan", month_days - 18, False), licences]
    assert lines(state, "00119", last_month) == tried
    paused = [("Starter plan", 9, False), ("Starter plan", month_days - 20, False)]
    assert lines(state, "00120", last_month) == paused
    with opened(state) as warehouse:
        kinds = warehouse.rows("SELECT DISTINCT kind FROM billing.invoice_line_items")
        metered = warehouse.rows(
            "SELECT kind, meter, amount_minor FROM billing.invoice_line_items WHERE customer_id = '00121'"
            " AND billing_month = :month AND meter <> 'platform_fee' ORDER BY line_no",
            month=last_month,
        )
    assert {row["kind"] for row in kinds} == {"usage", "fee", "minimum", "maximum", "commitment", "discount"}
    assert [tuple(row.values()) for row in metered if row["meter"] != "course_seats"] == METERED
    rows, stripe = tables(state), at_stripe(state)
    status, output = demo(state, earlier)
    assert status == 0, output
    assert "(0 new)" in output
    assert tables(state) == rows
    assert at_stripe(state) == stripe

    status, output = demo(state, None, "--months", "2")
    assert status == 0, output
    assert RECONCILED in output
    assert "[9/10] webhooks" in output
    now_billed = invoices(state)
    assert now_billed[str(last_month)] == first[str(last_month)]
    assert now_billed[str(this_month)]["open"] == 5
    assert now_billed[str(this_month)]["paid"] > 200
    assert "draft" not in now_billed[str(this_month)]
    with opened(state) as warehouse:
        explained = list(explain_all(warehouse))
        assert ledger_problems(warehouse) == []
        assert kept_is_live(warehouse)
    assert len(explained) == sum(sum(now_billed[str(month)].values()) for month in (last_month, this_month))
    assert [problem for each in explained for problem in each.problems] == []


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"STRIPE_SECRET_KEY": "sk_live_x"}, "live key"),
        ({"STRIPE_SECRET_KEY": "rk_live_x"}, "live key"),
        ({"STRIPE_SECRET_KEY": "sk_test_of_mine"}, "key of a Stripe account"),
    ],
)
@pytest.mark.parametrize("command", ["demo", "up"])
def test_a_key_that_is_not_the_emulators_is_refused_before_anything_happens(
    command, variables, said, tmp_path, monkeypatch
):
    for name, value in {**variables, "BILLING_STATE_DIR": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 1
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "sk_test_of_mine" not in result.stderr
    assert not (tmp_path / "state").exists()


def test_a_database_with_other_customers_is_refused(warehouse: Warehouse, tmp_path, monkeypatch):
    with warehouse.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO billing.customers (customer_id, name, email, currency, timezone)"
                " VALUES ('acme', 'Acme', 'a@example.com', 'usd', 'UTC')"
            )
        )
    url = warehouse.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("BILLING_DATABASE_URL", url)
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path / "state"))
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "acme" in result.stderr
    assert warehouse.scalar("SELECT count(*) FROM billing.customers") == 1
    assert warehouse.scalar("SELECT count(*) FROM billing.usage_events") == 0


def test_an_api_base_where_no_emulator_answers_is_refused(warehouse: Warehouse, tmp_path, monkeypatch):
    url = warehouse.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    monkeypatch.setenv("BILLING_DATABASE_URL", url)
    monkeypatch.setenv("BILLING_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    result = CliRunner().invoke(main, ["demo"])
    assert result.exit_code == 1
    assert "no Stripe emulator answers" in result.stderr
    assert warehouse.scalar("SELECT count(*) FROM billing.customers") == 0
