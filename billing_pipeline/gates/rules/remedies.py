"""What an operator does when a check fails, as data, so that every door says the same.

The gates have theirs in `gates.py`; here are those of the checks that Dagster shows beside them, by the check's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from billing_pipeline.core.months import month_before

PAGE = "docs/gates.md"
"""The page of the checks, from the root of the repository; a check's heading is its name."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a check that failed."""

    what_to_do: str
    """Plain words: what it means, what to look at, what ends it."""
    commands: tuple[str, ...]
    """In their order. `{month}` and `{last_month}` are filled in; what the operator fills in is in CAPITALS."""

    def commands_for(self, month: date | None) -> tuple[str, ...]:
        """The commands for a month; None: with placeholders for it."""
        names = {
            "month": f"{month:%Y-%m}" if month else "MONTH",
            "last_month": f"{month_before(month):%Y-%m}" if month else "LAST_MONTH",
        }
        return tuple(command.format(**names) for command in self.commands)


def page_of(check: str) -> str:
    """Where the check is explained at length."""
    return f"{PAGE}#{check}"


_SIGNED = '--author YOU --reason "WHY"'

REMEDIES: Mapping[str, Remedy] = {
    "periods_have_ended": Remedy(
        "Nothing is wrong: these periods are billed once they have ended. Draft the month again after the last of them"
        " has.",
        ("billing run --month {month} --through invoices",),
    ),
    "drift_is_immaterial": Remedy(
        "Usage came late, was corrected, or prices changed after the month was billed. Nothing billed has changed. Look"
        " at the differences; if they are right, propose to settle them. Settling needs an approval.",
        (
            "billing settle propose --month {month} --author YOU",
            "billing settle list --month {month}",
        ),
    ),
    "every_invoice_charged_or_explained": Remedy(
        "A charge does not say what Stripe says, or Stripe could not be asked. The sample names the invoices. Nobody is"
        " charged twice by looking: read an invoice's story first.",
        (
            "billing charges list --month {month} --state parked",
            "billing charges show INVOICE",
        ),
    ),
    "no_brake_held_anything_back": Remedy(
        "A brake kept charges back; they are pending and the next run goes on with them. See which brake it is, find"
        " out why it went off, and let it go as the page says.",
        ("billing charges status",),
    ),
    "books_agree_with_stripe": Remedy(
        "An invoice, payment, refund or credit note is not the same here and at Stripe. Compare once more: what was"
        " only on its way is gone then. Each difference that stays has a proposed action, which the page explains.",
        ("billing reconcile",),
    ),
    "every_month_is_billed_and_charged": Remedy(
        "A month has ended and was never billed, or was billed and never charged: the daemon was down, its schedule is"
        " off, or its run failed. List the months, look at the run that failed, then run what is missing.",
        (
            "billing months list",
            "billing run --month {month} --through invoices",
            "billing run --month {month}",
        ),
    ),
    "failed_refunds_are_repaid": Remedy(
        "Stripe could not deliver a refund, so the customer still waits for the money. Decide where it goes: to the"
        " balance, to the card once more, or elsewhere.",
        (
            "billing credit refunds",
            f"billing credit repay REFUND --to balance {_SIGNED}",
        ),
    ),
    "lost_disputes_are_decided": Remedy(
        "A bank took a payment back for good: a dispute is lost. Decide whether the customer's next invoice asks for it"
        " again, or nobody does.",
        (
            "billing disputes list",
            f"billing disputes collect-again DISPUTE {_SIGNED}",
            f"billing disputes write-off DISPUTE {_SIGNED}",
        ),
    ),
    "no_event_given_up": Remedy(
        "An event of Stripe's could not be applied and is not tried any more. Read its error, remove the cause, then"
        " put it back into the queue: applying it twice does no harm.",
        (
            "billing events list --state dead",
            "billing events show EVENT",
            f"billing events replay EVENT {_SIGNED}",
        ),
    ),
    "no_contradicting_event": Remedy(
        "Two events with one id say different things. The first counts; the other is kept aside. Find out who sent it,"
        " and replace the signing secret if it was not Stripe. Then say that you have looked.",
        (
            "billing events contradictions",
            f"billing events acknowledge EVENT {_SIGNED}",
        ),
    ),
    "no_notice_late": Remedy(
        "Customers are not told what they should be: the mail server takes nothing, or no run sends. Send by hand: it"
        " says what stands in the way.",
        (
            "billing notices list --state pending",
            "billing notices send",
        ),
    ),
    "nobody_suspended_who_paid": Remedy(
        "A customer stands as suspended though no unpaid invoice says so: a row was changed past the rules of the"
        " database. Tell the platform to let the customer in, then find out who changed it.",
        (
            "billing dunning status --state suspended",
            "billing dunning show CUSTOMER",
        ),
    ),
    "no_dunning_step_late": Remedy(
        "Steps of dunning are due and not taken: no run takes them, or the policy cannot be followed. Take them by"
        " hand: it says what stands in the way.",
        (
            "billing dunning check",
            "billing dunning run",
        ),
    ),
    "no_notice_given_up": Remedy(
        "A mail was refused for good, or for three days. Read why: a wrong address is put right by importing the"
        " customer anew, wrong words in the company's own folder. Then send it once more.",
        (
            "billing notices list --state failed",
            "billing notices show NOTICE",
            f"billing notices resend NOTICE {_SIGNED}",
        ),
    ),
    "no_gap": Remedy(
        "No sweep ran for so long that Stripe has forgotten events since. What they would have told is found by"
        " comparing the books; the sweep itself goes on from here.",
        ("billing reconcile",),
    ),
}
"""By the name of a check that is no gate."""
