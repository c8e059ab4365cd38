"""Who looks at a page: the cookie, the form's token, and what happens to those who may not."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias
from urllib.parse import parse_qsl, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from billing_pipeline.access.links import Door, Session, session_of, sign_out
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.web.pages.rendering import Reader, page
from billing_pipeline.web.pages.words import language_for

FORM_MAX_BYTES = 64 * 1024
NOT_KEPT = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
"""Of answers whose address or content holds a secret."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in. `csrf`: what a form of theirs has to carry, so that no other site can send it."""

    session: Session
    csrf: str


Fields: TypeAlias = Mapping[str, str]
Page: TypeAlias = Callable[[Request, Visitor], Response]
Change: TypeAlias = Callable[[Request, Visitor, Fields], Response]


@dataclass(frozen=True, slots=True)
class DoorOfPages:
    """One of the two sets of pages: where it is, and what lets a browser in and out.

    `secure`: whether its address is https, so that the cookie travels by nothing else. `frame_ancestors`: which sites
    may show it in a frame. `ways`: addresses where people can let themselves in, each with the key of its words.
    """

    warehouse: Warehouse
    door: Door
    secure: bool
    frame_ancestors: str = "'none'"
    ways: tuple[tuple[str, str], ...] = ()

    @property
    def root(self) -> str:
        """Its address, such as `/console`."""
        return f"/{self.door}"

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return f"billing_{self.door}"

    def let_in(self, secret: str) -> Response:
        """To the first page, with the cookie of a session that was opened just now."""
        response = RedirectResponse(f"{self.root}/", 303, NOT_KEPT)
        self.set_cookie(response, self.cookie, secret, self.root, httponly=True)
        return response

    def set_cookie(self, response: Response, name: str, value: str, path: str, *, httponly: bool = False) -> None:
        """A cookie that comes back in a frame, too, where frames are let: `Partitioned`, one for each site around it.

        Browsers that block the cookies of other sites keep those (CHIPS). Starlette writes it from Python 3.14 on.
        """
        framed = self.secure and self.frame_ancestors != "'none'"
        response.set_cookie(
            name, value, httponly=httponly, secure=self.secure, samesite="none" if framed else "lax", path=path
        )
        if framed:
            key, cookie = response.raw_headers[-1]
            response.raw_headers[-1] = (key, cookie + b"; Partitioned")

    def leave(self, request: Request) -> Response:
        """Sign out."""
        if secret := request.cookies.get(self.cookie):
            sign_out(self.warehouse, secret)
        response = self.closed(request, "signed_out", status=200)
        self.set_cookie(response, self.cookie, "", self.root, httponly=True)
        return response

    def closed(self, request: Request, why: str, status: int = 401) -> Response:
        """The page for those who are not signed in; of the portal in the language that they read it in."""
        return page(
            "closed.html",
            self.stranger(request),
            status=status,
            frame_ancestors=self.frame_ancestors,
            why=why,
            ways=self.ways,
        )

    def stranger(self, request: Request) -> Reader:
        """Whom a page is for that nobody is signed in to."""
        return Reader() if self.door == "console" else reader_of(request, None, "UTC")

    def visitor(self, request: Request) -> Visitor | None:
        """Who asks; None if nobody is signed in."""
        secret = request.cookies.get(self.cookie)
        session = session_of(self.warehouse, self.door, secret) if secret else None
        if secret is None or session is None:
            return None
        return Visitor(session, hmac.new(secret.encode(), b"form", sha256).hexdigest())

    def shown_to(self, shown: Page) -> Callable[[Request], Response]:
        """The page for visitors alone."""

        def guarded(request: Request) -> Response:
            visitor = self.visitor(request)
            return shown(request, visitor) if visitor else self.closed(request, "signed_out")

        return guarded

    def changed_by(
        self, change: Change, form_max_bytes: int = FORM_MAX_BYTES
    ) -> Callable[[Request], Awaitable[Response]]:
        """What a form does: for visitors alone, and only from our own page."""

        async def guarded(request: Request) -> Response:
            visitor = await run_in_threadpool(self.visitor, request)
            if visitor is None:
                return self.closed(request, "signed_out")
            fields = await read_form(request, visitor.csrf, form_max_bytes)
            if fields is None:
                return self.closed(request, "form_refused", status=403)
            return await run_in_threadpool(change, request, visitor, fields)

        return guarded


def is_own(request: Request) -> bool:
    """Whether a form was not sent by another site's page, as far as the browser says where it comes from."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def read_form(request: Request, csrf: str, max_bytes: int = FORM_MAX_BYTES) -> dict[str, str] | None:
    """The form's fields; None if it does not come from our own page."""
    fields = await read_fields(request, max_bytes)
    return fields if fields is not None and hmac.compare_digest(fields.pop("csrf", ""), csrf) else None


async def read_fields(request: Request, max_bytes: int = FORM_MAX_BYTES) -> dict[str, str] | None:
    """The fields of a form that needs no session; None if it does not come from our own page, or is none."""
    if not is_own(request):
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            return None
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        return None


def reader_of(request: Request, language: str | None, timezone: str) -> Reader:
    """Whom the page is for: the language that was clicked, the customer's own, or the browser's."""
    asked = request.query_params.get("lang") or request.cookies.get("billing_language") or language
    return Reader(language_for(asked, request.headers.get("accept-language", "")), timezone)
