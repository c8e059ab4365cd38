"""What a customer wants to be told, and where: further addresses, kinds that are off, bounces, the unsubscribe link."""

from datetime import UTC, datetime, time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.notice_kinds import KINDS, OPTIONAL
from billing_pipeline.core.signature import Signature
from billing_pipeline.invoicing.finalisation import finalise_month
from billing_pipeline.notices import addresses, choices, mail_hours
from billing_pipeline.notices.queue import claim
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.resending import resend
from billing_pipeline.notices.rules.sending import Hours
from billing_pipeline.notices.sending import Post, send_notices
from billing_pipeline.notices.smtp import SmtpSender
from billing_pipeline.notices.wording import Wording
from billing_pipeline_tests.charging.world import MONTH, Bill
from billing_pipeline_tests.month_rows import BOOK, add_customer, execute, load_book

WHO = Signature("ann", "as they asked")
PAGE = "https://billing.a-company-with-a-long-name.example.com/unsubscribe/"
BOOKS = "accounts@example.com"


def told(warehouse, customer_id="ann"):
    return sorted((row["kind"], row["recipient"]) for row in list_notices(warehouse, customer_id=customer_id))


def send(warehouse, mail_server):
    sender = SmtpSender(mail_server.settings())
    post = Post(
        sender,
        Wording(None, "en", "Lyceum", None),
        "billing@example.com",
        "https://billing.a-company-with-a-long-name.example.com/unsubscribe/",
    )
    try:
        return send_notices(warehouse, post, log=print).outcomes
    finally:
        sender.close()


def test_the_kinds_that_may_be_off_are_those_of_postgres(db):
    may_be = text("SELECT kind FROM unnest(CAST(:kinds AS text[])) AS k (kind) WHERE billing.may_be_switched_off(kind)")
    assert set(db.execute(may_be, {"kinds": list(KINDS)}).scalars()) == OPTIONAL
    assert set(KINDS) > OPTIONAL
    for table in ("notices_off", "book_notices_off"):
        checks = text(
            "SELECT count(*) FROM pg_constraint WHERE conrelid = CAST(:of AS regclass)"
            " AND pg_get_constraintdef(oid) = 'CHECK (billing.may_be_switched_off(kind))'"
        )
        assert db.execute(checks, {"of": f"billing.{table}"}).scalar_one() == 1


VERSION = """
  - id: "{year}"
    effective_from: {year}-01-01
    notices_off: [{kind}]
    prices: [{{meter: fee, model: flat, amount: "10"}}]
"""
DISAGREEING = (
    # who has it off                          ann's own address, a further one of hers, and bob
    ((),                                      (True, True, True)),
    (("book",),                               (False, False, False)),
    (("everybody",),                          (False, False, False)),
    (("customer",),                           (False, False, True)),
    (("person",),                             (False, True, True)),
    (("book", "everybody"),                   (False, False, False)),
    (("book", "customer"),                    (False, False, False)),
    (("book", "person"),                      (False, False, False)),
    (("everybody", "customer"),               (False, False, False)),
    (("everybody", "person"),                 (False, False, False)),
    (("customer", "person"),                  (False, False, True)),
    (("book", "everybody", "customer", "person"), (False, False, False)),
    (("the book before",),                    (True, True, True)),
    (("the book to come",),                   (True, True, True)),
)  # fmt: skip


def test_whoever_says_off_is_heard_and_of_the_book_its_version_in_force(warehouse):
    for customer_id in ("ann", "bob", "euro"):
        add_customer(warehouse, customer_id, currency="eur" if customer_id == "euro" else "usd")
    addresses.add_address(warehouse, "ann", BOOKS, (), WHO)
    whom = (("ann", "ann@example.com"), ("ann", BOOKS), ("bob", "bob@example.com"))
    kind = "credits_low"
    off = "INSERT INTO billing.notices_off (kind, customer_id, email, author, reason) VALUES (:kind, :id, :email, 'x', 'x')"
    rows = {"everybody": (None, None), "customer": ("ann", None), "person": ("ann", "ANN@example.com")}
    years = {"the book before": 2025, "book": 2026, "the book to come": 2999}
    load_book(warehouse, BOOK.rstrip())
    for who, expected in DISAGREEING:
        versions = [
            VERSION.format(year=year, kind=kind if name in who else "usage_unusual") for name, year in years.items()
        ]
        load_book(warehouse, BOOK[: BOOK.index("versions:")] + "versions:" + "".join(versions).rstrip() + "\n")
        for name in who:
            if name in rows:
                execute(warehouse, off, kind=kind, id=rows[name][0], email=rows[name][1])
        mailed = [warehouse.scalar("SELECT billing.is_mailed(:k, :c, :m)", k=kind, c=c, m=m) for c, m in whom]
        assert (who, tuple(mailed)) == (who, expected)
        assert warehouse.scalar("SELECT billing.is_mailed(:k, 'euro', 'e@example.com')", k=kind) is (
            "everybody" not in who
        )
        assert (kind in choices.choosable_kinds(warehouse, "bob")) is not ({"book", "everybody"} & set(who) != set())
        listed = [row["kinds"] for row in choices.list_choices(warehouse, "ann") if row["what"] == "book"]
        assert listed == [f"{kind if 'book' in who else 'usage_unusual'} (usd)"]
        execute(
            warehouse,
            "UPDATE billing.notices_off SET released_at = now(), released_by = 'x', release_reason = 'x'"
            " WHERE released_at IS NULL",
        )
    execute(warehouse, "SELECT billing.write_notice('usage_unusual', 'bob', NULL, 'k', '{}')")
    assert told(warehouse, "bob") == []


