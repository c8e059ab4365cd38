"""Reading events: kept for 30 days by the emulator's clock. `work` writes them, `delivery` sends them."""

from __future__ import annotations

from .errors import invalid, missing
from .indexing import Body
from .listing import Page, page
from .routes import list_route, route
from .store import Filter
from .work import Work

KEPT_S = 30 * 86_400
TYPES_MAX = 20


def retrieve(work: Work, params: Body, event: str) -> Body:
    """GET /v1/events/:id."""
    del params
    found = work.store.get("event", event)
    if found["created"] < work.now - KEPT_S:
        raise missing("event", event)
    return found


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/events: by type (one, or up to 20; ``*`` ends a pattern), time, delivery."""
    if "type" in params and "types" in params:
        raise invalid("You may only specify one of these parameters: type, types.", param="types")
    types = [params["type"]] if "type" in params else params.get("types", [])
    if len(types) > TYPES_MAX:
        raise invalid(f"You can pass up to {TYPES_MAX} types.", param="types")
    filters: list[Filter] = [("created >= ?", work.now - KEPT_S)]
    if types:
        conditions = " OR ".join("tag GLOB ?" if name.endswith("*") else "tag = ?" for name in types)
        filters.append((f"({conditions})", tuple(types)))
    if "delivery_success" in params:
        undelivered = "EXISTS (SELECT 1 FROM deliveries d WHERE d.event_id = objects.id AND d.state <> 'delivered')"
        filters.append((f"{undelivered} = ?", int(not params["delivery_success"])))
    return page(work, "event", params, "/v1/events", filters)


ROUTES = (
    list_route("/v1/events", "EventList", list_all, "created type types delivery_success"),
    route("GET", "/v1/events/:event", "EventRetrieve", retrieve),
)
