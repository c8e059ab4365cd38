"""Tokens of a company's own provider, a small one that runs here: who is believed, and who is not."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from billing_pipeline.access.identity_provider import IdentityProvider, ProviderAway
from billing_pipeline.access.rules.permissions import Role, Scope
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import SettingsError, load_settings
from billing_pipeline_tests.identity_provider import Provider, running_provider
from billing_pipeline_tests.web.api.serving import Client, serving


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.rotate("k1")
    running.asked, running.now_s = 0, 0.0
    return running


def test_a_token_of_the_provider_is_its_person_in_the_role_of_a_claim(provider: Provider) -> None:
    reader = provider.reader()
    caller = reader.caller_of(provider.token())
    assert caller is not None
    assert (caller.owner, caller.role, caller.customer_id) == ("u-1", Role.OPERATOR, None)
    assert (caller.may(Scope.CHANGE_INVOICES), caller.may(Scope.TOKENS)) == (True, False)
    again = reader.caller_of(provider.token(jti="another"))
    assert again == caller
    assert provider.asked == 2  # where the keys are, and the keys: once for all requests
    named = provider.reader(
        owner_claim="email", role_claim="realm_access.roles", roles=(("fin", "operator"), ("boss", "admin"))
    )
    of_company: dict[str, Any] = {"email": "ann@focus.example", "realm_access": {"roles": ["x", "fin", "boss"]}}
    boss = named.caller_of(provider.token(**of_company))
    assert boss is not None
    assert (boss.owner, boss.role) == ("ann@focus.example", Role.ADMIN)
    assert named.caller_of(provider.token(**{**of_company, "realm_access": {"roles": ["admin"]}})) is None
    customers = provider.reader(customer_claim="customer")
    customer = customers.caller_of(provider.token(billing_role="customer", customer="c1"))
    assert customer is not None
    assert (customer.role, customer.customer_id) == (Role.CUSTOMER, "c1")
    assert customers.caller_of(provider.token(billing_role="customer")) is None
    assert reader.caller_of(provider.token(billing_role="customer", customer="c1")) is None


def test_what_the_provider_did_not_sign_for_us_is_not_believed(provider: Provider) -> None:
    reader = provider.reader()
    past, [key] = int(time.time()) - 3600, provider.keys.values()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = ec.generate_private_key(ec.SECP256R1())
    claims = {
        "iss": provider.issuer,
        "aud": "billing",
        "sub": "u-1",
        "exp": int(time.time()) + 60,
        "billing_role": "admin",
    }
    good = provider.token()
    forged = (
        provider.token(exp=past), provider.token(aud="another"), provider.token(iss="https://evil.example"),
        provider.token(nbf=int(time.time()) + 3600), provider.token(billing_role="owner"), provider.token(exp=None),
        provider.token(sub=None), provider.token(billing_role=None), provider.token(billing_role={"admin": True}),
        jwt.encode(claims, stranger, "ES256", {"kid": "k1"}), jwt.encode(claims, "", "none", {"kid": "k1"}),
        jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), public.hex().encode(), "HS256", {"kid": "k1"}),
        provider.token(headers={"kid": "unknown"}), provider.token(headers={"typ": "JWT"}),
        good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), "", "x.y.z", "bil_x",
    )  # fmt: skip
    assert [reader.caller_of(token) for token in forged] == [None] * len(forged)
    assert reader.caller_of(good) is not None
    assert provider.asked == 2


def test_keys_are_changed_without_a_restart_and_hold_while_the_provider_is_away(provider: Provider) -> None:
    reader = provider.reader()
    old = provider.token()
    assert reader.caller_of(old)
    provider.rotate("k2")
    assert reader.caller_of(provider.token()) is None  # not asked again so soon
    provider.now_s = 61
    assert reader.caller_of(provider.token())
    assert reader.caller_of(old) is None
    token, issuer = provider.token(), provider.issuer
    provider.issuer, provider.now_s = "http://127.0.0.1:1", 9_000  # it calls itself something else now
    try:
        assert reader.caller_of(token)
        asked = provider.asked
        stranger = IdentityProvider(provider.settings(issuer=issuer), lambda: provider.now_s)
        for _ in range(3):
            with pytest.raises(ProviderAway):
                stranger.caller_of(token)
        assert provider.asked == asked + 1  # nobody waits for it once a request
    finally:
        provider.issuer = issuer


def test_a_person_changes_something_over_http_and_is_its_author(provider: Provider, warehouse: Warehouse) -> None:
    settings = load_settings()
    with serving(warehouse, settings=replace(settings, api=replace(settings.api, oidc=provider.settings()))) as api:
        client = Client(api.base_url, provider.token(sub="ann"))
        key = {"Idempotency-Key": "k-1"}
        for _ in range(2):
            client.post("/charges/pause", {"reason": "look"}, headers=key)
        client.post("/tokens", {"role": "admin", "owner": "ann", "reason": "more"}, status=403)
        Client(api.base_url, provider.token(aud="another")).get("/charges", status=401)
        api.as_("operator").get("/charges")  # tokens of our own hold beside them
    actors = warehouse.rows("SELECT actor FROM billing.automation_log WHERE action = 'charging.pause'")
    assert [row["actor"] for row in actors] == ["ann"]


def test_settings_of_a_provider_that_cannot_work_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().api.oidc is None
    monkeypatch.setenv("BILLING_OIDC_ISSUER", "http://sso.focus.example")
    with pytest.raises(SettingsError, match="begins with https://"):
        load_settings()
    monkeypatch.setenv("BILLING_OIDC_ISSUER", "https://sso.focus.example")
    with pytest.raises(SettingsError, match="BILLING_OIDC_AUDIENCE"):
        load_settings()
    monkeypatch.setenv("BILLING_OIDC_AUDIENCE", "billing")
    monkeypatch.setenv("BILLING_OIDC_ROLES", "finance=boss")
    with pytest.raises(SettingsError, match="finance=operator"):
        load_settings()
    monkeypatch.setenv("BILLING_OIDC_ROLES", "finance=operator, it = x=admin")
    with pytest.raises(SettingsError):
        load_settings()
