"""Alerts: what is wrong becomes a row, and its messages are written in the same transaction, each once."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.rules.alert_changes import Change, OpenAlert, changes
from billing_pipeline.notices.rules.alert_policy import AlertPolicy
from billing_pipeline.notices.rules.alert_rules import RULES, Signal
from billing_pipeline.postgres.locks import lock_alerts
from billing_pipeline.postgres.sql_files import load_sql
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

TRIGGER, ACKNOWLEDGE, RESOLVE = "trigger", "acknowledge", "resolve"
"""What a message is for, in a pager's words."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who is told of alerts: channel -> recipients, which severities each hears of, and where pages are."""

    recipients: dict[str, tuple[str, ...]]
    severities: dict[str, frozenset[str]]
    public_url: str


def audience_of(settings: Settings, policy: AlertPolicy) -> Audience:
    """As the environment and the policy say."""
    own = settings.alerts
    recipients = {
        "alert_mail": own.mail,
        "slack": (urlsplit(own.slack_url).netloc,) if own.slack_url else (),
        "pagerduty": (urlsplit(own.pagerduty_url).netloc,) if own.pagerduty_key else (),
    }
    severities = {channel: policy.channels[channel.removeprefix("alert_")] for channel in recipients}
    return Audience(recipients, severities, settings.pages.public_url)


def record_signals(
    warehouse: Warehouse,
    policy: AlertPolicy,
    audience: Audience,
    signals: Sequence[Signal],
    looked_at: Collection[str],
    now: datetime,
) -> Counter[str]:
    """Open, go on with and end alerts as the signals say; what is to be told is written to the outbox.

    Args:
        warehouse: the billing database.
        policy: thresholds and periods.
        audience: who is told.
        signals: what is so.
        looked_at: rules about which `signals` says everything.
        now: what time it is.

    Returns:
        How many alerts were opened, worse, reminded, seen or resolved.
    """
    with warehouse.transaction() as connection:
        lock_alerts(connection)  # two lookers at once would both find it new
        rows = connection.execute(text(_OPEN)).mappings().all()
        found = list(changes([OpenAlert(**row) for row in rows], signals, looked_at, policy, now))
        told = [written for change in found if (written := _apply(connection, change, policy, audience, now))]
        _tell(connection, audience, told, now)
    return Counter(change.what for change in found)


