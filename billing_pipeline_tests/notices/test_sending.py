"""Sending over real SMTP: once each, later rather than wrong, and a lost answer counted as a doubt."""

import threading
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from sqlalchemy import text

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices import queue
from billing_pipeline.notices.holding import Held, hold_notices, release_notices
from billing_pipeline.notices.mail_files import MailFiles
from billing_pipeline.notices.queue import LEASE, PAGE_WAIT, due_count
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.resending import resend
from billing_pipeline.notices.senders import SenderUnavailable
from billing_pipeline.notices.sending import Post, SendReport, send_notices
from billing_pipeline.notices.smtp import SmtpSender
from billing_pipeline.notices.wording import Wording
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings.notices import SmtpServer
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.month_rows import execute, replica, seen_at_stripe
from billing_pipeline_tests.notices.killed_sender import killed
from billing_pipeline_tests.notices.mail_server import HANG_UP, MailServer, certificate, running_mail_server

WHO = Signature("ann", "as agreed")
WORDING = Wording(None, "en", "Lyceum", "https://portal.example.com")
SENDER = "Lyceum <billing@example.com>"


def send(warehouse: Warehouse, server: SmtpServer, *, after: timedelta = timedelta(0), **options: object) -> SendReport:
    """A pass so long after now."""
    sender = SmtpSender(server, timeout_s=5, **options)  # type: ignore[arg-type]
    try:
        return send_notices(
            warehouse, Post(sender, WORDING, SENDER), log=print, clock=lambda: datetime.now(UTC) + after
        )
    finally:
        sender.close()


def sendings(warehouse: Warehouse) -> list[tuple[str, int, int]]:
    return [(row["state"], row["attempts"], row["doubts"]) for row in reversed(list_notices(warehouse))]


def change_quietly(warehouse, customer_id, **values):
    """Without a word of it to the customer."""
    columns = ", ".join(f"{name} = '{value}'" for name, value in values.items())
    replica(warehouse, f"UPDATE billing.customers SET {columns} WHERE customer_id = '{customer_id}'")


def test_each_notice_is_mailed_once_over_one_connection(charging, mail_server):
    charging.charged(Bill("ann"), Bill("bob", card=None))
    warehouse = charging.warehouse
    change_quietly(warehouse, "bob", language="de-AT", name="Büro Bob")
    assert send(warehouse, mail_server.settings()).outcomes == {"sent": 4}
    assert send(warehouse, mail_server.settings()).outcomes == {}
    assert sendings(warehouse) == [("sent", 1, 0)] * 4
    assert mail_server.connections == 1
    ids = [mail["Message-ID"] for mail in mail_server.mails]
    assert len(set(ids)) == 4
    issued, paid = mail_server.to("ann@example.com")
    assert (issued["From"], issued["Auto-Submitted"]) == (SENDER, "auto-generated")
    assert issued["Subject"] == f"Invoice {charging.number_of('ann')} over $40.00"
    assert paid["Subject"].startswith("Thank you: $40.00")
    missing = mail_server.to("bob@example.com")[1]
    assert "es fehlt ein Zahlungsmittel" in missing["Subject"]
    text, html = (part.get_content() for part in missing.iter_parts())
    for shown in (text, html):
        assert "Guten Tag Büro Bob," in shown
        assert "40,00\xa0$" in shown
        assert "https://portal.example.com" in shown


def test_the_mail_of_an_invoice_waits_for_its_page_at_stripe_and_not_for_long(charging, mail_server):
    charging.bill(Bill("ann"), Bill("bob"))
    warehouse = charging.warehouse
    sender = SmtpSender(mail_server.settings(), timeout_s=5)
    post = Post(sender, WORDING, SENDER, page_wait=PAGE_WAIT)
    assert send_notices(warehouse, post, log=print).outcomes == {}
    assert due_count(warehouse, datetime.now(UTC)) == 0
    assert due_count(warehouse, datetime.now(UTC) + PAGE_WAIT) == 2
    charging.charge()
    assert send_notices(warehouse, post, log=print).outcomes == {"sent": 4}
    sender.close()
    [page] = warehouse.rows(
        "SELECT p.page_url, p.pdf_url FROM billing.invoice_pages AS p JOIN billing.invoices USING (invoice_id)"
        " WHERE customer_id = 'ann'"
    )
    for mail in mail_server.to("ann@example.com"):
        shown = mail.get_body(("plain",)).get_content()
        assert page["page_url"] in shown
        assert page["pdf_url"] in shown
    logged = warehouse.scalar("SELECT string_agg(CAST(l AS text), ' ') FROM billing.automation_log AS l")
    assert page["page_url"] not in logged


