"""Alerts on a real database, to a real mail server and real HTTP servers: told once, never lost, acknowledged, over."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.alerting import AlertReport, alert_operators, try_alerts
from billing_pipeline.notices.alerts import acknowledge, audience_of, list_alerts, read_alert
from billing_pipeline.notices.holding import Held, hold_notices
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.rules.alert_rules import Signal
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings, load_settings
from billing_pipeline.settings.environment import SettingsError
from billing_pipeline_tests.month_rows import execute
from billing_pipeline_tests.notices.mail_server import MailServer
from billing_pipeline_tests.notices.platform_server import Platform

WHO = Signature("ann", "I look at it")
Look = Callable[..., AlertReport]
FAILED = Signal("run_failed", "charge_month 2026-10", example="Stripe: no answer (run 01234567)")


@pytest.fixture
def settings(mail_server: MailServer, platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Settings:
    for name, value in {
        "BILLING_STATE_DIR": str(tmp_path),
        "BILLING_SMTP_URL": f"smtp+plain://127.0.0.1:{mail_server.port}",
        "BILLING_MAIL_FROM": "Lyceum <billing@example.com>",
        "BILLING_ALERT_MAIL": "ops@example.com, boss@example.com",
        "BILLING_ALERT_SLACK_URL": f"{platform.base}/slack/T0/s3cret",
        "BILLING_ALERT_PAGERDUTY_KEY": "r0ut1ngkey",
        "BILLING_ALERT_PAGERDUTY_URL": f"{platform.base}/v2/enqueue",
        "BILLING_PUBLIC_URL": "https://billing.example.com",
    }.items():
        monkeypatch.setenv(name, value)
    return load_settings()


@pytest.fixture
def look(warehouse: Warehouse, settings: Settings) -> Look:
    """A look so much later, that sees these."""

    def at(*signals: Signal, after: timedelta = timedelta(0)) -> AlertReport:
        return alert_operators(
            warehouse, settings, of_dagster=signals, looked_at={"run_failed"}, log=print,
            clock=lambda: datetime.now(UTC) + after,
        )  # fmt: skip

    return at


def events(platform: Platform) -> list[tuple[str, str]]:
    bodies = [json.loads(body) for path, body in platform.posted if path == "/v2/enqueue"]
    return [(body["event_action"], body.get("payload", {}).get("class", "")) for body in bodies]


def chats(platform: Platform) -> list[str]:
    return [json.loads(body)["text"] for path, body in platform.posted if path == "/slack/T0/s3cret"]


def test_when_all_is_well_nobody_is_told(look, warehouse):
    assert str(look()) == "nothing is wrong"
    assert list_alerts(warehouse, over=True) == []
    assert list_notices(warehouse) == []


def test_it_is_told_once_by_every_channel_and_once_that_it_is_over(look, warehouse, mail_server, platform):
    assert look(FAILED).messages == {"sent": 4}
    assert look(FAILED).messages == {}
    [mail] = mail_server.to("ops@example.com")
    assert (
        mail["Subject"] == "[billing critical] A run of charge_month 2026-10 failed: Stripe: no answer (run 01234567)"
    )
    said = mail.get_body(("plain",)).get_content()
    assert "billing charges status" in said
    assert "https://billing.example.com/console/health" in said
    assert len(mail_server.to("boss@example.com")) == 1
    assert events(platform) == [("trigger", "run_failed")]
    [chat] = chats(platform)
    assert "A run of charge_month 2026-10 failed" in chat
    assert look(after=timedelta(minutes=16)).alerts == {"resolved": 1}
    assert events(platform) == [("trigger", "run_failed"), ("resolve", "")]
    assert chats(platform)[1].startswith("*critical* over: ")
    assert list_alerts(warehouse) == []
    [row] = list_alerts(warehouse, over=True)
    assert row["tellings"] == 1
    assert look(FAILED, after=timedelta(minutes=17)).alerts == {"opened": 1}


def test_what_goes_out_at_once_is_one_message_to_people_and_an_event_each_to_the_pager(look, platform, mail_server):
    look(FAILED, Signal("run_failed", "send_notices"), Signal("run_failed", "sweep_stripe_events"))
    assert len(mail_server.mails) == 2
    assert len(chats(platform)) == 1
    assert events(platform) == [("trigger", "run_failed")] * 3


def test_a_warning_does_not_ring_the_pager(look, warehouse, platform):
    execute(warehouse, "INSERT INTO billing.alerts (rule, subject, severity, summary, row_count, opened_at, seen_at,"
            " told_at, told_count) VALUES ('run_late', 'x', 'warning', 'late', 1, now(), now(), now(), 1)")  # fmt: skip
    alert_id = list_alerts(warehouse)[0]["alert_id"]
    assert look(after=timedelta(hours=25)).alerts == {}  # nobody looked at late runs
    assert events(platform) == []
    assert read_alert(warehouse, alert_id)["resolved_at"] is None


def test_acknowledged_it_is_not_told_again_until_it_is_worse(look, warehouse, settings, platform):
    look(FAILED)
    [row] = list_alerts(warehouse)
    audience = audience_of(settings, load_alert_policy(None))
    acknowledge(warehouse, audience, row["alert_id"], WHO)
    look(FAILED)
    assert events(platform) == [("trigger", "run_failed"), ("acknowledge", "")]
    assert len(chats(platform)) == 1
    assert look(FAILED, after=timedelta(days=2)).messages == {}
    with pytest.raises(UserError, match="ann has it already: I look at it"):
        acknowledge(warehouse, audience, row["alert_id"], WHO)
    assert look(replace(FAILED, count=2)).alerts == {"worse": 1}
    assert read_alert(warehouse, row["alert_id"])["acknowledged_by"] is None
    logged = warehouse.rows(
        "SELECT actor, object_id, reason FROM billing.automation_log WHERE action = 'alert.acknowledge'"
    )
    assert logged == [{"actor": "ann", "object_id": str(row["alert_id"]), "reason": "I look at it"}]
    with pytest.raises(UserError, match="found none"):
        acknowledge(warehouse, audience, 999, WHO)


def test_what_nobody_acknowledges_is_told_again_after_a_day(look, platform):
    look(FAILED)
    assert look(FAILED, after=timedelta(hours=23)).messages == {}
    assert look(FAILED, after=timedelta(hours=24, minutes=1)).alerts == {"reminded": 1}
    assert chats(platform)[1].startswith("*critical* still: ")


@pytest.mark.parametrize("answer", [500, 404, 0])
def test_what_was_not_taken_is_sent_again(look, platform, answer):
    platform.answers = [answer]
    first = look(FAILED).messages
    assert first["sent"] == 3
    assert look(FAILED, after=timedelta(minutes=2)).messages == {"sent": 1}
    assert len(chats(platform)) == (2 if answer == 0 else 1)  # taken, and the answer lost: the one double there can be


def test_without_a_mail_server_the_others_hear_of_it_and_the_mail_waits(look, platform, mail_server, warehouse):
    mail_server.answers["connect"] = ["421 later"]
    report = look(FAILED)
    assert report.messages == {"sent": 2}
    assert len(report.stopped) == 1
    assert (len(chats(platform)), len(mail_server.mails)) == (1, 0)
    look(FAILED, after=timedelta(minutes=3))
    assert len(mail_server.mails) == 2
    assert {row["state"] for row in list_notices(warehouse)} == {"sent"}


def test_operators_hear_of_a_restored_database_while_customers_hear_nothing(look, warehouse, platform):
    execute(
        warehouse,
        "UPDATE billing.charge_brakes SET needs_reconciliation = true, charges_enabled = false, changed_by = 'failover',"
        " reason = 'another database'",
    )
    assert look().messages == {"sent": 4}
    assert events(platform) == [("trigger", "charging_stopped")]
    assert "stopped by failover: another database" in chats(platform)[0]


def test_a_hold_on_all_notices_keeps_no_alert(look, warehouse):
    hold_notices(warehouse, Held(), WHO)
    assert look(FAILED).messages == {"sent": 4}


def test_two_looks_at_once_tell_it_once(look, platform):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: look(FAILED), range(4)))
    assert sum(report.alerts["opened"] for report in reports) == 1
    assert events(platform) == [("trigger", "run_failed")]


def test_a_secret_is_in_no_row_and_in_no_error(look, warehouse, platform, settings):
    platform.answers = [500, 500, 500]
    look(FAILED)
    rows = str(warehouse.rows("SELECT n::text, s::text FROM billing.notices AS n JOIN billing.notice_sendings AS s"
                              " USING (notice_id)")) + str(settings)  # fmt: skip
    assert "s3cret" not in rows
    assert "r0ut1ngkey" not in rows


def test_a_test_reaches_everybody_and_is_over_by_itself(warehouse, settings, look, platform):
    assert try_alerts(warehouse, settings, "ann", log=print).messages == {"sent": 3}  # a warning: no pager
    assert "A test, asked for by ann" in chats(platform)[0]
    assert look(after=timedelta(minutes=16)).alerts == {"resolved": 1}


def test_an_alert_that_is_over_stays_over(look, warehouse):
    look(FAILED)
    look(after=timedelta(minutes=16))
    for wrong in ("UPDATE billing.alerts SET resolved_at = NULL", "DELETE FROM billing.alerts"):
        with pytest.raises(IntegrityError):
            execute(warehouse, wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BILLING_ALERT_MAIL", "ops@example.com,nobody"),
        ("BILLING_ALERT_SLACK_URL", "http://hooks.example.com/s3cret"),
        ("BILLING_ALERT_PAGERDUTY_URL", "ftp://example.com"),
    ],
)
def test_a_setting_that_cannot_work_is_named_without_its_secret(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as error:
        load_settings()
    assert "s3cret" not in str(error.value)
