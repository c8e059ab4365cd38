"""A letter: a notice in the customer's words, as a mail. The same notice has the same Message-ID for ever."""

from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from hashlib import sha256
from typing import Any

_SEVEN_BIT = SMTP.clone(cte_type="7bit")
"""For every server: not all take eight bits."""


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
    message = EmailMessage(policy=_SEVEN_BIT)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = _address(notice.recipient)
    message["Subject"] = " ".join(words.subject.split())
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{notice.key}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = words.language
    message.set_content(words.text)
    message.add_alternative(words.html, subtype="html")
    return Letter(notice.key, address, notice.recipient, _unsubscribing(unsubscribe_url) + message.as_bytes())


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
