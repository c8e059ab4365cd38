"""Messages to the platform's endpoints, as Standard Webhooks has them: signed, at least once, in order per customer.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: headers webhook-id (the same
for every attempt, so that the receiver can drop doubles), webhook-timestamp, webhook-signature (one a secret).
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from standardwebhooks.webhooks import Webhook

from billing_pipeline.events.cipher import EventCipher
from billing_pipeline.notices.http_post import Unreachable, post
from billing_pipeline.notices.letters import Letter, Notice
from billing_pipeline.notices.senders import AnswerLost, NobodyThere, NotTaken
from billing_pipeline.notices.sending import NO_WAIT
from billing_pipeline.postgres.warehouse import Warehouse
from billing_pipeline.settings import Settings

TIMEOUT_S = 15.0
GONE = 410


class WebhookChannel:
    """Every notice is a message to every endpoint."""

    name = "webhook"
    is_for_operators = False
    page_wait = NO_WAIT

    def __init__(
        self, warehouse: Warehouse, cipher: Callable[[], EventCipher], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.sender = WebhookSender(warehouse, cipher, timeout_s)

    def letter(self, notice: Notice, now: datetime) -> Letter:  # noqa: ARG002 - a message says when the fact was
        """The message: type, timestamp and data."""
        message = {
            "type": notice.kind,
            "timestamp": notice.written_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "data": {"customer_id": notice.customer_id, "invoice_id": notice.invoice_id, **notice.facts},
        }
        return Letter(
            notice.key, "", notice.recipient, json.dumps(message, ensure_ascii=False, sort_keys=True).encode()
        )


class WebhookSender:
    """Sends to one endpoint after the other; one that does not answer is left alone for the rest of the pass."""

    def __init__(self, warehouse: Warehouse, cipher: Callable[[], EventCipher], timeout_s: float) -> None:
        self._warehouse = warehouse
        self._cipher = cipher
        self._timeout_s = timeout_s
        self._silent: dict[str, str] = {}

    def send(self, letter: Letter, edge: Callable[[], None]) -> None:
        """Post the message; any 2xx is taken."""
        rows = self._warehouse.rows(_ENDPOINT, endpoint_id=letter.recipient)
        if not rows:
            raise NobodyThere(f"endpoint {letter.recipient} is disabled")
        if letter.recipient in self._silent:
            raise NotTaken(self._silent[letter.recipient], for_good=False)
        url = rows[0]["url"]
        headers = self._signed(letter, rows)
        try:
            status = post(url, letter.content, headers, edge, self._timeout_s)
        except Unreachable as error:
            self._silent[letter.recipient] = str(error)
            raise NotTaken(str(error), for_good=False) from None
        except AnswerLost as error:
            self._silent[letter.recipient] = str(error)
            raise
        if not 200 <= status < 300:
            raise NotTaken(f"{urlsplit(url).netloc} answered {status}", for_good=status == GONE)

    def close(self) -> None:
        """Nothing is open."""

    def _signed(self, letter: Letter, secrets: list[dict[str, Any]]) -> dict[str, str]:
        now, cipher = datetime.now(UTC), self._cipher()
        text = letter.content.decode()
        signatures = [
            Webhook(cipher.decrypt(row["endpoint_id"], row["key_id"], bytes(row["secret"]))).sign(letter.key, now, text)
            for row in secrets
        ]
        return {
            "content-type": "application/json",
            "user-agent": "billing-pipeline",
            "webhook-id": letter.key,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }


def open_webhooks(warehouse: Warehouse, settings: Settings) -> WebhookChannel:
    """As the environment says; the keys are asked for when there is something to sign."""
    return WebhookChannel(warehouse, lambda: EventCipher(settings.events.keys))


_ENDPOINT = """
SELECT e.endpoint_id, e.url, s.secret, s.key_id
FROM billing.webhook_endpoints AS e JOIN billing.webhook_secrets AS s USING (endpoint_id)
WHERE e.endpoint_id = :endpoint_id AND e.disabled_at IS NULL
    AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
ORDER BY s.secret_id DESC
"""
