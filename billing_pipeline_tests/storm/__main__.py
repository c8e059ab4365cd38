"""`make storm`: every proof at full size. The last line of stdout is one JSON object with the figures.

Exit status 1 if a promise did not hold; each that did not is a line on stderr.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Emulated
from billing_pipeline_tests.storm.beside import Beside
from billing_pipeline_tests.storm.dagster_kills import dagster_kills
from billing_pipeline_tests.storm.delivery import delivered_in_order, storm
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.hostile import fuzz, odd_json
from billing_pipeline_tests.storm.latency import latency
from billing_pipeline_tests.storm.load import rotation, slow_connections, start_and_memory
from billing_pipeline_tests.storm.machines import TEMPLATE, Postgres, running_postgres
from billing_pipeline_tests.storm.processing import outage, poison
from billing_pipeline_tests.storm.reconciling import reconciliation
from billing_pipeline_tests.storm.settling import gateway, processing, settler
from billing_pipeline_tests.storm.world import BOOKS, build_books, copied_books, emulator_process

DAGSTER = "dagster"
LATENCY = "latency"
NAMES = (
    "start_and_memory", "rotation", "slow_connections", "fuzz", "odd_json",
    "outage", "storm", "poison", "reconciliation", DAGSTER, LATENCY,
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    invoices: int = 525
    """About nineteen events each."""
    shuffles: int = 20
    kills: int = 50
    restarts: int = 2
    fuzzed: int = 50_000
    odd: int = 1_000
    rotation_s: int = 12
    slow: int = 200
    slow_s: int = 15
    starts: int = 9
    worked: int = 2_000
    poison_among: int = 10_000
    poisonous: int = 50
    outage_invoices: int = 60
    pairs: int = 10_000
    differences: int = 20
    """Of each of five kinds."""
    dagster_kills: int = 25
    dagster_invoices: int = 63
    dagster_within_s: float = 900.0
    latency_events: int = 30


SMALL = Size(
    invoices=16, shuffles=2, kills=2, restarts=1, fuzzed=800, odd=120, rotation_s=4, slow=60, slow_s=2, starts=1,
    worked=300, poison_among=150, poisonous=5, outage_invoices=4,
    pairs=60, differences=2, dagster_kills=0,
)  # fmt: skip


def proofs(size: Size, seed: int, say: Callable[[str], None], only: str | None = None) -> Iterator[Figures]:
    """Each proof, or one of them, on one PostgreSQL server and one emulator; Dagster's runs beside the storm.

    `latency` waits more than it works, and runs only where it is asked for.
    """
    with (
        running_postgres() as postgres,
        tempfile.TemporaryDirectory() as folder,
        emulator_process(Path(folder)) as stripe_side,
        ExitStack() as stack,
    ):
        base_url = stripe_side.base_url
        if only == DAGSTER:
            events = build_books(postgres, stripe_side, size.dagster_invoices, seed)
            yield dagster_kills(postgres, base_url, gateway(base_url), events, BOOKS, size.dagster_kills, seed, say)
            return
        if only == LATENCY:
            events = build_books(postgres, stripe_side, 2 * size.latency_events, seed)
            yield latency(postgres, base_url, events, size.latency_events, say)
            return
        measured: dict[str, Callable[[Warehouse], Figures]] = {
            "start_and_memory": lambda warehouse: start_and_memory(warehouse, size.starts, size.worked),
            "rotation": lambda warehouse: rotation(warehouse, 200, size.rotation_s),
            "slow_connections": lambda warehouse: slow_connections(warehouse, size.slow, 100, size.slow_s, seed),
            "fuzz": lambda warehouse: fuzz(warehouse, size.fuzzed, seed),
            "odd_json": lambda warehouse: odd_json(warehouse, size.odd, seed, processing(base_url)),
        }
        for name, proof in measured.items():
            if only in (None, name):
                with copied_books(postgres, f"storm_{name}", TEMPLATE) as warehouse:
                    yield proof(warehouse)
        if only in measured:
            return
        # what is measured above wants the machine to itself
        dagster = None
        if size.dagster_kills and only is None:
            dagster = stack.enter_context(Beside(DAGSTER, seed, size.dagster_within_s))
        if only in (None, "outage"):
            second = Path(folder) / "outage"
            second.mkdir()
            yield outage(postgres, second, size.outage_invoices, seed)
        if only != "outage":
            yield from _story(postgres, stripe_side, size, seed, say, only)
        if dagster is not None:
            yield dagster.figures()


def _story(
    postgres: Postgres, stripe_side: Emulated, size: Size, seed: int, say: Callable[[str], None], only: str | None
) -> Iterator[Figures]:
    """The proofs on the books of a month and all its events."""
    events = build_books(postgres, stripe_side, size.invoices, seed)
    with settler(stripe_side.base_url) as settling:
        in_order = delivered_in_order(postgres, events, settling)
        if only in (None, "storm"):
            yield storm(
                postgres, events, in_order, settling,
                shuffles=size.shuffles, kills=size.kills, restarts=size.restarts, seed=seed, say=say,
            )  # fmt: skip
    if only in (None, "poison"):
        yield poison(postgres, stripe_side, events, in_order.applied, size.poison_among, size.poisonous)
    if only in (None, "reconciliation"):
        yield reconciliation(postgres, stripe_side, events, size.pairs, size.differences, seed)


@click.command()
@click.option("--seed", default=1, show_default=True, help="Decides orders, moments and contents.")
@click.option("--shuffles", type=click.IntRange(1), help="So many orders instead of 20; as many mishaps in all.")
@click.option("--only", type=click.Choice(NAMES), help="One proof instead of all.")
@click.option("--small", is_flag=True, help="The shorter part that the tests run.")
def main(seed: int, shuffles: int | None, only: str | None, small: bool) -> None:
    """Run every proof."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    started = time.monotonic()
    report: dict[str, Any] = {}
    broken: list[str] = []

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - started:6.1f} s  {text}", err=True)

    size = SMALL if small else Size()
    for figures in proofs(replace(size, shuffles=shuffles or size.shuffles), seed, say, only):
        say(f"{figures.name}: {'holds' if not figures.broken else 'DOES NOT HOLD'} {json.dumps(figures.values)}")
        report[figures.name] = figures.values
        broken += figures.broken
    for promise in broken:
        click.echo(f"Error: {promise}", err=True)
    click.echo(
        json.dumps({"holds": not broken, "seconds": round(time.monotonic() - started), "broken": broken, **report})
    )
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
