"""How alerts get to operators: by mail, to a chat, to a pager. The outbox and its rules are those of notices."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from billing_pipeline.notices.http_post import Unreachable, post
from billing_pipeline.notices.letters import Letter, Notice, Words, write_letter
from billing_pipeline.notices.rules import alert_messages
from billing_pipeline.notices.senders import NobodyThere, NotTaken, Sender
from billing_pipeline.notices.sending import NO_WAIT, Channel, mail_sender, send_notices, utc_now, wording_of
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

TIMEOUT_S = 10.0
BAD_REQUEST = 400
"""What is not understood is not understood later either. Anything else may be mended there in three days."""


@dataclass(frozen=True)
class AlertMail:
    """Mails to operators, in English."""

    sender: Sender
    wording: Wording
    mail_from: str
    name: ClassVar[str] = "alert_mail"
    is_for_operators: ClassVar[bool] = True
    page_wait: ClassVar[timedelta] = NO_WAIT

    def letter(self, notice: Notice, now: datetime) -> Letter:
        """The mail."""
        written = alert_messages.paragraphs(notice.facts)
        text, html = self.wording.framed(alert_messages.subject(notice.facts), written)
        words = Words("en", alert_messages.subject(notice.facts), text, html)
        return write_letter(notice, words, self.mail_from, now)


@dataclass(frozen=True)
class Posted:
    """Messages to one address over HTTP. `url` None: there is none any more."""

    name: str
    url: str | None
    content: Callable[[Notice], bytes]
    timeout_s: float = TIMEOUT_S
    is_for_operators: ClassVar[bool] = True
    page_wait: ClassVar[timedelta] = NO_WAIT

    @property
    def sender(self) -> Sender:
        """Itself."""
        return self

    def letter(self, notice: Notice, now: datetime) -> Letter:  # noqa: ARG002 - a message says when it happened
        """The message."""
        return Letter(notice.key, "", notice.recipient, self.content(notice))

    def send(self, letter: Letter, edge: Callable[[], None]) -> None:
        """Post it; any 2xx is taken."""
        if self.url is None:
            raise NobodyThere(f"{self.name} is not set any more")
        try:
            status = post(self.url, letter.content, {"content-type": "application/json"}, edge, self.timeout_s)
        except Unreachable as error:
            raise NotTaken(str(error), for_good=False) from None
        if not 200 <= status < 300:
            raise NotTaken(f"{letter.recipient} answered {status}", for_good=status == BAD_REQUEST)

    def close(self) -> None:
        """Nothing is open."""


def alert_channels(settings: Settings) -> list[Channel]:
    """As the environment says; one that is not set has nothing to send."""
    own = settings.alerts
    key = own.pagerduty_key
    return [
        AlertMail(mail_sender(settings), wording_of(settings), settings.notices.sender),
        Posted("slack", own.slack_url, lambda notice: alert_messages.slack(notice.facts)),
        Posted(
            "pagerduty",
            own.pagerduty_url if key is not None else None,
            lambda notice: alert_messages.pager(notice.facts, key or ""),
        ),
    ]


def send_alerts(
    warehouse: Warehouse,
    settings: Settings,
    *,
    log: Callable[[str], None],
    clock: Callable[[], datetime] = utc_now,
    longest_s: float | None = None,
) -> tuple[Counter[str], list[str]]:
    """Send what operators are to be told and is due; how many messages ended how, and why a channel sent nothing."""
    outcomes: Counter[str] = Counter()
    stopped = []
    for channel in alert_channels(settings):
        try:
            report = send_notices(warehouse, channel, log=log, clock=clock, longest_s=longest_s)
        finally:
            channel.sender.close()
        outcomes += report.outcomes
        stopped += [report.stopped] if report.stopped else []
    return outcomes, stopped
