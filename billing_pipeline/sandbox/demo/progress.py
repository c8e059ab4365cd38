"""Where the demo is: a live display on a terminal, a line a step otherwise."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

POLL_S = 0.5

Count = Callable[[], tuple[int, int]]
"""Done so far, and how many there are."""


class Steps:
    """Announces the steps of a run of `total` steps."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._number = 0
        self._started = time.monotonic()

    @contextmanager
    def step(self, title: str, count: Count | None = None) -> Iterator[Callable[[str], None]]:
        """A step; call what it yields with what came of it. `count` feeds a bar while the step runs."""
        self._number += 1
        label = f"[{self._number}/{self._total}] {title}"
        said: list[str] = []
        with _display(self._console, label, count):
            yield said.append
        seconds = time.monotonic() - self._started
        text = f"{label}: {', '.join(said)}" if said else label
        self._console.print(f"{text}  ({seconds:.1f} s)", markup=False, highlight=False)


@contextmanager
def _display(console: Console, label: str, count: Count | None) -> Iterator[None]:
    if not console.is_terminal:
        yield
        return
    columns = [SpinnerColumn(), TextColumn("{task.description}")]
    bar = [BarColumn(), MofNCompleteColumn()] if count else []
    with Progress(*columns, *bar, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task(escape(label), total=None)
        if count is None:
            yield
            return
        with _watched(progress, task, count):
            yield


@contextmanager
def _watched(progress: Progress, task: TaskID, count: Count) -> Iterator[None]:
    stop = Event()

    def watch() -> None:
        while not stop.wait(POLL_S):
            done, total = count()
            progress.update(task, completed=done, total=total or None)

    thread = Thread(target=watch, name="demo-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
