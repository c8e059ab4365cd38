"""A link into the console or portal: a look at it changes nothing, the button on its page uses it up.

Mail servers and programs open the links of mails to look at them: whoever only looks must not use one up.
"""

from starlette.requests import Request
from starlette.responses import Response

from billing_pipeline.access.links import owner_of_link, sign_in
from billing_pipeline.web.pages.rendering import page
from billing_pipeline.web.pages.sessions import DoorOfPages, is_own


class Entering:
    """The page behind a link, and its button."""

    def __init__(self, door: DoorOfPages) -> None:
        self._door = door

    def look(self, request: Request) -> Response:
        """Whom the link lets in, and the button."""
        owner = owner_of_link(self._door.warehouse, self._door.door, request.path_params["link"])
        if owner is None:
            return self._door.closed(request, "link_used")
        return page(
            "enter.html",
            self._door.stranger(request),
            frame_ancestors=self._door.frame_ancestors,
            owner=owner,
        )

    def enter(self, request: Request) -> Response:
        """Use the link up: it opens a session of its own, whoever was signed in before."""
        if not is_own(request):
            return self._door.closed(request, "form_refused", status=403)
        secret = sign_in(self._door.warehouse, self._door.door, request.path_params["link"])
        return self._door.closed(request, "link_used") if secret is None else self._door.let_in(secret)
