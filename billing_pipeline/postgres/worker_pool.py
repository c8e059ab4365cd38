"""Work on many items in a few threads, with progress and an orderly end. Knows nothing of what the work is."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from threading import Event, Lock
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from billing_pipeline.postgres.errors import is_full

T = TypeVar("T")
R = TypeVar("R")
PROGRESS_EVERY_S = 5.0
GROW_EVERY_S = 0.25


def work_through(
    items: Sequence[T],
    worker: Callable[[], AbstractContextManager[Callable[[T], R]]],
    *,
    workers: int,
    workers_max: int = 0,
    more: Callable[[int], bool] = lambda _: False,
    stop: Event,
    progress: Callable[[str], None],
    progress_every_s: float = PROGRESS_EVERY_S,
) -> list[R]:
    """The results of the items that were worked on, in no order.

    Each thread opens one `worker`, takes items until none is left, and closes it. A thread for which the server has no
    connection left leaves the work to the others. There are `workers` of them, and as many again, up to
    `workers_max`, whenever `more` says of their number that others would find something to do. `stop` ends the work
    between items. The first exception ends the others in the same way and is raised when they have; so does Ctrl-C.
    """
    if not items:
        return []
    source, lock, results = iter(items), Lock(), list[R]()
    ending = Event()

    def take() -> Iterator[T]:
        while not (stop.is_set() or ending.is_set()):
            with lock:
                item = next(source, None)
            if item is None:
                return
            yield item

    at_work = Event()

    def run() -> None:
        with ExitStack() as opened:
            try:
                work = opened.enter_context(worker())
            except OperationalError as error:
                if at_work.is_set() and is_full(error):
                    return
                raise
            at_work.set()
            for item in take():
                results.append(work(item))

    most = min(max(workers, workers_max), len(items))
    tell = _Teller(progress, progress_every_s, len(items))
    with ThreadPoolExecutor(most, thread_name_prefix="charging") as pool:
        futures: set[Future[None]] = {pool.submit(run) for _ in range(min(workers, most))}
        tick_s = min(progress_every_s, GROW_EVERY_S) if most > workers else progress_every_s
        try:
            while futures:
                done, futures = wait(futures, timeout=tick_s, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                room = min(most, len(items) - len(results)) - len(futures)
                futures |= {pool.submit(run) for _ in range(_added(len(futures), room, more))}
                if futures:
                    tell.of(len(results))
        finally:
            ending.set()
    return results


def _added(threads: int, room: int, more: Callable[[int], bool]) -> int:
    """How many threads come to these."""
    return min(room, threads) if threads and room > 0 and more(threads) else 0


class _Teller:
    """Says how far the work is, every so many seconds."""

    def __init__(self, progress: Callable[[str], None], every_s: float, total: int) -> None:
        self._progress = progress
        self._every_s = every_s
        self._total = total
        self._started = self._told = time.monotonic()

    def of(self, count: int) -> None:
        now = time.monotonic()
        if now - self._told >= self._every_s:
            self._told = now
            self._progress(f"{count:,} of {self._total:,}, {count / (now - self._started):.0f}/s")
