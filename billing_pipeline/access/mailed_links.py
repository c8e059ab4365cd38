"""Links that somebody asks for with a mail address: mailed to those who are known by it, and nothing to others.

They are mailed at once, not through the outbox: what stands there can be read, and the secret of a link is stored
nowhere.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import text

from billing_pipeline.access.links import Door, make_link
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.letters import AddressUnusable, Notice, write_letter
from billing_pipeline.notices.senders import AnswerLost, NobodyThere, NotTaken, SenderUnavailable
from billing_pipeline.notices.sending import mail_sender, wording_of
from billing_pipeline.notices.word_files import WordsWrong
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

MAKER = Signature("sign-in page", "asked for by mail")
LASTS = timedelta(minutes=15)
AGAIN_AFTER = timedelta(minutes=1)
"""So long nobody is mailed another link: whoever asks in somebody's name cannot fill their mailbox."""
_log = logging.getLogger("billing.api")


@dataclass(frozen=True, slots=True)
class Asked:
    """A link that was made for an address."""

    owner: str
    email: str
    language: str | None
    secret: str


def mail_links(warehouse: Warehouse, settings: Settings, door: Door, email: str) -> None:
    """Mail a link to each operator, or each customer, that has this address. What fails is logged, not told."""
    made = make_links(warehouse, door, email)
    if not made:
        return
    wording, sender = wording_of(settings), mail_sender(settings)
    try:
        for one in made:
            url = f"{settings.pages.public_url}/{door}/enter/{one.secret}"
            now = datetime.now(UTC)
            fact = f"sign_in:{sha256(one.secret.encode()).hexdigest()}"
            notice = Notice(0, "sign_in", fact, one.email, {}, now, "", one.owner, one.language, "UTC")
            try:
                words = wording.sign_in(one.language, one.owner, url, LASTS)
                sender.send(write_letter(notice, words, settings.notices.sender, now), lambda: None)
            except (SenderUnavailable, NotTaken, AnswerLost, NobodyThere, AddressUnusable, WordsWrong) as error:
                _log.error("a link into the %s was not mailed: %s", door, error)
    finally:
        sender.close()


def make_links(warehouse: Warehouse, door: Door, email: str) -> list[Asked]:
    """A link for everybody who is known by this address and was not mailed one just now."""
    found = load_sql(f"access/known_in_{door}.sql")
    with warehouse.transaction() as connection:
        known = connection.execute(text(found), {"email": email.strip()}).all()
        owners = {"door": door, "maker": MAKER.author, "again_after": AGAIN_AFTER}
        mailed = {(row.owner, row.customer_id) for row in connection.execute(text(_MAILED), owners)}
        return [
            Asked(
                one.owner,
                one.email,
                one.language,
                make_link(connection, MAKER, door, one.owner, one.role, one.customer_id, LASTS),
            )
            for one in known
            if (one.owner, one.customer_id) not in mailed
        ]


_MAILED = """
SELECT owner, customer_id FROM billing.access_links
WHERE door = :door AND made_by = :maker AND made_at > clock_timestamp() - CAST(:again_after AS interval)
"""
