"""300 customers through 60 days by a clock of the test's: what each got and when, as it was worked out by hand.

The first refusal is on Wednesday, 3 January 2035 at 9:00 UTC. The packaged policy asks on day 3, warns on day 10 and
suspends on day 21, after a final refusal on 1, 7 and 14, after a debit's on 5, 16 and 28; what can wait goes out from 8
to 18 o'clock on working days in the customer's zone.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text

from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.notices import dunning
from billing_pipeline.notices.dunning_policies import load_policy
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.sending import Post, send_notices
from billing_pipeline.notices.smtp import SmtpSender
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import MONTH, Bill, insert_drafts, pass_gates
from billing_pipeline_tests.month_rows import move_charges
from billing_pipeline_tests.notices.mail_server import MailServer

BEGIN = datetime(2035, 1, 3, 9, tzinfo=UTC)
DAYS = 60
HOURS = (0, 8, 9, 13, 23)
"""When it is looked: among them 8 o'clock in UTC, New York and Tokyo."""
POLICY = load_policy(None)

ISSUED = ("invoice_issued", "2035-01-03 09:00")
NO_METHOD = ("payment_method_missing", "2035-01-03 09:00")
REFUSED = ("payment_failed", "2035-01-03 09:00")


@dataclass(frozen=True)
class Group:
    """So many customers to whom the same happens. `facts`: instant -> the charge's new states, one after the other;
    `then`: why it is refused in them."""

    count: int
    got: list[tuple[str, str]]
    ends: str | None = None
    first: str = "no_payment_method"
    facts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    timezone: str = "UTC"
    terms_days: int | None = None
    promise: tuple[str, date] | None = None
    then: str = "declined"
    by_bank: bool = False


