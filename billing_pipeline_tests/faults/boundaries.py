"""The numbered boundaries around every write and call of a charging run, and how a process dies at one of them.

Writes are found in the statements that the engine sends, calls in the StripeApi. `during` a call the process dies at
some moment between sending and answer, so whether it took effect is for nobody to know.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event

_CALLS = ("create_customer", "create_invoice", "add_lines", "finalize_invoice", "pay_invoice")
_CHANGES = ("begin", "drafted", "lines_added", "finalized", "paid", "refused")
BOUNDARIES: tuple[str, ...] = (
    "before draws",
    "after draws",
    "before finalise",
    "after finalise",
    "before list_customers",
    "after list_customers",
    *(f"{when} {call}" for call in _CALLS for when in ("before", "during", "after")),
    "before customer",
    "after customer",
    "before list_invoices",
    "after list_invoices",
    "after lock",
    *(f"{when} {change}" for change in _CHANGES for when in ("before", "after")),
    "before unlock",
)
"""By number, from 0. A change is named by the state that is written; `begin` writes the customer before any call, and
`draws` are those of prepaid credits, in the transaction of `finalise`."""

_LISTS = ("list_customers", "list_invoices")
_COMMITS = {"UPDATE billing.invoice_numbering": "finalise", "UPDATE billing.customers": "customer"}
CALL_S = 0.012


@dataclass(frozen=True)
class Course:
    """What a run does that has boundaries: calls, calls that list, and commits and changes told by their statements."""

    boundaries: tuple[str, ...]
    calls: tuple[str, ...]
    lists: tuple[str, ...]
    commits: Mapping[str, str]
    change: Callable[[str, Any], str | None]


class Trap:
    """Kills the process at the `hit`-th time it gets to a boundary; None: never."""

    def __init__(self, boundary: int | None, hit: int = 1, seed: int = 0, course: Course | None = None) -> None:
        self.course = course or CHARGING
        self._boundary = self.course.boundaries[boundary] if boundary is not None else None
        self._left = hit
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._transaction = threading.local()

    def reach(self, boundary: str) -> None:
        if boundary == self._boundary and self._last():
            self._die()

    def _last(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0

    def _die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, engine: Engine) -> None:
        """Reach the boundaries of the writes."""
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        commit = engine.dialect.do_commit

        def committing(connection: Any) -> None:
            name = getattr(self._transaction, "name", None)
            self._transaction.name = None
            if name:
                self.reach(f"before {name}")
            commit(connection)
            if name:
                self.reach(f"after {name}")

        setattr(engine.dialect, "do_commit", committing)  # noqa: B010 - mypy takes a method for fixed

    def _before(self, _c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        for written, name in self.course.commits.items():
            if written in statement:
                self._transaction.name = name
        if "pg_advisory_unlock" in statement:
            self.reach("before unlock")
        if change := self.course.change(statement, parameters):
            self.reach(f"before {change}")

    def _after(self, _c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "pg_try_advisory_lock" in statement:
            self.reach("after lock")
        if change := self.course.change(statement, parameters):
            self.reach(f"after {change}")

    def around(self, api: Any) -> Any:
        """The API whose calls reach their boundaries."""
        return _Trapped(api, self)

    def call(self, name: str, send: Callable[[], Any]) -> Any:
        self.reach(f"before {name}")
        if self._boundary == f"during {name}" and self._last():
            threading.Thread(target=self._die_soon, daemon=True).start()
        answer = send()
        self.reach(f"after {name}")
        return answer

    def _die_soon(self) -> None:
        time.sleep(self._random.uniform(0, CALL_S))
        self._die()


class _Trapped:
    def __init__(self, api: Any, trap: Trap) -> None:
        self._api = api
        self._trap = trap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        if name in self._trap.course.calls:
            return lambda *arguments, **options: self._trap.call(name, lambda: found(*arguments, **options))
        if name in self._trap.course.lists:
            return lambda *arguments: iter(self._trap.call(name, lambda: list(found(*arguments))))
        return found


def _change(statement: str, parameters: Any) -> str | None:
    """The change that the statement makes to a charge, or to the ledger of credits."""
    if "billing.draw_credits" in statement:
        return "draws"
    if "UPDATE billing.stripe_charges AS c" not in statement or not isinstance(parameters, dict):
        return None
    if parameters["action"] == "charge.begin":
        return "begin"
    return str(parameters["state"]) if parameters["state"] != parameters["from_state"] else None


CHARGING = Course(BOUNDARIES, _CALLS, _LISTS, _COMMITS, _change)
