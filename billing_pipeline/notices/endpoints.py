"""The platform's endpoints: added, given another secret, disabled, told again. The secret is shown once."""

import base64
import ipaddress
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from billing_pipeline.core.errors import NotFound, UserError
from billing_pipeline.core.signature import Signature
from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.postgres.errors import violated
from billing_pipeline.postgres.warehouse import Warehouse

SECRET_BYTES = 32


def add_endpoint(warehouse: Warehouse, cipher: EventCipher, url: str, signature: Signature) -> tuple[str, str]:
    """Tell this address of every notice from now on; returns its id and its secret.

    Raises:
        UserError: it is no https:// address (http:// is for this machine), or it is told already.
    """
    _require_url(url)
    endpoint_id = f"ep_{secrets.token_hex(8)}"
    values = {"id": endpoint_id, "url": url, "author": signature.author, "reason": signature.reason}
    try:
        with warehouse.transaction() as connection:
            connection.execute(text(_ADD), values)
            secret = _new_secret(connection, cipher, endpoint_id)
    except IntegrityError as error:
        if violated(error) == "webhook_endpoints_one_a_url":
            raise UserError(f"{url}: is told already") from None
        raise
    return endpoint_id, secret


def rotate_secret(warehouse: Warehouse, cipher: EventCipher, endpoint_id: str, signature: Signature) -> str:
    """Another secret; the one of before signs for another day, beside it. Returns the new one.

    Raises:
        NotFound: there is no such endpoint.
    """
    values = {"id": endpoint_id, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        if connection.execute(text(_ROTATE), values).rowcount != 1:
            raise NotFound(f"endpoint {endpoint_id}: expected one that is told, found none")
        return _new_secret(connection, cipher, endpoint_id)


def disable_endpoint(warehouse: Warehouse, endpoint_id: str, signature: Signature) -> None:
    """Tell it nothing more.

    Raises:
        NotFound: there is no such endpoint, or it is disabled already.
    """
    values = {"id": endpoint_id, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        if connection.execute(text(_DISABLE), values).rowcount != 1:
            raise NotFound(f"endpoint {endpoint_id}: expected one that is told, found none")


def replay(warehouse: Warehouse, endpoint_id: str, since: datetime, signature: Signature) -> int:
    """Tell it again of everything since then that it was told or that was given up; returns how many messages.

    Raises:
        NotFound: there is no such endpoint.
    """
    values = {"id": endpoint_id, "since": since, "author": signature.author, "reason": signature.reason}
    with warehouse.transaction() as connection:
        known = connection.execute(
            text("SELECT FROM billing.webhook_endpoints WHERE endpoint_id = :id AND disabled_at IS NULL"), values
        ).first()
        if known is None:
            raise NotFound(f"endpoint {endpoint_id}: expected one that is told, found none")
        return int(connection.execute(text(_REPLAY), values).scalar_one())


def list_endpoints(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Endpoints, with how many messages each has taken, still waits for and did not take."""
    return warehouse.rows(_LIST)


def _require_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UserError(f'"{url}": not a URL') from None
    local = host == "localhost" or (host.replace(".", "").replace(":", "").isalnum() and _is_loopback(host))
    plain = url.isascii() and url.isprintable() and " " not in url
    if not host or not plain or parts.username or parts.scheme not in (("https", "http") if local else ("https",)):
        raise UserError(f'"{url}": expected an https:// address without a user (http:// only on this machine)')


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _new_secret(connection: Connection, cipher: EventCipher, endpoint_id: str) -> str:
    secret = secrets.token_bytes(SECRET_BYTES)
    stored = {"id": endpoint_id, "secret": cipher.encrypt(endpoint_id, secret), "key_id": cipher.key_id}
    connection.execute(
        text("INSERT INTO billing.webhook_secrets (endpoint_id, secret, key_id) VALUES (:id, :secret, :key_id)"), stored
    )
    return f"whsec_{base64.b64encode(secret).decode()}"


_ADD = """
WITH added AS (
    INSERT INTO billing.webhook_endpoints (endpoint_id, url, author, reason) VALUES (:id, :url, :author, :reason)
    RETURNING *
)
SELECT billing.log_action(
    author, 'webhook.add', 'endpoint', endpoint_id, reason, state_after => jsonb_build_object('url', url)
) FROM added
"""
_ROTATE = """
WITH old AS (
    UPDATE billing.webhook_secrets AS s SET expires_at = clock_timestamp() + interval '24 hours'
    FROM billing.webhook_endpoints AS e
    WHERE s.endpoint_id = :id AND s.expires_at IS NULL AND e.endpoint_id = s.endpoint_id AND e.disabled_at IS NULL
    RETURNING s.endpoint_id
)
SELECT billing.log_action(:author, 'webhook.rotate', 'endpoint', endpoint_id, :reason) FROM old
"""
_DISABLE = """
WITH ended AS (
    UPDATE billing.webhook_endpoints SET disabled_at = clock_timestamp(), disabled_by = :author
    WHERE endpoint_id = :id AND disabled_at IS NULL
    RETURNING endpoint_id
)
SELECT billing.log_action(:author, 'webhook.disable', 'endpoint', endpoint_id, :reason) FROM ended
"""
_REPLAY = """
WITH again AS (
    INSERT INTO billing.notices (kind, customer_id, invoice_id, fact, channel, recipient, facts)
    SELECT n.kind, n.customer_id, n.invoice_id,
        n.fact || ':replay:' || to_char(clock_timestamp(), 'YYYYMMDDHH24MISSUS'), n.channel, n.recipient, n.facts
    FROM billing.notices AS n JOIN billing.notice_sendings AS s USING (notice_id)
    WHERE n.channel = 'webhook' AND n.recipient = :id AND n.written_at >= :since AND s.state IN ('sent', 'failed')
        AND strpos(n.fact, ':replay:') = 0
    ORDER BY n.notice_id
    RETURNING notice_id
),
counted AS (SELECT count(*) AS messages FROM again),
logged AS (
    SELECT billing.log_action(
        :author, 'webhook.replay', 'endpoint', :id, :reason, state_after => jsonb_build_object('messages', messages)
    ) FROM counted
)
SELECT messages FROM counted CROSS JOIN logged
"""
_LIST = """
SELECT e.endpoint_id, e.url, e.created_at, e.disabled_at,
    count(*) FILTER (WHERE s.state = 'sent') AS taken,
    count(*) FILTER (WHERE s.state IN ('pending', 'claimed', 'handing_over')) AS waiting,
    count(*) FILTER (WHERE s.state = 'failed') AS given_up
FROM billing.webhook_endpoints AS e
LEFT JOIN billing.notices AS n ON n.channel = 'webhook' AND n.recipient = e.endpoint_id
LEFT JOIN billing.notice_sendings AS s ON s.notice_id = n.notice_id
GROUP BY e.endpoint_id ORDER BY e.created_at
"""
