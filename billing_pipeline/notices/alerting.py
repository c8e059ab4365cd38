"""The one look that everybody takes: what is wrong now, written down and told. For the sensor and the command."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing_pipeline.notices import certificates
from billing_pipeline.notices.alert_channels import send_alerts
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alert_signals import LOOKED_AT, signals_now
from billing_pipeline.notices.alerts import audience_of, record_signals
from billing_pipeline.notices.revenue_watch import look_at_revenue
from billing_pipeline.notices.rules.alert_rules import Signal
from billing_pipeline.notices.sending import utc_now
from billing_pipeline.notices.usage_watch import look_at_usage
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class AlertReport:
    """How many alerts became what in a look, how many messages ended how, and what sent nothing."""

    alerts: Counter[str]
    messages: Counter[str]
    stopped: list[str]

    def __str__(self) -> str:
        counted = [f"{count:,} {what}" for what, count in sorted((self.alerts + self.messages).items())]
        return "; ".join([", ".join(counted) or "nothing is wrong", *self.stopped])


def alert_operators(
    warehouse: Warehouse,
    settings: Settings,
    *,
    of_dagster: Sequence[Signal] = (),
    looked_at: Collection[str] = (),
    log: Callable[[str], None],
    clock: Callable[[], datetime] = utc_now,
    longest_s: float | None = None,
) -> AlertReport:
    """Look at everything, write down what is wrong, and tell it.

    Args:
        warehouse: the billing database.
        settings: the environment.
        of_dagster: what Dagster's records show.
        looked_at: rules about which `of_dagster` says everything.
        log: takes a line on progress.
        clock: what time it is.
        longest_s: no more is sent after so many seconds.

    Raises:
        AlertPolicyWrong: the policy cannot be followed.
    """
    policy = load_alert_policy(settings.alerts.policy)
    now = clock()
    if "usage_unusual" not in policy.off:
        look_at_usage(warehouse, now)
    if "revenue_unusual" not in policy.off:
        look_at_revenue(warehouse, now)
    is_off = certificates.RULE in policy.off
    ending, complete = ([], False) if is_off else certificates.certificate_signals(settings, policy, now)
    known = {*looked_at, certificates.RULE} if complete else looked_at
    signals = [*signals_now(warehouse, settings, policy, now), *of_dagster, *ending]
    recorded = record_signals(
        warehouse,
        policy,
        audience_of(settings, policy),
        [signal for signal in signals if signal.rule not in policy.off],
        {*LOOKED_AT, *known},
        now,
    )
    messages, stopped = send_alerts(warehouse, settings, log=log, clock=clock, longest_s=longest_s)
    return AlertReport(recorded, messages, stopped)


def try_alerts(warehouse: Warehouse, settings: Settings, author: str, *, log: Callable[[str], None]) -> AlertReport:
    """Tell everybody of a test, whatever is wrong or not: it is over at the next look that is late enough."""
    policy = load_alert_policy(settings.alerts.policy)
    now = utc_now()
    test = Signal("test", f"test of {now:%Y-%m-%d %H:%M:%S}", example=author)
    recorded = record_signals(warehouse, policy, audience_of(settings, policy), [test], (), now)
    messages, stopped = send_alerts(warehouse, settings, log=log)
    return AlertReport(recorded, messages, stopped)
