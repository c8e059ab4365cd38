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


def work_through(
    items: Sequence[T],
    worker: Callable[[], AbstractContextManager[Callable[[T], R]]],
    *,
    workers: int,
    stop: Event,
    progress: Callable[[str], None],
    progress_every_s: float = PROGRESS_EVERY_S,
) -> list[R]:
    """The results of the items that were worked on, in no order.

    Each thread opens one `worker`, takes items until none is left, and closes it. A thread for which the server has no
    connection left leaves the work to the others. `stop` ends it between items. The first exception ends the others in
    the same way and is raised when they have; so does Ctrl-C.
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

    started = time.monotonic()
    with ThreadPoolExecutor(min(workers, len(items)), thread_name_prefix="charging") as pool:
        futures: set[Future[None]] = {pool.submit(run) for _ in range(min(workers, len(items)))}
        try:
            while futures:
                done, futures = wait(futures, timeout=progress_every_s, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if futures:
                    rate = len(results) / (time.monotonic() - started)
                    progress(f"{len(results):,} of {len(items):,}, {rate:.0f}/s")
        finally:
            ending.set()
    return results
