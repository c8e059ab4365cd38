"""What those who operate the process ask, without a token: whether it lives, whether it can work, what it did."""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response

from billing_pipeline.web.api.metrics import Metrics
from billing_pipeline.web.api.permission import Books

router = APIRouter(tags=["operating"])


@router.get("/healthz", response_class=PlainTextResponse, summary="Whether the process answers")
async def healthz() -> str:
    """200: it does."""
    return "ok\n"


@router.get("/readyz", response_class=PlainTextResponse, summary="Whether the database answers")
async def readyz(warehouse: Books) -> str:
    """200: it does; 503: it does not."""
    await run_in_threadpool(warehouse.scalar, "SELECT 1")
    return "ready\n"


@router.get("/metrics", response_class=PlainTextResponse, summary="Counters for Prometheus")
async def metrics(request: Request) -> Response:
    """Requests by route and status, and the time that they took."""
    counters: Metrics = request.app.state.metrics
    return PlainTextResponse(counters.text(), media_type="text/plain; version=0.0.4")