GROUPS = {
    "pays_at_once": Group(
        95,
        [ISSUED, ("payment_succeeded", "2035-01-03 09:00")],
        first="paid",
    ),
    "pays_at_the_first_retry": Group(
        20,
        [ISSUED, REFUSED, ("payment_succeeded", "2035-01-04 09:00")],
        "current",
        "declined",
        {"2035-01-04 09:00": ("finalized", "paid")},
    ),
    # day 3 is a Saturday: the mail waits for Monday at 8
    "pays_at_the_third_retry": Group(
        20,
        [
            ISSUED, REFUSED, ("payment_failed", "2035-01-04 09:00"), ("payment_failed", "2035-01-06 09:00"),
            ("payment_overdue", "2035-01-08 08:00"), ("payment_succeeded", "2035-01-10 09:00"),
        ],
        "current",
        "declined",
        {
            "2035-01-04 09:00": ("finalized", "refused"),
            "2035-01-06 09:00": ("finalized", "refused"),
            "2035-01-10 09:00": ("finalized", "paid"),
        },
    ),
    "pays_on_the_sunday_before_the_reminder": Group(
        20,
        [ISSUED, REFUSED, ("payment_succeeded", "2035-01-07 09:00")],
        "current",
        "declined",
        {"2035-01-07 09:00": ("finalized", "paid")},
    ),
    "never_pays": Group(
        30,
        [
            ISSUED, NO_METHOD, ("payment_overdue", "2035-01-08 08:00"), ("final_notice", "2035-01-15 08:00"),
            ("service_suspended", "2035-01-24 09:00"),
        ],
        "suspended",
    ),
    # 9:00 UTC is 18:00 there: the day is over, and the suspension waits for the next morning
    "never_pays_in_tokyo": Group(
        15,
        [
            ISSUED, NO_METHOD, ("payment_overdue", "2035-01-07 23:00"), ("final_notice", "2035-01-14 23:00"),
            ("service_suspended", "2035-01-24 23:00"),
        ],
        "suspended",
        timezone="Asia/Tokyo",
    ),
    "never_pays_in_new_york": Group(
        15,
        [
            ISSUED, NO_METHOD, ("payment_overdue", "2035-01-08 13:00"), ("final_notice", "2035-01-15 13:00"),
            ("service_suspended", "2035-01-24 13:00"),
        ],
        "suspended",
        timezone="America/New_York",
    ),
    "pays_when_suspended": Group(
        20,
        [
            ISSUED, NO_METHOD, ("payment_overdue", "2035-01-08 08:00"), ("final_notice", "2035-01-15 08:00"),
            ("service_suspended", "2035-01-24 09:00"), ("payment_succeeded", "2035-02-02 09:00"),
            ("service_resumed", "2035-02-02 09:00"),
        ],
        "resumed",
        facts={"2035-02-02 09:00": ("paid",)},
    ),
    "pays_the_minute_before_the_suspension": Group(
        15,
        [
            ISSUED, NO_METHOD, ("payment_overdue", "2035-01-08 08:00"), ("final_notice", "2035-01-15 08:00"),
            ("payment_succeeded", "2035-01-24 09:00"),
        ],
        "current",
        facts={"2035-01-24 08:59": ("paid",)},
    ),
    # due on Friday, 2 February; three days before it a reminder, the day after it is a Saturday
    "has_thirty_days_and_does_not_pay": Group(
        10,
        [
            ISSUED, NO_METHOD, ("payment_due_soon", "2035-01-30 08:00"), ("payment_overdue", "2035-02-05 08:00"),
            ("final_notice", "2035-02-12 08:00"), ("service_suspended", "2035-02-23 08:00"),
        ],
        "suspended",
        terms_days=30,
    ),
    # the clock stands from the promise on Monday the 8th at 9 until the 20th is over: 12 days and 15 hours
    "promises_and_does_not_pay": Group(
        10,
        [
            ISSUED, NO_METHOD, ("payment_overdue", "2035-01-08 08:00"), ("final_notice", "2035-01-26 08:00"),
            ("service_suspended", "2035-02-06 08:00"),
        ],
        "suspended",
        promise=("2035-01-08 09:00", date(2035, 1, 20)),
    ),
    "has_lost_the_card": Group(
        10,
        [
            ISSUED, REFUSED, ("payment_overdue", "2035-01-04 09:00"), ("final_notice", "2035-01-10 09:00"),
            ("service_suspended", "2035-01-17 09:00"),
        ],
        "suspended",
        "declined_for_good",
    ),
    # reminded by the standard course; from the 10th on the notice comes six days after that, and a week later the end
    "loses_the_card_between_two_retries": Group(
        10,
        [
            ISSUED, REFUSED, ("payment_overdue", "2035-01-08 08:00"), ("payment_failed", "2035-01-10 09:00"),
            ("final_notice", "2035-01-12 09:00"), ("service_suspended", "2035-01-19 09:00"),
        ],
        "suspended",
        "declined",
        {"2035-01-10 09:00": ("finalized", "refused")},
        then="declined_for_good",
    ),
    "has_an_account_without_funds": Group(
        5,
        [
            ISSUED, REFUSED, ("payment_overdue", "2035-01-08 09:00"), ("final_notice", "2035-01-19 09:00"),
            ("service_suspended", "2035-01-31 09:00"),
        ],
        "suspended",
        "insufficient_funds",
        by_bank=True,
    ),
    "is_voided": Group(
        5,
        [ISSUED, NO_METHOD, ("payment_overdue", "2035-01-08 08:00"), ("invoice_voided", "2035-01-09 09:00")],
        "current",
        facts={"2035-01-09 09:00": ("void",)},
    ),
}  # fmt: skip


def at(instant: str) -> datetime:
    return datetime.fromisoformat(instant).replace(tzinfo=UTC)


def customers(group: str) -> list[str]:
    return [f"{group}-{number}" for number in range(GROUPS[group].count)]


def move(warehouse: Warehouse, names: list[str], *states: str, reason: str, by_bank: bool) -> None:
    """The charges' states, one after the other; what leaves a refusal is another attempt."""
    for state in states:
        move_charges(
            warehouse,
            "attempt = attempt + CAST(state = 'refused' AND :s = 'finalized' AS integer), state = :s,"
            " reason_code = CASE WHEN :s = 'refused' THEN :reason END,"
            " reason = CASE WHEN :s = 'refused' THEN 'as played' END,"
            " stripe_customer_id = 'cus_' || customer_id, stripe_invoice_id = 'in_' || customer_id,"
            " stripe_total_minor = amount_minor, stripe_currency = currency,"
            " bank_payment_id = CASE WHEN :by_bank THEN 'py_' || customer_id END",
            "customer_id = ANY(:names)",
            s=state, reason=reason, by_bank=by_bank, names=names,
        )  # fmt: skip


