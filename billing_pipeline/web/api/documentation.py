"""The document and a page made of it: from our own files, without a script and without another host."""

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from billing_pipeline.web.api.openapi import complete

PAGES = Path(__file__).parent / "pages"
router = APIRouter(tags=["documentation"])


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return JSONResponse(_document(request))


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The same for people."""
    return HTMLResponse(_page(_document(request)))


@router.get("/docs.css")
async def style() -> Response:
    """How the page looks."""
    return FileResponse(PAGES / "docs.css", media_type="text/css")


def _document(request: Request) -> dict[str, Any]:
    kept: dict[str, Any] | None = getattr(request.app.state, "document", None)
    if kept is None:
        kept = request.app.state.document = complete(request.app.openapi())
    return kept


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(PAGES), autoescape=True)


def _page(document: dict[str, Any]) -> str:
    return _templates().get_template("docs.html.j2").render(api=document)
