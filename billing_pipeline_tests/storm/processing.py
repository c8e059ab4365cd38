"""From stored to applied: the queue worked off, poison in it, and an outage made good by the sweep."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from billing_pipeline.defs.stripe_events import no_event_given_up
from billing_pipeline.events.rules.stripe_events import HANDLED, Kind
from billing_pipeline.events.sweep import sweep_events
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.sandbox.lean_http import HOST, free_port
from billing_pipeline.sandbox.webhooks import register_endpoint
from billing_pipeline.settings import ROOT
from billing_pipeline.stripe_gateway.gateway import StripeGateway
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.storm.delivery import About
from billing_pipeline_tests.storm.digests import digest
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.machines import Postgres
from billing_pipeline_tests.storm.sender import Parcel
from billing_pipeline_tests.storm.settling import CIPHER, gateway, processing, settle, states_of, store_all
from billing_pipeline_tests.storm.world import build_books, copied_books, emulator_process, listed_events
from billing_pipeline_tests.web.receiver.receiving import PATH, database_url

OUTAGE_H = 72
OUTAGE_STEP_H = 6


class Faulty:
    """A Stripe whose answers about some payment methods our code cannot read."""

    def __init__(self, api: StripeGateway, unreadable: set[str]) -> None:
        self._api = api
        self._unreadable = unreadable

    def retrieve_payment_method(self, payment_method_id: str) -> Any:
        if payment_method_id in self._unreadable:
            raise ValueError("this card has a field that the code does not know")
        return self._api.retrieve_payment_method(payment_method_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)


def poison(
    postgres: Postgres,
    stripe_side: Emulated,
    events: Sequence[Parcel],
    applied: Mapping[str, About],
    count: int,
    poisonous: int,
) -> Figures:
    """Among `count` events that would be applied, `poisonous` that fail each time, until the code is mended.

    `applied` are those of the events that are applied when they come in order.
    """
    figures = Figures("poison")
    api = gateway(stripe_side.base_url)
    mixed, unreadable = _with_poison(events, applied, count, poisonous)
    with copied_books(postgres, "storm_poison") as warehouse:
        store_all(warehouse, mixed)
        left = settle(warehouse, Faulty(api, unreadable))
        states = states_of(warehouse)
        figures.expect(left == poisonous, f"the first round left {left} events open: poison held others up")
        wanted = Counter(applied=count - poisonous, dead=poisonous)
        figures.expect(states == wanted, f"before the fix: {dict(states)}, expected {dict(wanted)}")
        told = warehouse.scalar(
            "SELECT count(*) FROM billing.stripe_event_work WHERE state = 'dead' AND last_error LIKE '%does not know'"
        )
        figures.expect(told == poisonous, f"only {told} dead letters name their error")
        alarm: Any = no_event_given_up(SimpleNamespace(warehouse=warehouse))
        figures.expect(not alarm.passed, "the dead letters raise no alarm")
        _replay(warehouse)
        settle(warehouse, api)
        after = states_of(warehouse)
        figures.expect(after == Counter(applied=count), f"after the replay: {dict(after)}")
        quiet: Any = no_event_given_up(SimpleNamespace(warehouse=warehouse))
        figures.expect(quiet.passed, "the alarm stays")
    figures.values = {
        "events": count,
        "poisonous": poisonous,
        "applied_before_fix": states["applied"],
        "dead_before_fix": states["dead"],
        "applied_after_replay": after["applied"],
        "alarmed": not alarm.passed,
    }
    return figures


def _with_poison(
    events: Sequence[Parcel], applied: Mapping[str, About], count: int, poisonous: int
) -> tuple[list[Parcel], set[str]]:
    """Events that all would be applied, as often as it takes, and the objects that will fail: one event each."""
    methods = [
        event
        for event in events
        if event.event_id in applied and HANDLED.get(applied[event.event_id].type) is Kind.PAYMENT_METHOD
    ]
    bad: dict[str, Parcel] = {}
    for event in methods:
        bad.setdefault(applied[event.event_id].object_id, event)
    chosen = dict(list(bad.items())[:poisonous])
    assert len(chosen) == poisonous, "too few payment methods in the story"
    good = [event for event in events if event.event_id in applied and applied[event.event_id].object_id not in chosen]
    wanted = count - poisonous
    copies = -(-wanted // len(good))
    clean = [_again(event, number) for event in good for number in range(copies)][:wanted]
    spacing = max(1, len(clean) // poisonous)
    for number, event in enumerate(chosen.values()):
        clean.insert(number * (spacing + 1), _again(event, 0))
    return clean, set(chosen)


def _again(event: Parcel, number: int) -> Parcel:
    """Another event about the same object."""
    event_id = f"{event.event_id}_{number}"
    return Parcel(event_id, json.dumps(json.loads(event.body) | {"id": event_id}).encode())


def _replay(warehouse: Warehouse) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BILLING_", "STRIPE_"))}
    command = ["events", "replay", "--state", "dead", "--author", "storm", "--reason", "the code knows the field now"]
    subprocess.run(
        [sys.executable, "-m", "billing_pipeline.cli", *command],
        cwd=ROOT,
        env={**environment, "BILLING_DATABASE_URL": database_url(warehouse)},
        check=True,
        capture_output=True,
    )


def outage(postgres: Postgres, folder: Path, invoices: int, seed: int) -> Figures:
    """No receiver for 72 hours of Stripe's clock, while everything happens: then one sweep."""
    figures = Figures("outage")
    with emulator_process(folder) as stripe_side:
        register_endpoint(stripe_side.base_url, f"http://{HOST}:{free_port()}{PATH}", folder)
        build_books(postgres, stripe_side, invoices, seed, "storm_outage_books")
        for hour in range(0, OUTAGE_H + OUTAGE_STEP_H, OUTAGE_STEP_H):
            stripe_side.api.customers.create({"name": f"hour {hour}"})
            stripe_side.control("POST", "/clock", {"advance_s": OUTAGE_STEP_H * 3_600})
        now = datetime.fromtimestamp(stripe_side.control("GET", "/clock")["now"], UTC)
        events = listed_events(stripe_side)
        process = processing(stripe_side.base_url)
        with copied_books(postgres, "storm_outage", "storm_outage_books") as warehouse:
            swept = sweep_events(warehouse, gateway(stripe_side.base_url), CIPHER, "storm", now, log=lambda _: None)
            again = sweep_events(warehouse, gateway(stripe_side.base_url), CIPHER, "storm", now, log=lambda _: None)
            stored = {row["event_id"] for row in warehouse.rows("SELECT event_id FROM billing.stripe_events")}
            process(warehouse)
            found = digest(warehouse)
        with copied_books(postgres, "storm_outage_in_order", "storm_outage_books") as warehouse:
            store_all(warehouse, events)
            process(warehouse)
            expected = digest(warehouse)
    missing = {event.event_id for event in events} - stored
    figures.expect(not missing, f"the sweep missed {len(missing)} events, such as {min(missing, default='')}")
    figures.expect(again.new_count == 0, f"a second sweep found {again.new_count} more")
    for table in expected.keys() - {"stripe_events"}:  # how an event came is a column of it
        figures.expect(found[table] == expected[table], f"{table} ends otherwise than in order")
    figures.values = {"hours": OUTAGE_H, "events": len(events), "recovered": swept.new_count, "missing": len(missing)}
    return figures
