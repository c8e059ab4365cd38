"""Finding the operation behind a URL; the operations themselves are the table in `operations`."""

from __future__ import annotations

from .operations import ROUTES
from .routes import Route

_BY_SHAPE: dict[tuple[str, int, str], list[tuple[list[str], Route]]] = {}
for _route in ROUTES:
    _names = _route.path.split("/")
    _BY_SHAPE.setdefault((_route.method, len(_names), _names[2]), []).append((_names, _route))


def match(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The operation behind a URL, and the ids in it."""
    segments = path.split("/")
    if len(segments) < 3 or "" in segments[1:]:
        return None
    for names, route in _BY_SHAPE.get((method, len(segments), segments[2]), []):
        pairs = list(zip(names, segments, strict=True))
        if all(name == segment or name.startswith(":") for name, segment in pairs):
            return route, {name[1:]: segment for name, segment in pairs if name.startswith(":")}
    return None
