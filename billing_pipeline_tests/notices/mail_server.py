"""A real SMTP server on 127.0.0.1, which keeps what it took and does what a test tells it to do at a step."""

import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billing_pipeline.settings.notices import SmtpServer

HANG_UP = "hang up"


class MailServer(socketserver.ThreadingTCPServer):
    """Takes mail. `answers`: step (a command, or `taken` for the answer to the final dot) -> what it says instead, once each."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        tls_at_once: bool = False,
        port: int = 0,
        session: type["Session"] | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), session or Session)
        self.context = context
        self.tls_at_once = tls_at_once
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, list[str]] = {}
        self.logins: list[str] = []
        self.connections = 0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up, or trusts nobody, is what tests are about."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def settings(self, scheme: str = "smtp+plain", user: str | None = None, password: str | None = None) -> SmtpServer:
        return SmtpServer(scheme, "127.0.0.1", self.port, user, password)

    def to(self, address: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["To"] == address]


class Session(socketserver.StreamRequestHandler):
    server: MailServer

    def _encrypt(self) -> None:
        assert self.server.context is not None
        self.rfile.close()
        self.request = self.server.context.wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        self.request.do_handshake()
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
        self._secure = True

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.request.close()

    def handle(self) -> None:
        self.server.connections += 1
        self._secure = False
        try:
            if self.server.tls_at_once:
                self._encrypt()
            if self._say("connect", "220 ready"):
                while (line := self.rfile.readline()) and self._command(line.decode().strip()):
                    pass
        except OSError:
            pass

    def _say(self, step: str, answer: str) -> bool:
        planned = self.server.answers.get(step)
        answer = planned.pop(0) if planned else answer
        if answer == HANG_UP:
            self.request.shutdown(socket.SHUT_RDWR)
            return False
        self.wfile.write(answer.encode() + b"\r\n")
        return True

    def _command(self, line: str) -> bool:
        verb = line.split(" ")[0].upper()
        if verb in ("EHLO", "HELO"):
            offers = ["AUTH PLAIN LOGIN"] if self._secure else ["STARTTLS"] if self.server.context else []
            return self._say(
                verb, "\r\n".join(["250-127.0.0.1", *(f"250-{offer}" for offer in offers), "250 8BITMIME"])
            )
        if verb == "STARTTLS" and self.server.context:
            self._say(verb, "220 go")
            self._encrypt()
            return True
        if verb == "AUTH":
            self.server.logins.append(line)
            return self._say(verb, "235 welcome")
        if verb == "DATA":
            if not self._say(verb, "354 go on"):
                return False
            content = b""
            while not content.endswith(b"\r\n.\r\n"):
                more = self.rfile.readline()
                if not more:
                    return False
                content += more
            answer = (self.server.answers.get("taken") or ["250"])[0]
            if answer.startswith("250") or answer == HANG_UP:
                self.server.mails.append(message_from_bytes(content[:-5], policy=policy.default))
            return self._say("taken", "250 taken")
        if verb == "QUIT":
            self._say(verb, "221 bye")
            return False
        return self._say(verb, "250 ok")


@contextmanager
def running_mail_server(context: ssl.SSLContext | None = None, *, tls_at_once: bool = False) -> Iterator[MailServer]:
    with MailServer(context, tls_at_once=tls_at_once) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own for 127.0.0.1, and a client's that trusts it."""

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, secret)
    return server, ssl.create_default_context(cafile=str(chain))