def test_several_addresses_are_told_each_once_and_each_of_its_kinds(charging, mail_server):
    warehouse = charging.warehouse
    charging.drafts(Bill("ann"))
    addresses.add_address(warehouse, "ann", BOOKS, (), WHO)
    addresses.add_address(warehouse, "ann", "boss@example.com", ["payment_succeeded"], WHO)
    with pytest.raises(UserError, match="told already"):
        addresses.add_address(warehouse, "ann", BOOKS.upper(), (), WHO)
    addresses.add_address(warehouse, "ann", "ann@example.com", (), WHO)  # its own: not told twice
    finalise_month(warehouse, MONTH, "run-0")
    charging.charge()
    assert told(warehouse) == [
        ("invoice_issued", BOOKS), ("invoice_issued", "ann@example.com"), ("payment_succeeded", BOOKS),
        ("payment_succeeded", "ann@example.com"), ("payment_succeeded", "boss@example.com"),
    ]  # fmt: skip
    assert send(warehouse, mail_server) == {"sent": 5}
    assert len(mail_server.to(BOOKS)) == 2
    addresses.remove_address(warehouse, "ann", BOOKS, WHO)
    with pytest.raises(UserError, match="found none"):
        addresses.remove_address(warehouse, "ann", BOOKS, WHO)


@pytest.mark.parametrize("customer", [None, "ann"])
def test_a_kind_that_is_off_is_not_mailed_and_others_are(charging, customer):
    warehouse = charging.warehouse
    charging.bill(Bill("ann"), Bill("bob"))
    choices.switch_off(warehouse, "payment_succeeded", customer, WHO)
    with pytest.raises(UserError, match="off already"):
        choices.switch_off(warehouse, "payment_succeeded", customer, WHO)
    charging.charge()
    assert told(warehouse) == [("invoice_issued", "ann@example.com")]
    assert len(told(warehouse, "bob")) == (1 if customer is None else 2)
    assert choices.switch_on(warehouse, "payment_succeeded", customer, WHO) == 1
    with pytest.raises(UserError, match="not off"):
        choices.switch_on(warehouse, "payment_succeeded", customer, WHO)


def test_what_is_due_cannot_be_switched_off(warehouse):
    with pytest.raises(
        UserError, match='kind "invoice_issued": expected one that is not due anyway: allowance_reached'
    ):
        choices.switch_off(warehouse, "invoice_issued", None, WHO)
    off = "INSERT INTO billing.notices_off (kind, author, reason) VALUES (:kind, 'a', 'b')"
    for kind in ("final_notice", "details_changed"):  # whoever takes an account over would silence the latter first
        with pytest.raises(UserError, match="expected one that is not due anyway"):
            choices.switch_off(warehouse, kind, None, WHO)
        with pytest.raises(IntegrityError):
            execute(warehouse, off, kind=kind)


def test_only_what_is_not_due_has_an_unsubscribe_link_and_it_ends_that_kind_for_that_address(charging, mail_server):
    warehouse = charging.warehouse
    charging.bill(Bill("ann"))
    addresses.add_address(warehouse, "ann", BOOKS, (), WHO)
    charging.charge()
    send(warehouse, mail_server)
    links = {mail["Subject"]: mail["List-Unsubscribe"] for mail in mail_server.to("ann@example.com")}
    assert sum(link is not None for link in links.values()) == 1
    [mail] = [mail for mail in mail_server.to(BOOKS) if mail["List-Unsubscribe"]]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    key = mail["List-Unsubscribe"].strip("<>").removeprefix(PAGE)
    for _ in range(2):
        assert choices.unsubscribe(warehouse, key) == ("payment_succeeded", BOOKS)
    [row] = [row for row in choices.list_choices(warehouse, "ann") if row["what"] == "off"]
    assert (row["email"], row["kinds"], row["author"]) == (BOOKS, "payment_succeeded", "customer ann")
    execute(warehouse, "SELECT billing.write_notice('payment_succeeded', 'ann', NULL, 'x', '{}')")
    assert [row["recipient"] for row in list_notices(warehouse)[:1]] == ["ann@example.com"]
    for wrong in (key[:-1] + ("0" if key[-1] != "0" else "1"), "notice-1-x", "x", key + "\n", "notice-" + "9" * 30):
        with pytest.raises(NotFound):
            choices.unsubscribe(warehouse, wrong)


def test_the_link_of_what_is_due_ends_nothing(charging, mail_server):
    charging.bill(Bill("ann"))
    send(charging.warehouse, mail_server)
    [mail] = mail_server.mails
    with pytest.raises(NotFound):
        choices.unsubscribe(charging.warehouse, mail["Message-ID"].strip("<>").partition("@")[0])


