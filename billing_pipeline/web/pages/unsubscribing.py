"""The page that a mail's unsubscribe link leads to; a mail program may post to it without showing it (RFC 8058)."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from billing_pipeline.core.errors import NotFound
from billing_pipeline.notices.choices import unsubscribable, unsubscribe
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.pages.rendering import Reader, page
from billing_pipeline.web.pages.words import language_for


class Unsubscribing:
    """Nobody signs in: whoever has the mail has the key. Looking changes nothing, a POST does."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def show(self, request: Request) -> Response:
        """What would be ended, and a button."""
        try:
            kind, _, email = unsubscribable(self._warehouse, request.path_params["key"])
        except NotFound:
            return _page(request, "unsubscribe_unknown", 404)
        return _page(request, "unsubscribe_asks", kind=kind, email=email, asks=True)

    def end(self, request: Request) -> Response:
        """It is ended; doing it twice is no mistake."""
        try:
            kind, email = unsubscribe(self._warehouse, request.path_params["key"])
        except NotFound:
            return _page(request, "unsubscribe_unknown", 404)
        return _page(request, "unsubscribe_done", kind=kind, email=email)


def _page(
    request: Request, says: str, status: int = 200, *, kind: str = "", email: str = "", asks: bool = False
) -> HTMLResponse:
    reader = Reader(language_for(None, request.headers.get("accept-language", "")))
    return page("unsubscribe.html", reader, status=status, says=says, kind=kind, email=email, asks=asks)
