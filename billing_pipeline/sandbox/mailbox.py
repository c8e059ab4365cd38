"""A mailbox for whoever tries things out: mails that became files, as pages.

Links that let somebody in are among them. So it is for this machine alone: a site whose name was pointed at this
address (DNS rebinding) is refused, and what a mail holds runs no script and asks no server for anything.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from billing_pipeline.settings import SettingsError

NEWEST = 200
"""So many mails are listed."""
HOSTS = ("127.0.0.1", "localhost")
_PAGE = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_MAIL = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail. `text` and `html` say the same; `html` None: it has none."""

    key: str
    written_at: datetime
    sender: str
    to: str
    subject: str
    text: str
    html: str | None


def mails(folder: Path) -> list[Mail]:
    """The newest mails of a folder, the newest first; none where there is no folder."""
    files = sorted(folder.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return [_read(file) for file in files[:NEWEST]]


def mail_of(folder: Path, key: str) -> Mail | None:
    """The mail of that key, which is the name of its file; None: there is none."""
    return next((_read(file) for file in folder.glob("*.eml") if file.stem == key), None)


def _read(file: Path) -> Mail:
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    return Mail(
        key=file.stem,
        written_at=datetime.fromtimestamp(file.stat().st_mtime, UTC),
        sender=str(message["From"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        text=_part(message, "plain") or "",
        html=_part(message, "html"),
    )


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content())


def create_app(folder: Path) -> ASGIApp:
    """The pages of a folder of mails."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "mailbox_pages"), autoescape=True, undefined=StrictUndefined
    )

    def page(name: str, status: int = 200, **values: object) -> Response:
        return _answer(templates.get_template(name).render(values), _PAGE, status)

    def listed(_: Request) -> Response:
        return page("mailbox.html", mails=mails(folder), newest=NEWEST)

    def shown(request: Request) -> Response:
        mail = mail_of(folder, request.path_params["key"])
        return page("mail.html", 200 if mail else 404, mail=mail)

    def rendered(request: Request) -> Response:
        mail = mail_of(folder, request.path_params["key"])
        return page("mail.html", 404, mail=None) if mail is None or mail.html is None else _answer(mail.html, _MAIL)

    return Starlette(
        routes=[
            Route("/", listed),
            Mount("/pages", StaticFiles(packages=[("billing_pipeline.web.pages", "static")])),
            Route("/{key}", shown),
            Route("/{key}/html", rendered),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(HOSTS), www_redirect=False)],
    )


def serve(folder: Path, port: int) -> None:
    """Serve the mails of a folder on 127.0.0.1 until Ctrl-C or SIGTERM.

    Raises:
        SettingsError: the port cannot be listened on.
    """
    try:
        listener = socket.create_server((HOSTS[0], port))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise SettingsError(f"port {port} on {HOSTS[0]} cannot be listened on: {why}") from None
    with listener:
        uvicorn.Server(uvicorn.Config(create_app(folder), log_level="warning", access_log=False)).run([listener])


def _answer(html: str, content_policy: str, status: int = 200) -> Response:
    headers: Mapping[str, str] = {
        "Content-Security-Policy": content_policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(html, status, headers)
