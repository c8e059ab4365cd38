"""Whether a certificate that people and mails rely on ends soon: the pages', and the mail server's.

Each is looked at once an hour by a process, by a handshake alone: nothing is sent, and whether it is trusted is asked
by those who use it.
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

from cryptography.x509 import load_der_x509_certificate

from billing_pipeline.notices.rules.alert_policy import AlertPolicy
from billing_pipeline.notices.rules.alert_rules import Signal
from billing_pipeline.settings import Settings

RULE = "certificate_expires"
TIMEOUT_S = 5.0


def certificate_signals(settings: Settings, policy: AlertPolicy, now: datetime) -> tuple[list[Signal], bool]:
    """Those that end within the policy's days, or have ended; and whether all were looked at, so that no other does."""
    ends_before = now + timedelta(days=policy.threshold(RULE, "within_d"))
    found, complete = [], True
    for setting, host, port, starttls in _relied_on(settings):
        try:
            ends_at = _ends_at(host, port, starttls, now.replace(minute=0, second=0, microsecond=0))
        except (OSError, smtplib.SMTPException, ValueError):
            complete = False
            continue
        if ends_at < ends_before:
            found.append(Signal(RULE, f"{host}:{port}", example=f"{setting}, on {ends_at:%Y-%m-%d %H:%M} UTC"))
    return found, complete


def _relied_on(settings: Settings) -> Iterator[tuple[str, str, int, bool]]:
    """Setting, host, port, and whether TLS begins with STARTTLS."""
    pages = urlsplit(settings.pages.public_url)
    if pages.scheme == "https" and pages.hostname:
        yield "BILLING_PUBLIC_URL", pages.hostname, pages.port or 443, False
    smtp = settings.notices.smtp
    if smtp is not None and smtp.scheme != "smtp+plain":
        yield "BILLING_SMTP_URL", smtp.host, smtp.port, smtp.scheme == "smtp"


@lru_cache(maxsize=8)
def _ends_at(host: str, port: int, starttls: bool, hour: datetime) -> datetime:  # noqa: ARG001 - the key
    """When the certificate that the server shows ends. Raises if it shows none; only an answer is kept."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # one that has ended is read too
    if starttls:
        with smtplib.SMTP(host, port, timeout=TIMEOUT_S) as mail:
            mail.starttls(context=context)
            shown = mail.sock.getpeercert(binary_form=True) if isinstance(mail.sock, ssl.SSLSocket) else None
    else:
        with (
            socket.create_connection((host, port), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as encrypted,
        ):
            shown = encrypted.getpeercert(binary_form=True)
    if not shown:
        raise ValueError(f"{host}:{port} shows no certificate")
    return load_der_x509_certificate(shown).not_valid_after_utc
