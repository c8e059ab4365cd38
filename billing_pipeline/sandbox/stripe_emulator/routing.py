"""Finding the operation behind a URL; the operations themselves are the table in `operations`."""

from __future__ import annotations

from .operations import ROUTES
from .routes import Route

_BY_SHAPE: dict[tuple[str, tuple[str | None, ...]], Route] = {
    (route.method, tuple(None if s.startswith(":") else s for s in route.path.split("/"))): route for route in ROUTES
}


def match(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The operation behind a URL, and the ids in it (every second segment after the collection)."""
    segments = path.split("/")
    shape = tuple(None if i >= 3 and i % 2 == 1 else segment for i, segment in enumerate(segments))
    route = _BY_SHAPE.get((method, shape))
    if route is None or "" in segments[1:]:
        return None
    names = route.path.split("/")
    return route, {name[1:]: value for name, value in zip(names, segments, strict=True) if name.startswith(":")}
