"""Into the console by the company's own identity provider: two addresses, and a cookie between them."""

import secrets

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing_pipeline.access.identity_provider import ProviderAway
from billing_pipeline.access.links import open_session
from billing_pipeline.access.provider_sign_in import ProviderSignIn
from billing_pipeline.web.pages.sessions import NOT_KEPT, DoorOfPages

PATH = "/console/oidc"
COOKIE = "billing_oidc"
LASTS_S = 600
"""So long somebody may take at the provider."""


class ProviderEntering:
    """To the provider, and back."""

    def __init__(self, door: DoorOfPages, sign_in: ProviderSignIn) -> None:
        self._door = door
        self._sign_in = sign_in

    def begin(self, request: Request) -> Response:
        """To the provider."""
        secret = secrets.token_urlsafe(32)
        try:
            response = RedirectResponse(self._sign_in.address(secret), 303, NOT_KEPT)
        except ProviderAway:
            return self._door.closed(request, "provider_away", status=503)
        response.set_cookie(
            COOKIE, secret, max_age=LASTS_S, httponly=True, secure=self._door.secure, samesite="lax", path=PATH
        )
        return response

    def end(self, request: Request) -> Response:
        """Who came back has a session of the role that the provider vouches for, or is told that it does not."""
        given, secret = request.query_params, request.cookies.get(COOKIE)
        try:
            caller = self._sign_in.came_back(secret, given.get("state", ""), given.get("code", "")) if secret else None
        except ProviderAway:
            return self._door.closed(request, "provider_away", status=503)
        if caller is None:
            response = self._door.closed(request, "provider_refused", status=403)
        else:
            response = self._door.let_in(open_session(self._door.warehouse, caller.owner, caller.role))
        response.delete_cookie(COOKIE, path=PATH)
        return response
