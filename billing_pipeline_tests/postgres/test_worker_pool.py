"""How many threads work: those to begin with, and more while more is asked for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Barrier, Event

from billing_pipeline.postgres.worker_pool import work_through

PATIENCE_S = 60


def at_once(count: int) -> Callable[[int], int]:
    """Work that goes on only when so many threads are at it at once."""
    together = Barrier(count)
    return lambda item: (together.wait(PATIENCE_S), item)[1]


def done(work: Callable[[int], int], items: int, more: Callable[[int], bool], workers_max: int = 9) -> list[int]:
    @contextmanager
    def worker() -> Iterator[Callable[[int], int]]:
        yield work

    return work_through(
        range(items), worker, workers=2, workers_max=workers_max, more=more, stop=Event(), progress=lambda _: None
    )


def test_threads_are_added_up_to_the_most_while_more_would_find_work() -> None:
    assert sorted(done(at_once(9), 18, lambda _: True)) == list(range(18))


def test_without_a_wish_for_more_there_are_those_of_the_beginning() -> None:
    asked: list[int] = []

    def never(threads: int) -> bool:
        asked.append(threads)
        return False

    assert sorted(done(at_once(2), 20, never)) == list(range(20))
    assert set(asked) <= {1, 2}


def test_no_more_threads_are_added_than_items_are_left() -> None:
    asked: list[int] = []

    def always(threads: int) -> bool:
        asked.append(threads)
        return True

    assert sorted(done(at_once(3), 3, always)) == [0, 1, 2]
    assert max(asked) < 3
