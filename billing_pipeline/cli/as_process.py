"""How a command lives as a process: its files are its owner's alone, and it ends in order when it is told to end."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PRIVATE = 0o077
"""What others may not do with what a command writes: anything."""
ENDING = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def orderly() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that is closed, end the block as an error would: what it started ends with it.

    The exit status is 128 and the signal's number, as a shell reports it, whatever fails while it ends: a connection
    that is cut off in the middle of a statement cannot be rolled back, and the server does that by itself. Whoever
    ignored a signal, as `nohup` does, goes on to ignore it; servers that handle it themselves do.
    """
    told: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        # once is enough: what is being ended is not to be cut off, nor is the server that stops when the process exits
        told.append(number)
        # a level, which the loggers of the pools below it take over: they do not ask whether this one is disabled
        logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL + 1)
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    mask = os.umask(PRIVATE)
    is_main = threading.current_thread() is threading.main_thread()
    handled = [number for number in ENDING if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, end)
    try:
        yield
    except Exception:
        if told:
            raise SystemExit(128 + told[0]) from None
        raise
    finally:
        os.umask(mask)
        # Dagster, too, sets SIGTERM's, and leaves it: to be ignored where SIGINT is
        for number in handled if not told else ():
            signal.signal(number, signal.SIG_DFL)
