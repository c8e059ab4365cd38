"""What operators are told of, and what helps then, as data. Pure. The thresholds are in policies/alerts.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

_SIGNED = '--author YOU --reason "WHY"'


@dataclass(frozen=True, slots=True)
class Rule:
    """How one thing is said, and what to do about it."""

    says: str
    """One line; `{count}`, `{example}`, `{subject}` and `{month}` are filled in."""
    what_to_do: str
    commands: tuple[str, ...]
    """In their order; `{month}` is filled in, what the operator fills in is in CAPITALS."""
    page: str
    """Path of the console's page; `{month}` is filled in."""


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that is so just now. `count`: of how many things; `example`: the first of them."""

    rule: str
    subject: str
    count: int = 1
    example: str = ""
    month: date | None = None

    @property
    def summary(self) -> str:
        """One line for people, at most 500 characters."""
        line = RULES[self.rule].says.format(
            count=f"{self.count:,}", example=self.example, subject=self.subject, month=self._month
        )
        return " ".join(line.split())[:500]

    @property
    def commands(self) -> tuple[str, ...]:
        """What helps, for this month."""
        return tuple(command.format(month=self._month) for command in RULES[self.rule].commands)

    @property
    def page(self) -> str:
        """Path of the console's page."""
        return RULES[self.rule].page.format(month=self._month)

    @property
    def _month(self) -> str:
        return f"{self.month:%Y-%m}" if self.month else "MONTH"


