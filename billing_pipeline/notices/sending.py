"""Sends what is due: each notice once, unless the other side's answer was lost.

Before the first byte that could give a letter away, `handing_over` is committed; after the answer, `sent`. A run that
dies before the first is taken over without a doubt. One that dies between the two leaves a letter that may have gone
out: it is sent again with the same Message-ID, and `doubts` counts it. A lost reminder would cost more than a double
that mail programs show once.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from typing import ClassVar, Protocol

from billing_pipeline.charging.brakes import read_brakes
from billing_pipeline.core.notice_kinds import OPTIONAL
from billing_pipeline.notices import queue
from billing_pipeline.notices.letters import AddressUnusable, Letter, Notice, write_letter
from billing_pipeline.notices.mail_files import MailFiles
from billing_pipeline.notices.queue import Claim, Overtaken, TakenOver
from billing_pipeline.notices.rules.kinds import overtaken_by
from billing_pipeline.notices.rules.sending import not_before
from billing_pipeline.notices.senders import AnswerLost, NobodyThere, NotTaken, Sender, SenderUnavailable
from billing_pipeline.notices.smtp import SmtpSender
from billing_pipeline.notices.word_files import WordsWrong
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

AGAIN_AFTER = timedelta(minutes=2)
"""When nobody could be told anything, it is tried again after so long."""
NO_WAIT = timedelta(0)
PROGRESS_EVERY = 500


@dataclass(frozen=True, slots=True)
class SendReport:
    """How many notices ended how in a pass, and why it ended early, if it did."""

    outcomes: Counter[str]
    stopped: str | None = None


class Channel(Protocol):
    """A way of telling: how a notice becomes a letter, and who sends it."""

    @property
    def name(self) -> str:
        """Mail or webhook."""

    @property
    def sender(self) -> Sender:
        """Who sends."""

    @property
    def is_for_operators(self) -> bool:
        """Whether operators hear of it: they do also while customers are told nothing."""

    @property
    def page_wait(self) -> timedelta:
        """How long the mail of an invoice waits for Stripe's page of it."""

    def letter(self, notice: Notice, now: datetime) -> Letter:
        """The notice, ready to be handed over. Raises AddressUnusable, WordsWrong."""


@dataclass(frozen=True)
class Post:
    """Mails to customers."""

    sender: Sender
    wording: Wording
    mail_from: str
    unsubscribe_at: str | None = None
    """Address to which a notice's key is put; None: there is no page that recipients can reach."""
    page_wait: timedelta = NO_WAIT
    name: ClassVar[str] = "mail"
    is_for_operators: ClassVar[bool] = False

    def letter(self, notice: Notice, now: datetime) -> Letter:
        """The mail."""
        optional = self.unsubscribe_at is not None and notice.kind in OPTIONAL
        return write_letter(
            notice,
            self.wording.words(notice),
            self.mail_from,
            now,
            unsubscribe_url=f"{self.unsubscribe_at}{notice.key}" if optional else None,
        )


def open_post(settings: Settings) -> Post:
    """As the environment says: over SMTP, or into files."""
    pages = settings.pages
    unsubscribe_at = f"{pages.public_url}/unsubscribe/" if pages.is_secure else None
    return Post(mail_sender(settings), wording_of(settings), settings.notices.sender, unsubscribe_at, queue.PAGE_WAIT)


def mail_sender(settings: Settings) -> Sender:
    """A mail server, or a folder."""
    smtp = settings.notices.smtp
    return SmtpSender(smtp) if smtp is not None else MailFiles(settings.state_dir / "mail")


def wording_of(settings: Settings) -> Wording:
    """As the environment says."""
    own, pages = settings.notices, settings.pages
    name, address = parseaddr(own.sender)
    portal = f"{pages.public_url}/portal/" if pages.is_secure else None
    return Wording(own.templates, own.language, name or address, own.portal_url or portal)


def utc_now() -> datetime:
    """What time it is."""
    return datetime.now(UTC)


def send_notices(
    warehouse: Warehouse,
    post: Channel,
    *,
    log: Callable[[str], None],
    clock: Callable[[], datetime] = utc_now,
    longest_s: float | None = None,
) -> SendReport:
    """One pass over what is due.

    Args:
        warehouse: the billing database.
        post: how letters are written and sent.
        log: takes a line on progress.
        clock: what time it is.
        longest_s: no more is claimed after so many seconds by the clock; None: until nothing is due.
    """
    outcomes: Counter[str] = Counter()
    if not post.is_for_operators and read_brakes(warehouse).needs_reconciliation:
        return SendReport(outcomes, "the database was restored: what it has not sent may have been sent before")
    began, stopped = clock(), None
    while stopped is None and (longest_s is None or (clock() - began).total_seconds() < longest_s):
        claims = queue.claim(warehouse, clock(), post.name, page_wait=post.page_wait)
        if not claims:
            break
        for number, claim in enumerate(claims):
            try:
                outcome = _send(warehouse, post, claim, clock)
            except SenderUnavailable as error:
                stopped = str(error)
                queue.release(warehouse, claims[number:], clock() + AGAIN_AFTER, stopped)
                break
            outcomes[outcome] += 1
            if outcomes.total() % PROGRESS_EVERY == 0:
                log(f"{outcomes.total():,} notices so far: {summary(outcomes)}")
    return SendReport(outcomes, stopped)


def summary(outcomes: Counter[str]) -> str:
    """For people: `12 sent, 1 overtaken`."""
    return ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items())) or "nothing was due"


def _send(warehouse: Warehouse, post: Channel, claim: Claim, clock: Callable[[], datetime]) -> str:
    notice, now = claim.notice, clock()
    if post.name == "mail" and (put_off := _not_now(warehouse, claim, now)):
        return put_off
    if notice.bounced is not None:
        why = f"mails to {notice.recipient} come back: {notice.bounced}"
        queue.not_taken(warehouse, claim, now, why, for_good=True, doubt=False)
        return "failed"
    try:
        letter = post.letter(notice, now)
        post.sender.send(letter, lambda: queue.begin_handing_over(warehouse, claim))
    except (AddressUnusable, WordsWrong) as error:
        queue.not_taken(warehouse, claim, now, str(error), for_good=True, doubt=False)
        return "failed"
    except NotTaken as error:
        for_good = queue.not_taken(warehouse, claim, clock(), str(error), for_good=error.for_good, doubt=False)
        return "failed" if for_good else "refused for now"
    except AnswerLost as error:
        queue.not_taken(warehouse, claim, clock(), str(error), for_good=False, doubt=True)
        return "in doubt"
    except NobodyThere as error:
        queue.overtaken(warehouse, claim, str(error))
        return "overtaken"
    except Overtaken:
        return "overtaken"
    except TakenOver:
        return "taken over"
    queue.sent(warehouse, claim, clock())
    return "sent"


def _not_now(warehouse: Warehouse, claim: Claim, now: datetime) -> str | None:
    """A person is told nothing that is no longer so, and at night only what cannot wait; None: it may go out."""
    notice = claim.notice
    why = overtaken_by(notice.kind, notice.invoice_status)
    if why is not None:
        queue.overtaken(warehouse, claim, why)
        return "overtaken"
    morning = not_before(notice.kind, now, notice.timezone, notice.hours)
    if morning > now:
        queue.postpone(warehouse, claim, morning)
        return "postponed"
    return None
