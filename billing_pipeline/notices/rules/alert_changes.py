"""What is told of what is so: once when it begins, again when it is worse or forgotten, and when it is over. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing_pipeline.notices.rules.alert_policy import AlertPolicy
from billing_pipeline.notices.rules.alert_rules import Signal

WORSE = 2
"""It is told again when there are so many times as many as were told of."""


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that is not over, as it is stored."""

    alert_id: int
    rule: str
    subject: str
    told_count: int
    told_at: datetime
    seen_at: datetime
    is_acknowledged: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an alert: opened (`alert_id` None), worse, reminded, seen (untold), resolved (`signal` None)."""

    what: str
    alert_id: int | None
    signal: Signal | None


def changes(
    open_alerts: Sequence[OpenAlert],
    signals: Sequence[Signal],
    looked_at: Collection[str],
    policy: AlertPolicy,
    now: datetime,
) -> Iterator[Change]:
    """What follows from the signals of now.

    Args:
        open_alerts: all that are not over.
        signals: what is so, each rule and subject once.
        looked_at: rules about which `signals` says everything; alerts of others go on.
        policy: the periods.
        now: what time it is.
    """
    known = {(alert.rule, alert.subject): alert for alert in open_alerts}
    for signal in signals:
        alert = known.pop((signal.rule, signal.subject), None)
        if alert is None:
            yield Change("opened", None, signal)
        elif signal.count >= WORSE * alert.told_count:
            yield Change("worse", alert.alert_id, signal)
        elif not alert.is_acknowledged and now - alert.told_at >= policy.remind_after:
            yield Change("reminded", alert.alert_id, signal)
        else:
            yield Change("seen", alert.alert_id, signal)
    for alert in known.values():
        if alert.rule in policy.off or (alert.rule in looked_at and now - alert.seen_at >= policy.calm):
            yield Change("resolved", alert.alert_id, None)
