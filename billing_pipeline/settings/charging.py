"""What charging may do by itself."""

from dataclasses import dataclass
from typing import Self

from billing_pipeline.settings.environment import hours_or_none, percent, positive, rising_days_or_none, yes_or_no


@dataclass(frozen=True, slots=True)
class ChargingSettings:
    """The brakes, and when a refused payment is tried again. Amounts are minor units of the invoice's currency."""

    invoice_cap_minor: int
    """BILLING_INVOICE_CAP_MINOR: an invoice above this many minor units of its currency fails the month's gate, and is
    not charged either."""
    run_cap_minor: int
    """BILLING_RUN_CAP_MINOR: charges of one currency that add up to more in one run are not made."""
    canary_refusals_max_percent: int
    """BILLING_CANARY_REFUSALS_MAX_PERCENT: more refusals among a month's first charges keep the rest back."""
    charge_age_max_days: int
    """BILLING_CHARGE_AGE_MAX_DAYS: a month that ended longer ago is charged only when a run's config says so."""
    charged_within_days: int
    """BILLING_CHARGED_WITHIN_DAYS: a month whose drafts are not charged so many days after its end fails a check."""
    retry_days: tuple[int, ...] | None
    """BILLING_RETRY_DAYS: days after a refusal on which the payment is tried again; `none`: never by itself.
    Unset: as the dunning policy says, which is 1, 3, 7 and 14."""
    require_approval: bool | None
    """BILLING_REQUIRE_APPROVAL: yes or no: whether a month is charged only with an approval by somebody else than who
    started the run. Written to the database by the next charging run; unset: as it is there, at first no."""

    review_hours: int | None
    """BILLING_REVIEW_HOURS: so many hours after it was drafted an invoice becomes final; a person's own `billing run`
    does not wait. Written to the database by the next charging run; unset: as it is there, at first 24."""
    charge_as_approved: bool | None
    """BILLING_CHARGE_AS_APPROVED: yes or no: whether approved drafts become final although usage, corrections or prices
    have come since. Written to the database by the next charging run; unset: as it is there, at first no."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment."""
        return cls(
            invoice_cap_minor=positive("BILLING_INVOICE_CAP_MINOR", 2_500_000),
            run_cap_minor=positive("BILLING_RUN_CAP_MINOR", 100_000_000),
            canary_refusals_max_percent=percent("BILLING_CANARY_REFUSALS_MAX_PERCENT", 50),
            charge_age_max_days=positive("BILLING_CHARGE_AGE_MAX_DAYS", 62),
            charged_within_days=positive("BILLING_CHARGED_WITHIN_DAYS", 5),
            retry_days=rising_days_or_none("BILLING_RETRY_DAYS"),
            require_approval=yes_or_no("BILLING_REQUIRE_APPROVAL"),
            review_hours=hours_or_none("BILLING_REVIEW_HOURS"),
            charge_as_approved=yes_or_no("BILLING_CHARGE_AS_APPROVED"),
        )
