"""Outgoing webhooks over real HTTP: signed as the standard says, at least once, in order per customer."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from billing_pipeline.core.errors import UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.notices.endpoints import (
    add_endpoint,
    disable_endpoint,
    list_endpoints,
    replay,
    rotate_secret,
)
from billing_pipeline.notices.reading import list_notices
from billing_pipeline.notices.sending import SendReport, send_notices
from billing_pipeline.notices.webhooks import WebhookChannel
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline_tests.charging.world import Bill
from billing_pipeline_tests.events.world import CIPHER
from billing_pipeline_tests.month_rows import move_charges

WHO = Signature("ann", "the platform listens")
LATER = timedelta(minutes=2)


def send(warehouse: Warehouse, after: timedelta = timedelta(0)) -> SendReport:
    channel = WebhookChannel(warehouse, lambda: CIPHER, timeout_s=5)
    return send_notices(warehouse, channel, log=print, clock=lambda: datetime.now(UTC) + after)


def send_all(warehouse: Warehouse, after: timedelta = timedelta(0)) -> int:
    """Passes until nothing is due: a customer's next message is free once the one before is taken."""
    return send(warehouse, after).outcomes["sent"]


def test_every_notice_is_a_signed_message_in_order_per_customer(charging, platform):
    warehouse = charging.warehouse
    _, secret = add_endpoint(warehouse, CIPHER, platform.url, WHO)
    charging.charged(Bill("ann"), Bill("bob", card=None))
    assert send_all(warehouse) == 4
    assert send_all(warehouse) == 0
    assert [kind for kind, who in platform.messages() if who == "ann"] == ["invoice_issued", "payment_succeeded"]
    assert [kind for kind, who in platform.messages() if who == "bob"] == ["invoice_issued", "payment_method_missing"]
    for headers, body in platform.heard:
        message = Webhook(secret).verify(body, headers)
        assert message["data"]["amount_minor"] == 4000
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body.replace(b"4000", b"4001"), headers)
    assert len({headers["webhook-id"] for headers, _ in platform.heard}) == 4


@pytest.mark.parametrize("answer", [500, 302, 404, 0])
def test_what_was_not_taken_is_sent_again_with_its_id_and_holds_up_its_customer_only(charging, platform, answer):
    warehouse = charging.warehouse
    add_endpoint(warehouse, CIPHER, platform.url, WHO)
    charging.charged(Bill("ann"))
    platform.answers = [answer]
    outcome = "in doubt" if answer == 0 else "refused for now"
    assert send(warehouse).outcomes == {outcome: 1}
    assert send(warehouse).outcomes == {}  # the payment waits behind the invoice
    assert send(warehouse, LATER).outcomes == {"sent": 2}
    assert [kind for kind, _ in platform.messages()][-2:] == ["invoice_issued", "payment_succeeded"]
    ids = [headers["webhook-id"] for headers, _ in platform.heard]
    assert len(set(ids)) == 2


def test_an_endpoint_that_cannot_be_reached_holds_up_no_other(charging, platform):
    warehouse = charging.warehouse
    add_endpoint(warehouse, CIPHER, "http://127.0.0.1:1/", WHO)
    add_endpoint(warehouse, CIPHER, platform.url, WHO)
    charging.bill(Bill("ann"), Bill("bob"))
    assert send(warehouse).outcomes == {"sent": 2, "refused for now": 2}


def test_one_that_is_gone_is_given_up_at_once_and_replayed_when_it_is_back(charging, platform):
    warehouse = charging.warehouse
    endpoint, _ = add_endpoint(warehouse, CIPHER, platform.url, WHO)
    charging.bill(Bill("ann"))
    platform.answers = [410]
    assert send(warehouse).outcomes == {"failed": 1}
    since = datetime.now(UTC) - timedelta(hours=1)
    assert replay(warehouse, endpoint, since, WHO) == 1
    assert send(warehouse).outcomes == {"sent": 1}
    assert replay(warehouse, endpoint, since, WHO) == 1
    assert send(warehouse).outcomes == {"sent": 1}
    [row] = list_endpoints(warehouse)
    assert (row["taken"], row["waiting"], row["given_up"]) == (2, 0, 1)


def test_both_secrets_sign_for_a_day_after_a_rotation(charging, platform):
    warehouse = charging.warehouse
    endpoint, old = add_endpoint(warehouse, CIPHER, platform.url, WHO)
    new = rotate_secret(warehouse, CIPHER, endpoint, WHO)
    charging.bill(Bill("ann"), Bill("bob"))
    assert send(warehouse).outcomes == {"sent": 2}
    for headers, body in platform.heard:
        for secret in (old, new):
            Webhook(secret).verify(body, headers)
    assert warehouse.scalar("SELECT count(*) FROM billing.webhook_secrets WHERE expires_at IS NULL") == 1
    stored = warehouse.scalar("SELECT string_agg(encode(secret, 'base64'), '') FROM billing.webhook_secrets")
    assert new.removeprefix("whsec_")[:20] not in stored


def test_a_disabled_endpoint_is_told_nothing_more(charging, platform):
    warehouse = charging.warehouse
    endpoint, _ = add_endpoint(warehouse, CIPHER, platform.url, WHO)
    charging.bill(Bill("ann"))
    disable_endpoint(warehouse, endpoint, WHO)
    assert send(warehouse).outcomes == {"overtaken": 1}
    charging.charge()
    assert {row["channel"] for row in list_notices(warehouse) if row["kind"] == "payment_succeeded"} == {"mail"}
    for refused in (disable_endpoint, lambda *a: rotate_secret(a[0], CIPHER, *a[1:])):
        with pytest.raises(UserError, match="found none"):
            refused(warehouse, endpoint, WHO)


def test_a_program_is_told_of_what_was_so_also_when_it_is_no_longer_so(charging, platform):
    warehouse = charging.warehouse
    add_endpoint(warehouse, CIPHER, platform.url, WHO)
    charging.charged(Bill("ann", card=None))
    move_charges(warehouse, "state = 'paid'")
    assert send(warehouse).outcomes == {"sent": 3}
    assert [kind for kind, _ in platform.messages()] == [
        "invoice_issued",
        "payment_method_missing",
        "payment_succeeded",
    ]


@pytest.mark.parametrize(
    "url", ["http://example.com/", "https://user:pw@example.com/", "ftp://127.0.0.1/", "https://", "https://x y/"]
)
def test_an_address_that_is_not_safe_is_refused(warehouse, url):
    with pytest.raises(UserError, match="expected an https"):
        add_endpoint(warehouse, CIPHER, url, WHO)


def test_an_address_is_added_once(warehouse):
    add_endpoint(warehouse, CIPHER, "https://example.com/hooks", WHO)
    with pytest.raises(UserError, match="told already"):
        add_endpoint(warehouse, CIPHER, "https://example.com/hooks", WHO)
