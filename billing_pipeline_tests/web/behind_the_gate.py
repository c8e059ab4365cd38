"""Pages as people reach them: behind the gate of the API's server, which adds headers to every answer."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.api.gate import Gate
from billing_pipeline.web.api.metrics import Metrics
from billing_pipeline.web.rates import RateLimits


def behind_the_gate(routes: Sequence[BaseRoute], warehouse: Warehouse) -> ASGIApp:
    """What a server serves of these routes."""
    return Gate(Starlette(routes=list(routes)), warehouse, RateLimits(6000), Metrics())
