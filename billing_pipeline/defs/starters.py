"""Who started a run, by what nobody who launches one can write: this process, or the daemon's own tick records."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import dagster as dg

from billing_pipeline.invoicing.starter import UNKNOWN, Starter

STARTED_BY = "billing/started_by"
"""Tag of a run: who is said to have started it. For people to read: anybody at a webserver can write it."""
ASKED_FOR_BY = ("charge_month_schedule", "drafts_to_charge")
"""The schedule and the sensor that ask for charging runs."""
_TICK_WRITTEN_WITHIN_S = 30.0
_LOOK_EVERY_S = 1.0
_TICKS_READ = 50

_person: ContextVar[str | None] = ContextVar("person", default=None)


@contextmanager
def started_in_this_process(person: str | None) -> Iterator[None]:
    """Runs that are executed in this process meanwhile are this person's: no tag can say so from outside."""
    token = _person.set(person)
    try:
        yield
    finally:
        _person.reset(token)


def starter_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Starter:
    """A person's command in this process, a schedule or sensor whose own records name the run, or nobody known."""
    person = _person.get()
    if person is not None:
        return Starter("person", person)
    named = run.tags.get("dagster/schedule_name") or run.tags.get("dagster/sensor_name")
    # the daemon writes its tick down after it has submitted the tick's runs
    deadline = time.monotonic() + _TICK_WRITTEN_WITHIN_S
    while named in ASKED_FOR_BY:
        if _is_recorded(instance, named, run.run_id):
            return Starter("schedule", named)
        if time.monotonic() >= deadline:
            break
        time.sleep(_LOOK_EVERY_S)
    said = run.tags.get(STARTED_BY)
    return Starter("unknown", f"unknown, says {said}") if said and said.strip() else UNKNOWN


def _is_recorded(instance: dg.DagsterInstance, name: str, run_id: str) -> bool:
    """Whether a tick of this schedule or sensor names the run in the instance's storage."""
    return any(
        run_id in tick.run_ids
        for state in instance.all_instigator_state()
        if state.instigator_name == name
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_TICKS_READ)
    )