def test_what_is_handed_over_is_on_the_disk_and_so_is_what_was_sent_before_it(charging):
    charging.bill(Bill("ann"), Bill("bob"))
    warehouse = charging.warehouse
    first, second = queue.claim(warehouse, datetime.now(UTC))
    queue.begin_handing_over(warehouse, first)
    queue.sent(warehouse, first, datetime.now(UTC))  # waits for no disk
    written = warehouse.scalar("SELECT pg_current_wal_insert_lsn()")
    queue.begin_handing_over(warehouse, second)
    assert warehouse.scalar("SELECT pg_current_wal_flush_lsn() >= CAST(:written AS pg_lsn)", written=written)
    assert [state for state, _, _ in sendings(warehouse)] == ["sent", "handing_over"]


def test_two_passes_at_once_send_nothing_twice(charging, mail_server):
    charging.bill(*(Bill(f"c{number}") for number in range(45)))
    threads = [threading.Thread(target=send, args=(charging.warehouse, mail_server.settings())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mail_server.mails) == 45
    assert {row["state"] for row in list_notices(charging.warehouse)} == {"sent"}


def test_a_refusal_for_now_is_tried_again_later_and_one_for_good_is_given_up(charging, mail_server):
    charging.bill(Bill("ann"))
    warehouse = charging.warehouse
    mail_server.answers["RCPT"] = ["450 greylisted", "550 no such user"]
    assert send(warehouse, mail_server.settings()).outcomes == {"refused for now": 1}
    assert send(warehouse, mail_server.settings()).outcomes == {}  # not yet
    assert send(warehouse, mail_server.settings(), after=timedelta(minutes=2)).outcomes == {"failed": 1}
    [row] = list_notices(warehouse)
    assert (row["state"], row["attempts"], row["last_error"]) == ("failed", 2, "550 no such user")
    assert resend(warehouse, row["notice_id"], WHO) == row["notice_id"]
    assert send(warehouse, mail_server.settings()).outcomes == {"sent": 1}


@pytest.mark.parametrize("step", ["connect", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_server_that_hangs_up_before_it_could_have_the_mail_leaves_no_double(charging, mail_server, step):
    charging.bill(Bill("ann"), Bill("bob"))
    warehouse = charging.warehouse
    mail_server.answers[step] = [HANG_UP]
    report = send(warehouse, mail_server.settings())
    if step == "DATA":
        # nobody can tell from here whether it took the mail: the one moment that stays in doubt
        assert report.outcomes == {"in doubt": 1, "sent": 1}
    else:
        assert report.outcomes == {}
        assert "127.0.0.1" in str(report.stopped)
        assert {attempts for _, attempts, _ in sendings(warehouse)} == {0}  # the server's fault, not the notices'
    send(warehouse, mail_server.settings(), after=timedelta(minutes=3))
    assert {state for state, _, _ in sendings(warehouse)} == {"sent"}
    assert sorted(mail["To"] for mail in mail_server.mails) == ["ann@example.com", "bob@example.com"]


def test_a_mail_whose_answer_is_lost_goes_out_again_with_its_message_id_and_a_doubt(charging, mail_server):
    charging.bill(Bill("ann"))
    mail_server.answers["taken"] = [HANG_UP]
    assert send(charging.warehouse, mail_server.settings()).outcomes == {"in doubt": 1}
    assert send(charging.warehouse, mail_server.settings(), after=timedelta(minutes=2)).outcomes == {"sent": 1}
    first, second = mail_server.mails
    assert first["Message-ID"] == second["Message-ID"]
    assert sendings(charging.warehouse) == [("sent", 2, 1)]


@pytest.mark.parametrize(("when", "mails", "doubts"), [("before", 1, 0), ("edge", 1, 1), ("answer", 2, 1)])
def test_a_pass_that_is_killed_loses_nothing_and_doubles_only_what_it_had_handed_over(
    charging, mail_server, when, mails, doubts
):
    charging.bill(Bill("ann"))
    warehouse = charging.warehouse
    killed(warehouse, mail_server.port, when)
    assert send(warehouse, mail_server.settings()).outcomes == {}  # its lease still runs
    assert send(warehouse, mail_server.settings(), after=LEASE + timedelta(minutes=1)).outcomes == {"sent": 1}
    assert len(mail_server.mails) == mails
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 1
    [(state, _, counted)] = sendings(warehouse)
    assert (state, counted) == ("sent", doubts)


def test_nobody_is_asked_for_money_who_paid_the_moment_before(charging, mail_server):
    charging.charged(Bill("ann", card=None), Bill("bob", card=None))
    warehouse = charging.warehouse
    pay = seen_at_stripe("state = 'paid'", "customer_id = :c")
    execute(warehouse, pay, c="ann")
    paying = iter(["bob"])

    class PaysInBetween(SmtpSender):
        def _address(self, connection, letter):
            super()._address(connection, letter)
            if letter.recipient == "bob@example.com" and b"payment method" in letter.content:
                for customer in paying:
                    execute(warehouse, pay, c=customer)

    sender = PaysInBetween(mail_server.settings())
    report = send_notices(warehouse, Post(sender, WORDING, SENDER), log=print)
    sender.close()
    assert report.outcomes["overtaken"] == 2
    subjects = [mail["Subject"] for mail in mail_server.mails]
    assert len([subject for subject in subjects if "Invoice" in subject and "over" in subject]) == 2
    assert not [subject for subject in subjects if "payment method" in subject]


def test_what_is_held_waits_and_goes_out_when_it_is_released(charging, mail_server):
    charging.bill(Bill("ann"), Bill("bob"))
    hold_notices(charging.warehouse, Held(customer_id="ann"), WHO)
    assert send(charging.warehouse, mail_server.settings()).outcomes == {"sent": 1}
    release_notices(charging.warehouse, Held(customer_id="ann"), WHO)
    assert send(charging.warehouse, mail_server.settings()).outcomes == {"sent": 1}
    assert [mail["To"] for mail in mail_server.mails] == ["bob@example.com", "ann@example.com"]


def test_a_mail_is_sent_again_only_as_another_notice_and_to_todays_address(charging, mail_server):
    charging.bill(Bill("ann"))
    warehouse = charging.warehouse
    [row] = list_notices(warehouse)
    with pytest.raises(UserError, match="still on its way"):
        resend(warehouse, row["notice_id"], WHO)
    send(warehouse, mail_server.settings())
    change_quietly(warehouse, "ann", email="ann@example.net")
    assert resend(warehouse, row["notice_id"], WHO) != row["notice_id"]
    send(warehouse, mail_server.settings())
    first, second = mail_server.mails
    assert (first["To"], second["To"]) == ("ann@example.com", "ann@example.net")
    assert first["Message-ID"] != second["Message-ID"]


def test_an_address_that_is_none_stops_its_own_notice_alone(charging, mail_server):
    charging.drafts(Bill("ann"), Bill("bob"))
    change_quietly(charging.warehouse, "ann", email="two@@example com\nBcc: x@example.com")
    from billing_pipeline.invoicing.finalisation import finalise_month
    from billing_pipeline_tests.charging.world import MONTH

    finalise_month(charging.warehouse, MONTH, "run-0")
    assert send(charging.warehouse, mail_server.settings()).outcomes == {"failed": 1, "sent": 1}
    assert [mail["To"] for mail in mail_server.mails] == ["bob@example.com"]


def test_after_a_restore_nothing_is_mailed_until_the_books_are_compared(charging, mail_server):
    charging.bill(Bill("ann"))
    with charging.warehouse.transaction() as connection:
        connection.execute(
            text("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        )  # no trigger minds
        connection.execute(text("UPDATE billing.charge_brakes SET incarnation = '1/1'"))
    report = send(charging.warehouse, mail_server.settings())
    assert (report.outcomes, mail_server.mails) == ({}, [])
    assert "restored" in str(report.stopped)


def test_without_a_server_mails_are_files_that_only_the_owner_reads(charging, tmp_path: Path):
    charging.bill(Bill("ann"))
    report = send_notices(charging.warehouse, Post(MailFiles(tmp_path / "mail"), WORDING, SENDER), log=print)
    assert report.outcomes == {"sent": 1}
    [file] = (tmp_path / "mail").iterdir()
    assert file.stat().st_mode & 0o077 == 0
    mail = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert (file.suffix, mail["To"]) == (".eml", "ann@example.com")
    assert mail["Message-ID"] == f"<{file.stem}@example.com>"


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_goes_out_over_tls_only_and_never_into_a_message(charging, tmp_path, scheme):
    context, trusting = certificate(tmp_path)
    charging.bill(Bill("ann"))
    warehouse = charging.warehouse
    with running_mail_server(context, tls_at_once=scheme == "smtps") as server:
        settings = server.settings(scheme, "user", "s3cret-word")
        assert "s3cret" not in repr(settings)
        stopped = send(warehouse, settings).stopped
        assert "certificate" in str(stopped).lower()
        assert server.logins == []
        server.answers["AUTH"] = ["535 5.7.8 no: s3cret-word"] * 2
        report = send(warehouse, settings, after=timedelta(minutes=3), context=trusting)
        assert "refused (535)" in str(report.stopped)
        assert "s3cret" not in str(report.stopped)
        assert send(warehouse, settings, after=timedelta(minutes=6), context=trusting).outcomes == {"sent": 1}
        assert [mail["To"] for mail in server.mails] == ["ann@example.com"]


def test_a_server_without_tls_gets_no_password(charging, mail_server: MailServer):
    charging.bill(Bill("ann"))
    report = send(charging.warehouse, mail_server.settings("smtp", "user", "s3cret"))
    assert "STARTTLS" in str(report.stopped)
    assert (mail_server.logins, mail_server.mails) == ([], [])
    assert issubclass(SenderUnavailable, UserError)
