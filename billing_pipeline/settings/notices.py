"""How customers are told: the mail server, the sender, the words."""

import ipaddress
from dataclasses import dataclass, field
from email.utils import parseaddr
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from billing_pipeline.settings.environment import SettingsError, text_or_none

_PORTS = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
LANGUAGES = ("en", "de", "ar")
"""Languages with words of their own in the package; a company's folder may have more."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails are handed over. `scheme`: smtps (TLS at once), smtp (STARTTLS, or nothing), smtp+plain (no TLS)."""

    scheme: str
    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoticeSettings:
    """What sending needs."""

    smtp: SmtpServer | None
    """BILLING_SMTP_URL: `smtps://user:password@host` (TLS from the first byte) or `smtp://…` (STARTTLS, required);
    `smtp+plain://` for a server on this machine. Unset: mails become files in the state folder's `mail`."""
    sender: str
    """BILLING_MAIL_FROM: who the mails are from, such as `Lyceum Billing <billing@example.com>`."""
    templates: Path | None
    """BILLING_NOTICE_TEMPLATES: a folder with words and layouts of a company's own, which come before the package's."""
    language: str
    """BILLING_LANGUAGE: the language of customers who have none, or one without words; default en."""
    dunning_policy: Path | None
    """BILLING_DUNNING_POLICY: a file with the steps that follow from an unpaid invoice. Unset: the packaged one."""
    portal_url: str | None
    """BILLING_PORTAL_URL: where a customer can pay and change the payment method; mails link to it."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        folder = text_or_none("BILLING_NOTICE_TEMPLATES")
        smtp = _smtp_server(text_or_none("BILLING_SMTP_URL"))
        if smtp is not None and text_or_none("BILLING_MAIL_FROM") is None:
            raise SettingsError("BILLING_MAIL_FROM: expected who mails are from, since BILLING_SMTP_URL is set")
        if folder is not None and not Path(folder).is_dir():
            raise SettingsError(f"BILLING_NOTICE_TEMPLATES={folder!r}: expected a folder, found none")
        return cls(
            smtp=smtp,
            sender=_sender(text_or_none("BILLING_MAIL_FROM") or "Billing <billing@localhost>"),
            templates=Path(folder) if folder is not None else None,
            language=(text_or_none("BILLING_LANGUAGE") or "en").lower(),
            dunning_policy=Path(policy) if (policy := text_or_none("BILLING_DUNNING_POLICY")) else None,
            portal_url=_https("BILLING_PORTAL_URL"),
        )


def _smtp_server(url: str | None) -> SmtpServer | None:
    """The URL holds a password, so a mistake is said without it."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError("BILLING_SMTP_URL: not a URL, expected smtps://user:password@host") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError("BILLING_SMTP_URL: expected smtps://user:password@host or smtp://user:password@host:587")
    if parts.scheme == "smtp+plain" and not _is_local(parts.hostname):
        raise SettingsError(
            "BILLING_SMTP_URL: smtp+plain is for a server on this machine; expected smtps:// or smtp://"
        )
    if (parts.username is None) != (parts.password is None):
        raise SettingsError("BILLING_SMTP_URL: expected a user and a password, or neither")
    return SmtpServer(
        parts.scheme,
        parts.hostname,
        port or _PORTS[parts.scheme],
        unquote(parts.username) if parts.username is not None else None,
        unquote(parts.password) if parts.password is not None else None,
    )


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _sender(value: str) -> str:
    _, address = parseaddr(value)
    local, _, domain = address.rpartition("@")
    if not local or not domain or not value.isprintable():
        raise SettingsError(f"BILLING_MAIL_FROM={value!r}: expected an address such as Billing <billing@example.com>")
    return value


def _https(name: str) -> str | None:
    url = text_or_none(name)
    if url is not None and not (
        url.startswith(("https://", "http://127.0.0.1", "http://localhost")) and url.isprintable()
    ):
        raise SettingsError(f"{name}={url!r}: expected an https:// address")
    return url