RULES: Mapping[str, Rule] = {
    "run_failed": Rule(
        "A run of {subject} failed: {example}",
        "Read why in the run's page of Dagster. Start it again once the cause is gone: a run that is repeated charges"
        " nobody twice. It is over when a later run of the same job and month has succeeded.",
        ("billing months list", "billing charges status"),
        "/console/health",
    ),
    "run_late": Rule(
        "A run of {subject} is late: {example}",
        "See in Dagster whether it still does something. A run that waits in the queue needs the daemon, or another"
        " run to end.",
        ("billing charges status",),
        "/console/health",
    ),
    "tick_failed": Rule(
        "{subject} failed {count} times in a row: {example}",
        "This schedule or sensor asks for nothing while it fails. The line says why; a setting that cannot work is"
        " mended in the environment of Dagster's daemon.",
        ("billing months list",),
        "/console/health",
    ),
    "gate_failed": Rule(
        "{count} gate(s) of {month} failed: {example}",
        "Nothing of the month is charged until they pass. docs/gates.md says for each gate what to look at.",
        ("billing run --month {month} --through invoices",),
        "/console/months/{month}",
    ),
    "month_not_billed": Rule(
        "{example}",
        "The daemon was down, its schedule is off, or its run failed. Look at the run, then run what is missing.",
        ("billing months list", "billing run --month {month}"),
        "/console/months/{month}",
    ),
    "charging_stopped": Rule(
        "No charge is made: {example}",
        "Find out why it was stopped. After a failover or a restore, compare the books first: that resumes charging.",
        ("billing charges status", "billing charges reconcile", f"billing charges resume {_SIGNED}"),
        "/console/charges",
    ),
    "stripe_unavailable": Rule(
        "Stripe does not answer: {example}",
        "Nothing is lost: charging goes on by itself when Stripe answers. Look at Stripe's status page and at the"
        " network of this machine.",
        ("billing charges status",),
        "/console/charges",
    ),
    "charges_parked": Rule(
        "{count} charge(s) are parked, such as {example}",
        "Nobody knows what Stripe did, or it did something unexpected. Each needs a decision (docs/parked-charges.md).",
        ("billing charges list --state parked", "billing charges show INVOICE"),
        "/console/charges?state=parked",
    ),
    "refusals_above_usual": Rule(
        "{count} payments were refused, more than usual: {example}",
        "Look at the reasons: one reason for all points to a change of ours or of Stripe's. Stop charging while it is"
        " not understood.",
        ("billing charges list --state refused", f"billing charges pause {_SIGNED}"),
        "/console/charges?state=refused",
    ),
    "feed_stopped": Rule(
        "No usage came since {example}",
        "The platform sends nothing, or what it sends is refused. What is not there when the month ends is not billed.",
        ("billing months list", "billing import usage FILE"),
        "/console/health",
    ),
    "usage_unusual": Rule(
        "{count} customer(s) and meter(s) used unusually much or little in an hour, most of all {example}",
        "A meter that counts twice, a feed that lost a part, a customer in trouble, or a good day. Look at the events"
        " before the month is billed.",
        ("billing alerts usage", "billing estimate --customer CUSTOMER"),
        "/console/analytics",
    ),
    "revenue_unusual": Rule(
        "{count} customer(s) come to unusually much or little in {month}, most of all {example}",
        "A price, a meter or a contract that is not meant so, or a month unlike those before. Explain the invoice"
        " before it is charged; hold it while it is not understood.",
        ("billing alerts revenue", "billing explain INVOICE", f"billing hold place --customer CUSTOMER {_SIGNED}"),
        "/console/months/{month}",
    ),
    "events_dead": Rule(
        "{count} event(s) of Stripe's were given up, such as {example}",
        "Read the error, remove the cause, then put the event back into the queue: applying it twice does no harm.",
        ("billing events list --state dead", f"billing events replay EVENT {_SIGNED}"),
        "/console/events",
    ),
    "events_late": Rule(
        "{count} event(s) of Stripe's wait to be applied, such as {example}",
        "No run applies them, or Stripe cannot be asked. Apply them by hand: it says what stands in the way.",
        ("billing events list --state pending", "billing events process"),
        "/console/events",
    ),
    "books_differ": Rule(
        "{count} difference(s) between our books and Stripe's, such as {example}",
        "Compare once more: what was only on its way is gone then. Each difference that stays has a proposed action.",
        ("billing reconcile",),
        "/console/books",
    ),
    "books_not_compared": Rule(
        "Our books were not compared with Stripe's since {example}",
        "The schedule is off, its run fails, or Stripe is not configured.",
        ("billing reconcile",),
        "/console/books",
    ),
    "dispute_open": Rule(
        "A payment is disputed and waits for our answer: {example}",
        "Answer in Stripe's dashboard before its date. Until then the customer's dunning stands still.",
        ("billing disputes list",),
        "/console/corrections",
    ),
    "dispute_lost": Rule(
        "A dispute is lost: {example}",
        "The bank took the money back. Decide whether the next invoice asks for it again, or nobody does.",
        (
            "billing disputes list",
            f"billing disputes collect-again DISPUTE {_SIGNED}",
            f"billing disputes write-off DISPUTE {_SIGNED}",
        ),
        "/console/corrections",
    ),
    "refund_failed": Rule(
        "{count} refund(s) came back, such as {example}",
        "The customer still waits for the money. Decide where it goes.",
        ("billing credit refunds", f"billing credit repay REFUND --to balance {_SIGNED}"),
        "/console/corrections",
    ),
    "notices_late": Rule(
        "{count} notice(s) to customers are late, such as {example}",
        "The mail server or an endpoint takes nothing, or no run sends. Send by hand: it says what stands in the way.",
        ("billing notices list --state pending", "billing notices send"),
        "/console/health",
    ),
    "notices_given_up": Rule(
        "{count} notice(s) to customers were given up, such as {example}",
        "Put the address or the words right, then send them once more.",
        ("billing notices list --state failed", f"billing notices resend NOTICE {_SIGNED}"),
        "/console/health",
    ),
    "look_failed": Rule(
        "The running period of {count} customer(s) could not be looked at, such as {example}",
        "Nothing is told of their budgets and allowances meanwhile; the others are told. Looking by hand says why.",
        ("billing budgets check",),
        "/console/health",
    ),
    "token_expires": Rule(
        "{count} token(s) of the API expire soon, such as {example}",
        "Give its owner another one before that day: the old one holds a while beside it.",
        ("billing tokens list", f"billing tokens rotate TOKEN {_SIGNED}"),
        "/console/health",
    ),
    "certificate_expires": Rule(
        "The certificate of {subject} expires: {example}",
        "Renew it where the server is. Browsers and mails turn away from one that has ended; the mail server's own is"
        " renewed by whoever runs it.",
        ("billing env", "billing alerts run"),
        "/console/health",
    ),
    "disk_full": Rule(
        "The disk of {subject} is nearly full: {example}",
        "Old logs of Dagster's are deleted after BILLING_LOG_DAYS; give the disk more room.",
        ("billing months list",),
        "/console/health",
    ),
    "test": Rule(
        "A test, asked for by {example}",
        "Nothing is wrong. It is over by itself.",
        ("billing alerts list",),
        "/console/health",
    ),
}
"""By the rule's name, which is its heading in docs/alerts.md."""
