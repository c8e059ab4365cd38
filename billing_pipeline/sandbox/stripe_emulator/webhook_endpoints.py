"""Webhook endpoints. Targets must be on this machine: the emulator never talks to the network."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from .errors import invalid
from .indexing import Body
from .listing import Page, page
from .routes import list_route, retrieving, route
from .store import new_id
from .work import Work, merged_metadata


def _check_target(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if parts.scheme not in {"http", "https"} or not loopback:
        raise invalid(
            f"Invalid URL: the Stripe emulator only delivers to loopback addresses, not to {url}",
            code="url_invalid",
            param="url",
        )
    if parts.scheme == "https":
        raise invalid("Invalid URL: the Stripe emulator delivers over plain http.", code="url_invalid", param="url")


def create(work: Work, params: Body) -> Body:
    """POST /v1/webhook_endpoints; the signing secret is in this answer only."""
    _check_target(params["url"])
    if not params["enabled_events"]:
        raise invalid("You must enable at least one event.", param="enabled_events")
    secret = new_id("whsec", 32)
    body = {
        "id": new_id("we"),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version"),
        "application": None,
        "created": work.now,
        "description": params.get("description") or None,
        "enabled_events": params["enabled_events"],
        "livemode": False,
        "metadata": merged_metadata(None, params.get("metadata")),
        "status": "enabled",
        "url": params["url"],
    }
    work.create(body, private={"secret": secret})
    return body | {"secret": secret}


def update(work: Work, params: Body, webhook_endpoint: str) -> Body:
    """POST /v1/webhook_endpoints/:id."""
    before = work.store.get("webhook_endpoint", webhook_endpoint)
    after = before | {name: params[name] for name in ("enabled_events", "url") if name in params}
    _check_target(after["url"])
    if "description" in params:
        after["description"] = params["description"] or None
    if "disabled" in params:
        after["status"] = "disabled" if params["disabled"] else "enabled"
    after["metadata"] = merged_metadata(before["metadata"], params.get("metadata"))
    return work.update(before, after)


def delete(work: Work, params: Body, webhook_endpoint: str) -> Body:
    """DELETE /v1/webhook_endpoints/:id; what it has not been sent yet is not sent any more."""
    del params
    work.store.get("webhook_endpoint", webhook_endpoint)
    work.store.delete(webhook_endpoint)
    work.connection.execute("DELETE FROM deliveries WHERE endpoint_id = ? AND state = 'pending'", (webhook_endpoint,))
    return {"id": webhook_endpoint, "object": "webhook_endpoint", "deleted": True}


def list_all(work: Work, params: Body) -> Page:
    """GET /v1/webhook_endpoints."""
    return page(work, "webhook_endpoint", params, "/v1/webhook_endpoints")


ALL, ONE = "/v1/webhook_endpoints", "/v1/webhook_endpoints/:webhook_endpoint"
ROUTES = (
    route("POST", ALL, "WebhookEndpointCreate", create, "url enabled_events api_version description metadata"),
    list_route(ALL, "WebhookEndpointList", list_all, ""),
    retrieving(ONE, "WebhookEndpointRetrieve", "webhook_endpoint"),
    route("POST", ONE, "WebhookEndpointUpdate", update, "url enabled_events description disabled metadata"),
    route("DELETE", ONE, "WebhookEndpointDelete", delete),
)
