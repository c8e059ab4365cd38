"""Mails over SMTP: one connection, letter after letter.

https://www.rfc-editor.org/rfc/rfc5321: a server that answers 250 after the final dot has taken the mail; one whose
answer is lost may have it. https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1: 4yz may pass later, 5yz does not.
"""

import smtplib
import ssl
from collections.abc import Callable

from billing_pipeline.notices.letters import Letter
from billing_pipeline.notices.senders import AnswerLost, NotTaken, SenderUnavailable
from billing_pipeline.settings.notices import SmtpServer

TIMEOUT_S = 30.0
_FAULTS = (OSError, smtplib.SMTPException)


class SmtpSender:
    """A mail server. The connection is made with the first letter, and again after it broke."""

    def __init__(
        self, server: SmtpServer, *, timeout_s: float = TIMEOUT_S, context: ssl.SSLContext | None = None
    ) -> None:
        self.server = server
        self._timeout_s = timeout_s
        self._context = context or ssl.create_default_context()
        self._connection: smtplib.SMTP | None = None

    def send(self, letter: Letter, edge: Callable[[], None]) -> None:
        """Hand the letter over."""
        connection = self._open()
        try:
            self._address(connection, letter)
        except _FAULTS as error:
            self._drop()
            raise SenderUnavailable(f"the mail server {self.server.host} hung up: {_said(error)}") from None
        try:
            edge()
        except Exception:
            self._reset(connection)
            raise
        try:
            code, answer = connection.data(letter.content)
        except smtplib.SMTPDataError as error:  # it did not want the first byte
            code, answer = error.smtp_code, error.smtp_error  # type: ignore[assignment] # bytes, whatever typeshed says
        except _FAULTS as error:
            self._drop()
            raise AnswerLost(f"the mail server {self.server.host} hung up before it answered: {_said(error)}") from None
        if code != 250:
            self._reset(connection)
            raise NotTaken(f"{code} {_text(answer)}", for_good=code >= 500)

    def close(self) -> None:
        """Say goodbye."""
        if self._connection is not None:
            try:
                self._connection.quit()
            except _FAULTS:
                self._drop()
            self._connection = None

    def _address(self, connection: smtplib.SMTP, letter: Letter) -> None:
        code, answer = connection.mail(letter.sender)
        if code == 421 or code >= 500:
            # said of whom the mails are from, or of the whole server: no other letter would fare better
            self._drop()
            raise SenderUnavailable(f"the mail server {self.server.host} takes no mail: {code} {_text(answer)}")
        if code != 250:
            self._reset(connection)
            raise NotTaken(f"{code} {_text(answer)}", for_good=False)
        code, answer = connection.rcpt(letter.recipient)
        if code not in (250, 251):
            self._reset(connection)
            raise NotTaken(f"{code} {_text(answer)}", for_good=code >= 500)

    def _open(self) -> smtplib.SMTP:
        if self._connection is not None:
            return self._connection
        server = self.server
        try:
            if server.scheme == "smtps":
                opened: smtplib.SMTP = smtplib.SMTP_SSL(
                    server.host, server.port, timeout=self._timeout_s, context=self._context
                )
            else:
                opened = smtplib.SMTP(server.host, server.port, timeout=self._timeout_s)
        except _FAULTS as error:
            raise SenderUnavailable(
                f"the mail server {server.host}:{server.port} cannot be reached: {_said(error)}"
            ) from None
        self._connection = opened
        try:
            if server.scheme == "smtp":
                opened.starttls(context=self._context)
            if server.user is not None:
                opened.login(server.user, server.password or "")
            opened.ehlo_or_helo_if_needed()
        except _FAULTS as error:
            self._drop()
            raise SenderUnavailable(f"the mail server {server.host} lets nobody in: {_said(error)}") from None
        return opened

    def _reset(self, connection: smtplib.SMTP) -> None:
        try:
            connection.rset()
        except _FAULTS:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _said(error: Exception) -> str:
    """What failed, without what was sent: an answer to a login may repeat it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"user and password are refused ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return str(error) or type(error).__name__


def _text(answer: bytes | str) -> str:
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())[:200]
