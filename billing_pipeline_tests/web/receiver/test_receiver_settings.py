"""The receiver does not start with settings that would let in what Stripe did not send."""

import base64
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from billing_pipeline.cli import main
from billing_pipeline.events.writer import libpq_url
from billing_pipeline.settings import EMULATOR_KEY, ROOT, SettingsError, load_receiver_settings, load_settings
from billing_pipeline.web.receiver.app import app

KEY = base64.b64encode(b"k" * 32).decode()
GOOD = {"STRIPE_WEBHOOK_SECRET": "whsec_" + "s" * 32, "BILLING_EVENT_KEYS": f"2026a:{KEY}"}


@pytest.fixture(autouse=True)
def _good(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


BAD = {
    "no secret": ("STRIPE_WEBHOOK_SECRET", "", "STRIPE_WEBHOOK_SECRET, secret 1: expected whsec_"),
    "a short secret": ("STRIPE_WEBHOOK_SECRET", "whsec_short", "STRIPE_WEBHOOK_SECRET, secret 1"),
    "an empty second secret": ("STRIPE_WEBHOOK_SECRET", GOOD["STRIPE_WEBHOOK_SECRET"] + ",", "secret 2"),
    "four secrets": ("STRIPE_WEBHOOK_SECRET", ",".join(c * 30 for c in "abcd"), "one to 3 different"),
    "a secret twice": ("STRIPE_WEBHOOK_SECRET", ",".join(["a" * 30] * 2), "one to 3 different"),
    "a secret that is no ASCII": ("STRIPE_WEBHOOK_SECRET", "é" * 30, "secret 1"),
    "tolerance 0": ("STRIPE_WEBHOOK_TOLERANCE_S", "0", "STRIPE_WEBHOOK_TOLERANCE_S='0': expected a whole number above 0"),
    "a negative tolerance": ("STRIPE_WEBHOOK_TOLERANCE_S", "-1", "expected a whole number above 0"),
    "a wide tolerance": ("STRIPE_WEBHOOK_TOLERANCE_S", "301", "STRIPE_WEBHOOK_TOLERANCE_S=301: expected at most 300"),
    "livemode": ("STRIPE_WEBHOOK_LIVEMODE", "yes", "STRIPE_WEBHOOK_LIVEMODE='yes': expected true or false"),
    "account": ("STRIPE_WEBHOOK_ACCOUNT", "me", "STRIPE_WEBHOOK_ACCOUNT='me': expected acct_"),
    "port": ("BILLING_RECEIVER_PORT", "70000", "BILLING_RECEIVER_PORT=70000: expected at most 65535"),
    "no key": ("BILLING_EVENT_KEYS", "", "BILLING_EVENT_KEYS is not set"),
    "a key without its id": ("BILLING_EVENT_KEYS", KEY, "BILLING_EVENT_KEYS, key 1: expected id:base64 of 32 bytes"),
    "a short key": ("BILLING_EVENT_KEYS", f"a:{KEY},b:{KEY[:20]}", "BILLING_EVENT_KEYS, key 2"),
    "a key that is no base64": ("BILLING_EVENT_KEYS", f"a:!{KEY}", "BILLING_EVENT_KEYS, key 1"),
    "a key's id twice": ("BILLING_EVENT_KEYS", f"a:{KEY},a:{KEY}", "key 2: the id is there twice"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "because"), BAD.values(), ids=BAD.keys())
def test_it_refuses_to_start_in_one_line_that_names_the_setting_and_no_secret(monkeypatch, name, value, because):
    monkeypatch.setenv(name, value)
    result = CliRunner().invoke(main, ["receiver"])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert because in result.stderr
    assert not value or "SECRET" not in name or value not in result.stderr
    assert KEY not in result.stderr


def test_unset_it_takes_test_events_of_our_own_account_within_five_minutes():
    settings = load_receiver_settings()
    assert (settings.tolerance_s, settings.livemode, settings.account, settings.port) == (300, False, None, 12_200)
    assert "sss" not in repr(settings)
    assert "kkk" not in repr(settings)


def test_with_a_live_key_it_takes_live_events_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_x")
    assert load_receiver_settings().livemode
    monkeypatch.setenv("STRIPE_WEBHOOK_LIVEMODE", "false")
    assert not load_receiver_settings().livemode


def test_only_the_emulators_own_key_brings_a_key_for_the_bodies_along(monkeypatch):
    monkeypatch.delenv("BILLING_EVENT_KEYS")
    with pytest.raises(SettingsError, match="BILLING_EVENT_KEYS is not set"):
        load_receiver_settings()
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_test_of_an_account")
    assert load_settings().events.keys == ()
    with pytest.raises(SettingsError, match="BILLING_EVENT_KEYS is not set"):
        load_receiver_settings()
    monkeypatch.setenv("STRIPE_SECRET_KEY", EMULATOR_KEY)
    assert [key.key_id for key in load_receiver_settings().event_keys] == ["sandbox"]
    assert load_settings().events.keys == load_receiver_settings().event_keys


def test_the_first_key_is_the_one_that_writes(monkeypatch):
    other = base64.b64encode(b"o" * 32).decode()
    monkeypatch.setenv("BILLING_EVENT_KEYS", f"2026b:{other}, 2026a:{KEY}")
    assert [(key.key_id, key.key) for key in load_settings().events.keys] == [
        ("2026b", b"o" * 32),
        ("2026a", b"k" * 32),
    ]


@pytest.mark.parametrize("url", ["postgres://a@b/c", "postgresql+psycopg://a@b/c", "postgresql+psycopg2://a@b/c"])
def test_any_spelling_of_a_postgres_url_will_do(url):
    assert libpq_url(url) == "postgresql://a@b/c"


@pytest.mark.parametrize("url", ["mysql://a:secret@b/c", "secret", "postgresql://a:secret@[b/c"])
def test_another_url_is_refused_without_repeating_it(monkeypatch, url):
    monkeypatch.setenv("BILLING_RECEIVER_DATABASE_URL", url)
    with pytest.raises(SettingsError, match="expected postgresql://") as refusal:
        app()
    assert "secret" not in str(refusal.value)


def test_another_server_needs_the_url_of_a_database():
    with pytest.raises(SettingsError, match="BILLING_DATABASE_URL is not set"):
        app()


def test_it_loads_neither_dagster_nor_pandas_nor_sqlalchemy_nor_stripe():
    script = (
        "import sys, billing_pipeline.cli, billing_pipeline.cli.receiver, billing_pipeline.web.receiver,"
        " billing_pipeline.web.receiver.app, billing_pipeline.web.receiver.server;"
        "heavy = {'dagster', 'pandas', 'numpy', 'pyarrow', 'sqlalchemy', 'great_expectations', 'stripe', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