def acknowledge(warehouse: Warehouse, audience: Audience, alert_id: int, signature: Signature) -> None:
    """Somebody takes it on: it is told again only if it becomes worse.

    Raises:
        UserError: there is no such alert, it is over, or somebody has it already.
    """
    values = {"alert_id": alert_id, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        row = connection.execute(text(load_sql("notices/acknowledge_alert.sql")), values).mappings().first()
        if row is not None:
            _tell(connection, audience, [_told(dict(row), "acknowledged", audience)], row["acknowledged_at"])
            return
    alert = read_alert(warehouse, alert_id)
    if alert["resolved_at"] is not None:
        raise UserError(f"alert {alert_id} is over since {alert['resolved_at']:%Y-%m-%d %H:%M} UTC")
    raise UserError(f"alert {alert_id}: {alert['acknowledged_by']} has it already: {alert['acknowledge_reason']}")


def list_alerts(
    warehouse: Warehouse, *, over: bool = False, after: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Alerts as billing.alerts has them, the newest first, older than `after`; `over`: also those that are over."""
    return warehouse.rows(
        f"{_ALL} WHERE (:over OR resolved_at IS NULL) AND (CAST(:after AS bigint) IS NULL OR alert_id < :after)"
        " ORDER BY alert_id DESC LIMIT :row_limit",
        over=over,
        after=after,
        row_limit=limit,
    )


def read_alert(warehouse: Warehouse, alert_id: int) -> dict[str, Any]:
    """One of them.

    Raises:
        NotFound: there is none with this number.
    """
    rows = warehouse.rows(f"{_ALL} WHERE alert_id = :alert_id", alert_id=alert_id)
    if not rows:
        raise NotFound(f"alert {alert_id}: expected the number of an alert, found none")
    return rows[0]


def describe_alert(warehouse: Warehouse, alert_id: int) -> dict[str, Any]:
    """The same, with `what_to_do` about it and the `commands` that help.

    Raises:
        NotFound: there is none with this number.
    """
    row = read_alert(warehouse, alert_id)
    signal = Signal(row["rule"], row["subject"], month=row["billing_month"])
    return {**row, "what_to_do": RULES[row["rule"]].what_to_do, "commands": list(signal.commands)}


def _apply(
    connection: Connection, change: Change, policy: AlertPolicy, audience: Audience, now: datetime
) -> dict[str, Any] | None:
    """Write the change; what is told of it, None: nothing."""
    signal = change.signal
    if signal is None:
        row = connection.execute(text(_RESOLVE), {"alert_id": change.alert_id, "now": now}).mappings().one()
        return _told(dict(row), change.what, audience)
    values = {
        "alert_id": change.alert_id, "rule": signal.rule, "subject": signal.subject, "summary": signal.summary,
        "severity": policy.severity(signal.rule), "month": signal.month, "count": signal.count, "now": now,
        "tell": change.what in ("worse", "reminded"), "worse": change.what == "worse",
    }  # fmt: skip
    row = connection.execute(text(_INSERT if change.what == "opened" else _SEE), values).mappings().one()
    return _told(dict(row), change.what, audience) if change.what != "seen" else None


def _told(row: dict[str, Any], what: str, audience: Audience) -> dict[str, Any]:
    """An alert as its messages have it."""
    signal = Signal(row["rule"], row["subject"], row["row_count"], month=row["billing_month"])
    return {
        "alert_id": row["alert_id"],
        "tellings": row["tellings"],
        "rule": row["rule"],
        "subject": row["subject"],
        "severity": row["severity"],
        "what": what,
        "summary": row["summary"],
        "opened_at": row["opened_at"].astimezone(UTC).isoformat(timespec="seconds"),
        "what_to_do": RULES[row["rule"]].what_to_do,
        "commands": list(signal.commands),
        "link": audience.public_url + signal.page,
        "source": urlsplit(audience.public_url).netloc,
    }


def _tell(connection: Connection, audience: Audience, told: list[dict[str, Any]], now: datetime) -> None:
    for channel, recipients in audience.recipients.items():
        heard = [alert for alert in told if alert["severity"] in audience.severities[channel]]
        for facts in _messages(channel, heard):
            parts = [f"{alert['alert_id']}.{alert['tellings']}.{alert['what']}" for alert in facts["alerts"]]
            fact = f"alert:{sha256(' '.join(parts).encode()).hexdigest()[:32]}"
            for recipient in recipients:
                values = {
                    "fact": fact,
                    "channel": channel,
                    "recipient": recipient,
                    "facts": json.dumps(facts),
                    "now": now,
                }
                connection.execute(text(_TELL), values)


def _messages(channel: str, heard: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A pager gets an event an alert; people one message, and none of what they acknowledged themselves."""
    actions = {"acknowledged": ACKNOWLEDGE, "resolved": RESOLVE}
    if channel == "pagerduty":
        yield from ({"what": actions.get(alert["what"], TRIGGER), "alerts": [alert]} for alert in heard)
        return
    news = [alert for alert in heard if alert["what"] != "acknowledged"]
    if news:
        yield {"what": TRIGGER, "alerts": news}


_ALL = """
SELECT alert_id, severity, rule, subject, billing_month, summary, row_count, opened_at, seen_at, told_at, tellings,
    acknowledged_at, acknowledged_by, acknowledge_reason, resolved_at
FROM billing.alerts
"""
_OPEN = """
SELECT alert_id, rule, subject, told_count, told_at, seen_at, acknowledged_at IS NOT NULL AS is_acknowledged
FROM billing.alerts WHERE resolved_at IS NULL ORDER BY alert_id
"""
_INSERT = """
INSERT INTO billing.alerts (
    rule, subject, severity, summary, billing_month, row_count, opened_at, seen_at, told_at, told_count
) VALUES (:rule, :subject, :severity, :summary, :month, :count, :now, :now, :now, :count)
RETURNING *
"""
_SEE = """
UPDATE billing.alerts SET
    summary = :summary, billing_month = :month, row_count = :count, seen_at = greatest(seen_at, :now),
    told_at = CASE WHEN :tell THEN :now ELSE told_at END,
    told_count = CASE WHEN :tell THEN :count ELSE told_count END,
    tellings = tellings + CAST(:tell AS integer),
    acknowledged_at = CASE WHEN NOT :worse THEN acknowledged_at END,
    acknowledged_by = CASE WHEN NOT :worse THEN acknowledged_by END,
    acknowledge_reason = CASE WHEN NOT :worse THEN acknowledge_reason END
WHERE alert_id = :alert_id
RETURNING *
"""
_RESOLVE = "UPDATE billing.alerts SET resolved_at = :now WHERE alert_id = :alert_id RETURNING *"
_TELL = """
INSERT INTO billing.notices (kind, fact, channel, recipient, facts, written_at)
VALUES ('alert', :fact, :channel, :recipient, CAST(:facts AS jsonb), :now)
ON CONFLICT ON CONSTRAINT notices_once_a_fact DO NOTHING
"""
