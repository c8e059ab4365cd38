"""Asking for a link by mail: the answer is the same whether somebody is known by the address or not."""

from collections.abc import Callable

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.access.links import Door
from billing_pipeline.web.pages.rendering import page
from billing_pipeline.web.pages.sessions import DoorOfPages, read_fields
from billing_pipeline.web.rates import RateLimits

MailLinks = Callable[[Door, str], None]
"""Mails a link to whoever is known at a door by an address."""
ASKED_PER_MINUTE = 30
"""How often may be asked from one address of the network; five times at once."""


class Asking:
    """The form, and what is said when it was sent."""

    def __init__(self, door: DoorOfPages, mail: MailLinks) -> None:
        self._door = door
        self._mail = mail
        self._rates = RateLimits(ASKED_PER_MINUTE)

    def form(self, request: Request) -> Response:
        """Where the address is typed."""
        return self._page(request)

    async def ask(self, request: Request) -> Response:
        """Mail the link after the answer, so that its time tells nobody who is known here."""
        fields = await read_fields(request)
        if fields is None:
            return self._door.closed(request, "form_refused", status=403)
        if not self._rates.take(request.client.host if request.client else "").allowed:
            return self._page(request, status=429, says="asked_too_often")
        answer = self._page(request, says="link_asked")
        answer.background = BackgroundTask(self._mail, self._door.door, fields.get("email", "")[:320])
        return answer

    def _page(self, request: Request, *, status: int = 200, says: str = "") -> Response:
        return page(
            "ask.html",
            self._door.stranger(request),
            status=status,
            frame_ancestors=self._door.frame_ancestors,
            says=says,
            door=self._door.door,
        )
