"""Certificates that end soon, at servers of our own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billing_pipeline.notices.alert_policies import load_alert_policy
from billing_pipeline.notices.certificates import _ends_at, certificate_signals
from billing_pipeline.notices.rules.alert_rules import Signal
from billing_pipeline.settings import load_settings
from billing_pipeline_tests.notices.mail_server import certificate, running_mail_server

NOW = datetime.now(UTC)


def seen(now: datetime = NOW) -> tuple[list[Signal], bool]:
    return certificate_signals(load_settings(), load_alert_policy(None), now)


def test_a_certificate_that_ends_soon_is_seen_at_the_pages_and_at_the_mail_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _ends_at.cache_clear()
    assert seen() == ([], True)  # http, and no mail server
    context, _ = certificate(tmp_path)  # for a day
    monkeypatch.setenv("BILLING_MAIL_FROM", "billing@example.com")
    with running_mail_server(context, tls_at_once=True) as pages, running_mail_server(context) as mail:
        monkeypatch.setenv("BILLING_PUBLIC_URL", f"https://127.0.0.1:{pages.port}")
        monkeypatch.setenv("BILLING_SMTP_URL", f"smtp://127.0.0.1:{mail.port}")
        found, complete = seen()
        assert complete
        assert [signal.subject for signal in found] == [f"127.0.0.1:{pages.port}", f"127.0.0.1:{mail.port}"]
        assert f"BILLING_SMTP_URL, on {NOW + timedelta(days=1):%Y-%m-%d}" in found[1].summary
        assert seen() == (found, True)
        assert (pages.connections, mail.connections) == (1, 1)  # once an hour
        assert seen(NOW - timedelta(days=14)) == ([], True)
        monkeypatch.setenv("BILLING_SMTP_URL", f"smtps://127.0.0.1:{pages.port}")
        assert len(seen()[0]) == 2
        monkeypatch.setenv("BILLING_SMTP_URL", "smtp://127.0.0.1:1")
        found, complete = seen()
        assert ([signal.subject for signal in found], complete) == ([f"127.0.0.1:{pages.port}"], False)
    assert seen(NOW + timedelta(hours=1)) == ([], False)  # nobody answers: nobody knows
