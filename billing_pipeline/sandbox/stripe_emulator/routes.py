"""How a resource says which operations it has: method, path, the SDK's parameter type, what of it is implemented.

Each resource module ends with its `ROUTES`; `operations` puts them together. Retrieving and plain lists are the
same for every kind of object, so they are written once, here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .indexing import Body
from .listing import Page, equals, page
from .work import Work

Operation = Callable[..., Any]
PAGING = "limit starting_after ending_before"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API. ``supported`` are dotted parameter names; `expand` always is."""

    method: str
    path: str
    params: str
    run: Operation
    supported: frozenset[str]

    @property
    def name(self) -> str:
        """How people write it: ``POST /v1/invoices/:invoice/pay``."""
        return f"{self.method} {self.path}"


def route(method: str, path: str, params: str, run: Operation, supported: str = "") -> Route:
    """An operation; ``params`` is the name in ``stripe.params`` without its ending."""
    return Route(method, path, f"{params}Params", run, frozenset(supported.split()) | {"expand"})


def list_route(path: str, params: str, run: Operation, supported: str = "created") -> Route:
    """A list with filters of its own; paging always is supported."""
    return route("GET", path, params, run, f"{PAGING} {supported}")


def retrieving(path: str, params: str, kind: str, *, tombstones: bool = False) -> Route:
    """``GET /v1/things/:thing``: the stored object as it is, or Stripe's 404."""

    def retrieve(work: Work, params: Body, **ids: str) -> str:
        del params
        (object_id,) = ids.values()
        return work.store.text(kind, object_id, tombstones=tombstones)

    return route("GET", path, params, retrieve)


def listing(path: str, params: str, kind: str, **columns: str) -> Route:
    """``GET /v1/things``, newest first; ``columns`` are its filters: ``customer="customer", invoice="parent"``."""

    def list_all(work: Work, params: Body) -> Page:
        return page(work, kind, params, path, equals(params, **columns))

    return list_route(path, params, list_all, " ".join(["created", *columns]))
