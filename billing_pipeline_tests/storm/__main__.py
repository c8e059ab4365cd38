"""`make storm`: every proof at full size. The last line of stdout is one JSON object with the figures.

Exit status 1 if a promise did not hold; each that did not is a line on stderr.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from billing_pipeline_tests.storm.dagster_kills import dagster_kills
from billing_pipeline_tests.storm.delivery import storm
from billing_pipeline_tests.storm.figures import Figures
from billing_pipeline_tests.storm.hostile import fuzz, odd_json
from billing_pipeline_tests.storm.load import rotation, slow_connections, start_and_memory
from billing_pipeline_tests.storm.machines import TEMPLATE, running_postgres
from billing_pipeline_tests.storm.processing import gateway, outage, poison, processing
from billing_pipeline_tests.storm.reconciling import reconciliation
from billing_pipeline_tests.storm.world import build_books, copied_books, emulator_process


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
    dagster_events: int = 1_200


SMALL = Size(
    invoices=16, shuffles=2, kills=2, restarts=1, fuzzed=800, odd=120, rotation_s=4, slow=60, slow_s=2, starts=1,
    worked=300, poison_among=150, poisonous=5, outage_invoices=4,
    pairs=60, differences=2, dagster_kills=0,
)  # fmt: skip


def proofs(size: Size, seed: int, say: Callable[[str], None]) -> Iterator[Figures]:
    """Each proof in turn, on one PostgreSQL server and one emulator."""
    with (
        running_postgres() as postgres,
        tempfile.TemporaryDirectory() as folder,
        emulator_process(Path(folder)) as stripe_side,
    ):
        process = processing(stripe_side.base_url)
        with copied_books(postgres, "storm_start", TEMPLATE) as warehouse:
            yield start_and_memory(warehouse, size.starts, size.worked)
        with copied_books(postgres, "storm_rotation", TEMPLATE) as warehouse:
            yield rotation(warehouse, 200, size.rotation_s)
        with copied_books(postgres, "storm_slow", TEMPLATE) as warehouse:
            yield slow_connections(warehouse, size.slow, 100, size.slow_s, seed)
        with copied_books(postgres, "storm_fuzz", TEMPLATE) as warehouse:
            yield fuzz(warehouse, size.fuzzed, seed)
        with copied_books(postgres, "storm_odd", TEMPLATE) as warehouse:
            yield odd_json(warehouse, size.odd, seed, process)
        events = build_books(postgres, stripe_side, size.invoices, seed)
        yield storm(
            postgres, events, process,
            shuffles=size.shuffles, kills=size.kills, restarts=size.restarts, seed=seed, say=say,
        )  # fmt: skip
        yield poison(postgres, stripe_side, events, size.poison_among, size.poisonous)
        yield reconciliation(postgres, stripe_side, events, size.pairs, size.differences, seed)
        if size.dagster_kills:
            yield dagster_kills(
                postgres, stripe_side.base_url, gateway(stripe_side.base_url), events[: size.dagster_events],
                size.dagster_kills, seed, say,
            )  # fmt: skip
        second = Path(folder) / "outage"
        second.mkdir()
        yield outage(postgres, second, size.outage_invoices, seed)


@click.command()
@click.option("--seed", default=1, show_default=True, help="Decides orders, moments and contents.")
@click.option("--shuffles", type=click.IntRange(1), help="So many orders instead of 20; as many mishaps in all.")
@click.option("--small", is_flag=True, help="The shorter part that the tests run.")
def main(seed: int, shuffles: int | None, small: bool) -> None:
    """Run every proof."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    started = time.monotonic()
    report: dict[str, Any] = {}
    broken: list[str] = []

    def say(text: str) -> None:
        click.echo(f"{time.monotonic() - started:6.1f} s  {text}", err=True)

    size = SMALL if small else Size()
    for figures in proofs(replace(size, shuffles=shuffles or size.shuffles), seed, say):
        say(f"{figures.name}: {'holds' if not figures.broken else 'DOES NOT HOLD'} {json.dumps(figures.values)}")
        report[figures.name] = figures.values
        broken += figures.broken
    for promise in broken:
        click.echo(f"Error: {promise}", err=True)
    click.echo(json.dumps({"holds": not broken, "seconds": round(time.monotonic() - started), **report}))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
