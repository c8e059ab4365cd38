"""What stops charging: the limits of a run, its canaries, and the circuit breaker's rule. Pure decisions.

Amounts are minor units of the invoice's own currency, whatever it is: a limit of 2,500,000 is 25,000.00 USD and
2,500,000 JPY. Here: whether a brake is on. Not here: where the kill switch is (charging/brakes.py).
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from billing_pipeline.charging.rules.charging import WORKABLE
from billing_pipeline.core.months import days_since_end

CANARIES_MIN = 10
CANARY_PERCENT = 1

FAILURES_MAX = 20
"""Calls in a row without an answer that open the circuit."""
PROBE_EVERY = timedelta(seconds=90)
"""While it is open one call is tried this often: six hours of outage cost about 260 calls."""
LETS_GO_BY_ITSELF = frozenset({"canary_unsettled", "stripe_unavailable", "drafts_in_review", "drafts_outdated"})
"""Codes of the brakes that wait for Stripe, or for time to pass. All others wait for a person."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may do without a person. Defaults are those of the settings."""

    invoice_cap_minor: int = 2_500_000
    run_cap_minor: int = 100_000_000
    canary_refusals_max_percent: int = 50


@dataclass(frozen=True, slots=True)
class Brake:
    """A brake that is on: its code, as it is counted and shown, and what it says to an operator."""

    code: str
    says: str

    def __str__(self) -> str:
        return f"{self.code}: {self.says}"

    def for_log(self, month: date | None = None) -> str:
        """What it says and what helps, for the log of a run; `month`: the one that it held back."""
        helps = _HELPS.get(self.code, "see `billing charges status`")
        return f"brake {self}; what helps: {helps.format(month=f'{month:%Y-%m}' if month else 'MONTH')}"


_HELPS = {
    "charging_paused": "`billing charges status` says why and since when, `billing charges resume` ends it",
    "over_invoice_cap": "look at the invoice (`billing charges list --month {month}`); raise the setting or void it",
    "over_run_cap": "look at `billing charges list --month {month}`, then raise the setting for one run",
    "canary_failed": "`billing charges list --month {month}`, then run again or `billing charges release {month}`",
    "canary_unsettled": "nothing is to be done: the next pass goes on, or `billing charges release {month}`",
    "month_too_old": "`billing run --month {month} --charge-old-month`",
    "drafts_outdated": "`billing run --month {month} --through invoices` drafts them again, and so does the sensor",
    "drafts_in_review": "nothing is to be done: it is asked for again when the time for looking is over",
    "stripe_unavailable": "nothing is to be done: it goes on with Stripe's first answer (`billing charges status`)",
}
"""Code -> what an operator does about it; docs/brakes.md says more about each."""


@dataclass(frozen=True, slots=True)
class Amount:
    """What a charge would take; `amount_minor` in minor units of `currency`."""

    invoice_id: str
    amount_minor: int
    currency: str


def over_caps(charges: Sequence[Amount], limits: Limits) -> dict[str, Brake]:
    """The charges that a cap holds back, by invoice id.

    An invoice over its cap is held alone. A currency whose charges together are over the run's cap is held whole:
    which of them are too many is for a person to say.
    """
    held = {
        charge.invoice_id: Brake(
            "over_invoice_cap",
            f"an invoice of {charge.amount_minor} {charge.currency} is over BILLING_INVOICE_CAP_MINOR,"
            f" {limits.invoice_cap_minor}",
        )
        for charge in charges
        if charge.amount_minor > limits.invoice_cap_minor
    }
    totals: Counter[str] = Counter()
    for charge in charges:
        if charge.invoice_id not in held:
            totals[charge.currency] += charge.amount_minor
    for charge in charges:
        total = totals[charge.currency]
        if total > limits.run_cap_minor:
            held.setdefault(
                charge.invoice_id,
                Brake(
                    "over_run_cap",
                    f"charges of {total} {charge.currency} in one run are over BILLING_RUN_CAP_MINOR,"
                    f" {limits.run_cap_minor}",
                ),
            )
    return held


def canary_count(charges: int) -> int:
    """How many of a month's charges go first: 1 %, at least 10."""
    return max(CANARIES_MIN, -(-charges * CANARY_PERCENT // 100))


@dataclass(frozen=True, slots=True)
class Canary:
    """Where a charge that went first has ended.

    `differs`: how Stripe's invoice is not as ours says, if it is not. `waits_for_bank`: its payment was accepted, and
    the bank's word takes days.
    """

    number: str
    state: str
    reason_code: str | None
    differs: str | None = None
    waits_for_bank: bool = False


def canary_verdict(canaries: Collection[Canary], limits: Limits) -> Brake | None:
    """The brake that keeps the rest back; None: the canaries ended as expected.

    Expected: each has an answer or waits for a bank, which is no bad sign; none is parked, Stripe's invoice is ours in
    total, currency and state, and no more are refused than the limit.
    """
    differing = [canary for canary in canaries if canary.differs]
    if differing:
        return Brake("canary_failed", f"{differing[0].number}: {differing[0].differs}{_more(differing)}")
    parked = [canary for canary in canaries if canary.state == "parked"]
    if parked:
        return Brake("canary_failed", f"{parked[0].number} is parked: {parked[0].reason_code}{_more(parked)}")
    refused = [canary for canary in canaries if canary.state == "refused"]
    if len(refused) * 100 > len(canaries) * limits.canary_refusals_max_percent:
        reasons = ", ".join(f"{count} {code}" for code, count in Counter(c.reason_code for c in refused).most_common())
        return Brake(
            "canary_failed",
            f"{len(refused)} of the first {len(canaries)} charges are refused ({reasons}), expected at most"
            f" {limits.canary_refusals_max_percent} %",
        )
    unsettled = [canary for canary in canaries if canary.state in WORKABLE and not canary.waits_for_bank]
    if unsettled:
        return Brake("canary_unsettled", f"{len(unsettled)} of the first {len(canaries)} charges have no answer yet")
    return None


def _more(canaries: Sequence[Canary]) -> str:
    return f" ({len(canaries)} of the first charges)" if len(canaries) > 1 else ""


_WAITING = {
    "outdated": ("drafts_outdated", "usage, corrections, prices or customers have changed since they were drafted"),
    "in_review": ("drafts_in_review", "drafted less than BILLING_REVIEW_HOURS ago, so that somebody can look at them"),
}
"""Reason why drafts stay drafts -> the brake, and what it says of them."""


def drafts_waiting(kept: Mapping[str, int]) -> list[Brake]:
    """The brakes on drafts that wait by themselves; `kept`: how many stayed drafts, by reason."""
    return [
        Brake(code, f"{kept[reason]} draft(s) stay drafts: {says}")
        for reason, (code, says) in _WAITING.items()
        if kept.get(reason)
    ]


def month_too_old(month: date, today: date, age_max_days: int) -> Brake | None:
    """The brake on a month that ended longer ago than `age_max_days`."""
    age_days = days_since_end(month, today)
    if age_days <= age_max_days:
        return None
    return Brake(
        "month_too_old",
        f"{month:%Y-%m} ended {age_days} days ago, more than BILLING_CHARGE_AGE_MAX_DAYS, {age_max_days}:"
        " nothing is finalised or charged unless the run's config says charge_old_month",
    )


def distinct(brakes: Iterable[Brake]) -> list[Brake]:
    """One brake a code, the first of each."""
    found: dict[str, Brake] = {}
    for brake in brakes:
        found.setdefault(brake.code, brake)
    return list(found.values())
