"""The local receiver's endpoint at the emulator: one, whose secret is known, whatever was killed before."""

from pathlib import Path

import pytest

from billing_pipeline.sandbox.stripe_emulator import running_emulator
from billing_pipeline.sandbox.webhooks import _call, register_endpoint
from billing_pipeline.settings import SettingsError

URL = "http://127.0.0.1:9/stripe/webhook"


def endpoints(base: str) -> list[str]:
    return [endpoint["url"] for endpoint in _call(base, "GET", "/v1/webhook_endpoints")[1]["data"]]


def test_it_is_registered_once_and_follows_the_receivers_port(tmp_path: Path):
    with running_emulator(tmp_path / "stripe.sqlite") as emulator:
        secret = register_endpoint(emulator.base_url, URL, tmp_path)
        assert secret.startswith("whsec_")
        moved = URL.replace(":9/", ":10/")
        assert register_endpoint(emulator.base_url, moved, tmp_path) == secret
        assert endpoints(emulator.base_url) == [moved]
    assert (tmp_path / "webhook_endpoint.json").stat().st_mode & 0o077 == 0


def test_one_whose_secret_was_lost_is_replaced_and_other_peoples_stay(tmp_path: Path):
    with running_emulator(tmp_path / "stripe.sqlite") as emulator:
        other = {"url": "http://127.0.0.1:8/other", "enabled_events[0]": "*"}
        _call(emulator.base_url, "POST", "/v1/webhook_endpoints", other)
        first = register_endpoint(emulator.base_url, URL, tmp_path)
        (tmp_path / "webhook_endpoint.json").unlink()
        assert register_endpoint(emulator.base_url, URL, tmp_path) != first
        assert sorted(endpoints(emulator.base_url)) == ["http://127.0.0.1:8/other", URL]


def test_an_emulator_with_a_new_state_gets_it_anew(tmp_path: Path):
    for state in ("a.sqlite", "b.sqlite"):
        with running_emulator(tmp_path / state) as emulator:
            register_endpoint(emulator.base_url, URL, tmp_path)
            assert endpoints(emulator.base_url) == [URL]


def test_without_an_emulator_it_says_so(tmp_path: Path):
    with pytest.raises(SettingsError, match="no Stripe emulator answers there"):
        register_endpoint("http://127.0.0.1:1", URL, tmp_path)