def play_the_first_charges(warehouse: Warehouse) -> None:
    """All are charged; from the first refusal on the test's clock counts."""
    bills = [Bill(name, card=None, at_stripe=False) for group in GROUPS for name in customers(group)]
    assert len(bills) == 300
    insert_drafts(warehouse, bills, {})
    pass_gates(warehouse)
    finalise_month(warehouse, MONTH, "run-0")
    for group, one in GROUPS.items():
        with warehouse.transaction() as connection:
            connection.execute(
                text(
                    "UPDATE billing.customers SET timezone = :zone, payment_terms_days = :terms"
                    " WHERE customer_id = ANY(:names)"
                ),
                {"zone": one.timezone, "terms": one.terms_days, "names": customers(group)},
            )
    for group, one in GROUPS.items():
        refused = one.first != "paid"
        state = "refused" if refused else "paid"
        move(warehouse, customers(group), state, reason=one.first, by_bank=one.by_bank)
    with warehouse.transaction() as connection:
        # no trigger minds
        connection.execute(text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica"))
        due = datetime(2035, 2, 2, tzinfo=UTC)
        connection.execute(
            text(
                "UPDATE billing.dunning_cases SET begins_at = CASE track WHEN 'after_due_date' THEN :due"
                " ELSE CAST(:begin AS timestamptz) END"
            ),
            {"due": due, "begin": BEGIN},
        )


def test_three_hundred_customers_through_sixty_days(warehouse: Warehouse, mail_server: MailServer):
    play_the_first_charges(warehouse)
    sender = SmtpSender(mail_server.settings())
    post = Post(sender, Wording(None, "en", "Lyceum", None), "billing@example.com")
    looks = [BEGIN.replace(hour=hour) + timedelta(days=day) for day in range(DAYS + 1) for hour in HOURS]
    facts = sorted((at(instant), group) for group, one in GROUPS.items() for instant in one.facts)
    for now in (look for look in looks if look >= BEGIN):
        while facts and facts[0][0] <= now:
            happened, group = facts.pop(0)
            one = GROUPS[group]
            states = one.facts[f"{happened:%Y-%m-%d %H:%M}"]
            move(warehouse, customers(group), *states, reason=one.then, by_bank=one.by_bank)
        for group, one in GROUPS.items():
            if one.promise is not None and at(one.promise[0]) == now:
                for name in customers(group):
                    dunning.promise(warehouse, name, one.promise[1], now, Signature("ann", "called us"))
        dunning.take_steps(warehouse, POLICY, "run", now, lambda _: None)
        send_notices(warehouse, post, log=lambda _: None, clock=lambda now=now: now)  # type: ignore[misc]
    sender.close()

    rows = list_notices(warehouse, limit=10_000)
    got: dict[str, list[tuple[str, str]]] = {name: [] for group in GROUPS for name in customers(group)}
    for row in reversed(rows):
        if row["state"] == "sent":
            got[row["customer_id"]].append((row["kind"], f"{row['sent_at'].astimezone(UTC):%Y-%m-%d %H:%M}"))
    for group, one in GROUPS.items():
        for name in customers(group):
            assert (name, sorted(got[name], key=lambda mail: mail[1])) == (name, one.got)

    assert {row["state"] for row in rows} == {"sent", "overtaken"}
    assert Counter(row["kind"] for row in rows if row["state"] == "overtaken") == {"payment_overdue": 20}
    assert max(Counter(mail["Message-ID"] for mail in mail_server.mails).values()) == 1
    mailed = Counter(mail["To"].partition("@")[0] for mail in mail_server.mails)
    assert mailed == {name: len(GROUPS[group].got) for group in GROUPS for name in customers(group)}

    stands = {row["customer_id"]: row["state"] for row in dunning.standings(warehouse)}
    for group, one in GROUPS.items():
        assert {stands.get(name) for name in customers(group)} <= {
            one.ends,
            None if one.ends == "current" else one.ends,
        }