def test_an_address_that_bounced_is_mailed_nothing_and_what_is_due_fails_where_it_is_seen(charging, mail_server):
    warehouse = charging.warehouse
    charging.bill(Bill("ann"), Bill("bob"))
    addresses.note_bounce(warehouse, "Ann@example.com", Signature("ann", "550 no such user"))
    with pytest.raises(UserError, match="noted already"):
        addresses.note_bounce(warehouse, "ann@example.com", WHO)
    assert send(warehouse, mail_server) == {"failed": 1, "sent": 1}
    [failed] = list_notices(warehouse, state="failed")
    assert failed["last_error"] == "mails to ann@example.com come back: 550 no such user"
    addresses.forget_bounce(warehouse, "ann@example.com", WHO)
    with pytest.raises(UserError, match="nothing is noted"):
        addresses.forget_bounce(warehouse, "ann@example.com", WHO)
    resend(warehouse, failed["notice_id"], WHO)
    assert send(warehouse, mail_server) == {"sent": 1}


def test_choices_are_ended_once_and_logged(warehouse):
    add_customer(warehouse, "ann")
    addresses.add_address(warehouse, "ann", BOOKS, (), WHO)
    for wrong in ("UPDATE billing.notice_addresses SET email = 'x@y.z'", "DELETE FROM billing.notice_addresses"):
        with pytest.raises(IntegrityError):
            execute(warehouse, wrong)
    logged = warehouse.rows("SELECT actor, object_id FROM billing.automation_log WHERE action = 'notice.add_address'")
    assert logged == [{"actor": "ann", "object_id": "ann"}]
    for email in ("x", "a b@example.com", "ä@example.com"):
        with pytest.raises(UserError, match="expected a mail address"):
            addresses.add_address(warehouse, "ann", email, (), WHO)


def test_the_nearest_hours_that_were_chosen_hold_and_are_given_up(warehouse):
    add_customer(warehouse, "ann")
    addresses.add_address(warehouse, "ann", BOOKS, (), WHO)
    mail_hours.choose_hours(warehouse, None, None, Hours(time(9), time(12)), WHO)
    mail_hours.choose_hours(warehouse, "ann", None, Hours(time(5), time(6)), WHO)
    mail_hours.choose_hours(warehouse, "ann", None, Hours(time(6), time(20)), WHO)  # in place of those
    mail_hours.choose_hours(warehouse, "ann", BOOKS, Hours(time(0), time(23), on_weekends=True), WHO)

    def claimed():
        execute(warehouse, "SELECT billing.write_notice('final_notice', 'ann', NULL, gen_random_uuid()::text, '{}')")
        notices = [each.notice for each in claim(warehouse, datetime.now(UTC))]
        return {notice.recipient: (notice.hours.begins.hour, notice.hours.on_weekends) for notice in notices}

    assert claimed() == {"ann@example.com": (6, False), BOOKS: (0, True)}
    mail_hours.give_hours_up(warehouse, "ann", None, WHO)
    with pytest.raises(UserError, match="expected hours of ann, found none"):
        mail_hours.give_hours_up(warehouse, "ann", None, WHO)
    assert claimed() == {"ann@example.com": (9, False), BOOKS: (0, True)}
    assert [row["kinds"] for row in choices.list_choices(warehouse) if row["what"] == "hours"] == [
        "09:00 to 12:00", "00:00 to 23:00, on weekends too",
    ]  # fmt: skip
    with pytest.raises(UserError, match="expected the customer whose address it is"):
        mail_hours.choose_hours(warehouse, None, BOOKS, Hours(time(1), time(2)), WHO)
    with pytest.raises(UserError, match="expected an end an hour or more later"):
        mail_hours.choose_hours(warehouse, "ann", None, Hours(time(2), time(2)), WHO)


def test_a_customer_chooses_for_its_own_address_and_not_what_nobody_is_mailed(warehouse):
    for customer_id in ("ann", "bob"):
        add_customer(warehouse, customer_id)
    off = "INSERT INTO billing.notices_off (kind, customer_id, email, author, reason) VALUES (:kind, :id, :email, 'x', 'x')"
    execute(warehouse, off, kind="usage_unusual", id="ann", email=BOOKS)  # a further address unsubscribed
    execute(warehouse, off, kind="credits_low", id="bob", email="ann@example.com")  # ann's address, told of bob
    choices.switch_off(warehouse, "service_resumed", None, WHO)
    assert "service_resumed" not in choices.choosable_kinds(warehouse, "ann")
    assert set(choices.choosable_kinds(warehouse, "ann").values()) == {True}
    choices.switch_off(warehouse, "usage_unusual", "ann", WHO)
    assert choices.choosable_kinds(warehouse, "ann")["usage_unusual"] is False
    assert choices.switch_on(warehouse, "usage_unusual", "ann", WHO, email="ann@example.com") == 1
    assert choices.choosable_kinds(warehouse, "ann")["usage_unusual"] is True
    assert not warehouse.scalar("SELECT billing.is_mailed('usage_unusual', 'ann', :email)", email=BOOKS)
