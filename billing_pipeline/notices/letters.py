"""A letter: a notice in the customer's words, as a mail. The same notice has the same Message-ID for ever."""

from binascii import b2a_qp
from dataclasses import dataclass, field
from datetime import datetime, time
from email.base64mime import body_encode
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from hashlib import sha256
from typing import Any

from billing_pipeline.notices.rules.sending import OFFICE, Hours


class AddressUnusable(ValueError):  # noqa: N818 - reads as what happened
    """A mail address that no mail can be sent to; the text says why."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice and its customer, as they are when it is sent."""

    notice_id: int
    kind: str
    fact: str
    recipient: str
    facts: dict[str, Any]
    written_at: datetime
    customer_id: str
    customer_name: str
    language: str | None
    timezone: str
    invoice_id: str | None = None
    invoice_status: str | None = None
    bounced: str | None = None
    """What came back when the recipient was mailed before; None: nothing did."""
    page_url: str | None = field(default=None, repr=False)
    pdf_url: str | None = field(default=None, repr=False)
    """Where the customer finds the invoice at Stripe; None: nowhere yet. Whoever has an address is let in."""

    begins: time | None = None
    ends: time | None = None
    on_weekends: bool | None = None
    """Hours that were chosen for the recipient; None: nobody chose any."""

    @property
    def hours(self) -> Hours:
        """When the recipient is mailed what can wait."""
        if self.begins is None or self.ends is None:
            return OFFICE
        return Hours(self.begins, self.ends, on_weekends=bool(self.on_weekends))

    @property
    def key(self) -> str:
        """The same for ever for this row, and for no row of another database."""
        text = f"{self.notice_id}|{self.fact}|{self.recipient}|{self.written_at.timestamp():.6f}"
        return f"notice-{self.notice_id}-{sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Words:
    """What a notice says, in one language: the text and the HTML say the same."""

    language: str
    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail, ready to be handed over."""

    key: str
    """Name of its file, and the left part of its Message-ID."""
    sender: str
    recipient: str
    content: bytes


def write_letter(
    notice: Notice, words: Words, sender: str, now: datetime, *, unsubscribe_url: str | None = None
) -> Letter:
    """The mail of a notice.

    Args:
        notice: what is told.
        words: in which words.
        sender: who the mail is from.
        now: its date.
        unsubscribe_url: where the recipient can end mails of this kind; None: they are due.

    Raises:
        AddressUnusable: the recipient is no address for a mail.
    """
    name, address = parseaddr(sender)
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = _address(notice.recipient)
    message["Subject"] = " ".join(words.subject.split())
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{notice.key}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = words.language
    head = _unsubscribing(unsubscribe_url) + message.as_bytes().rstrip() + b"\r\n"
    return Letter(notice.key, address, notice.recipient, head + _body(words, f"=_{notice.key}"))


def _body(words: Words, boundary: str) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc2046#section-5.1.4: the same twice, the better one last.

    Written here, because Python's library takes four times as long for it as all else that makes a mail.
    """
    parts = [
        f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'.encode("ascii"),
        _part("plain", words.text),
        _part("html", words.html),
    ]
    between = f"--{boundary}".encode("ascii")
    return (between + b"\r\n").join(parts) + between + b"--\r\n"


def _part(subtype: str, text: str) -> bytes:
    """In seven bits, because not every server takes eight; in whichever encoding is shorter."""
    content = b"".join(line + b"\r\n" for line in text.encode().splitlines())
    encoding, encoded = "quoted-printable", b2a_qp(content)
    if len(encoded) > len(content) * 4 // 3:
        encoding, encoded = "base64", body_encode(content, eol="\r\n").encode("ascii")
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode("ascii") + encoded + b"\r\n"


def _unsubscribing(url: str | None) -> bytes:
    """https://www.rfc-editor.org/rfc/rfc8058: one POST, without a page in between.

    Written here, because Python would encode an address that is longer than a line, and no mail program reads it then.
    """
    if url is None:
        return b""
    return f"List-Unsubscribe: <{url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n".encode("ascii")


def _address(text: str) -> Address:
    try:
        text.encode("ascii")
        return Address(addr_spec=text)
    except UnicodeEncodeError:
        raise AddressUnusable(f'"{text}": a mail address with letters beyond ASCII') from None
    except (HeaderParseError, ValueError, IndexError):
        raise AddressUnusable(f'"{text}": not an address for a mail') from None
