"""The emulator's webhook endpoint for a receiver on this machine: registered once, its secret kept beside the state.

Not through the pipeline's gateway: a sandbox sets up what an operator sets up in Stripe's dashboard.
"""

import json
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from billing_pipeline.sandbox.stripe_emulator.config import API_VERSION
from billing_pipeline.settings import EMULATOR_KEY, SettingsError

DESCRIPTION = "receiver on this machine"
TIMEOUT_S = 30.0
RATE_LIMITED = 429
WAIT_WHEN_LIMITED_S = 0.2


def register_endpoint(api_base: str, receiver_url: str, state_dir: Path) -> str:
    """Have the emulator at `api_base` send every event to `receiver_url`, and return the signing secret.

    The endpoint is the same from run to run, so what could not be delivered while no receiver ran is delivered now.

    Raises:
        SettingsError: no emulator answers there.
    """
    kept = state_dir / "webhook_endpoint.json"
    if kept.exists():
        endpoint = json.loads(kept.read_text(encoding="utf-8"))
        status, _ = _call(api_base, "POST", f"/v1/webhook_endpoints/{endpoint['id']}", {"url": receiver_url})
        if status == 200:
            return str(endpoint["secret"])
    _, listed = _call(api_base, "GET", "/v1/webhook_endpoints?limit=100")
    for endpoint in listed["data"]:
        # an endpoint whose secret is lost: Stripe would send it every event, and the receiver would refuse them all
        if endpoint["description"] == DESCRIPTION:
            _call(api_base, "DELETE", f"/v1/webhook_endpoints/{endpoint['id']}")
    status, made = _call(
        api_base,
        "POST",
        "/v1/webhook_endpoints",
        {"url": receiver_url, "enabled_events[0]": "*", "description": DESCRIPTION},
    )
    if status != 200:
        raise SettingsError(f"STRIPE_API_BASE={api_base}: the emulator did not take the webhook endpoint: {made}")
    fresh = kept.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps({"id": made["id"], "secret": made["secret"]}), encoding="utf-8")
    fresh.rename(kept)
    return str(made["secret"])


def _call(api_base: str, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, Any]:
    parts = urlsplit(api_base)
    if parts.hostname is None:
        raise SettingsError(f"STRIPE_API_BASE={api_base}: expected the emulator's address, http://127.0.0.1:12111")
    headers = {"Authorization": f"Bearer {EMULATOR_KEY}", "Stripe-Version": API_VERSION}
    if form:
        headers |= {"Content-Type": "application/x-www-form-urlencoded", "Idempotency-Key": str(uuid4())}
    while True:
        connection = HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, urlencode(form) if form else None, headers)
            answer = connection.getresponse()
            status, body = answer.status, json.loads(answer.read())
        except (OSError, ValueError) as error:
            raise SettingsError(f"STRIPE_API_BASE={api_base}: no Stripe emulator answers there ({error})") from error
        finally:
            connection.close()
        if status != RATE_LIMITED:
            return status, body
        time.sleep(WAIT_WHEN_LIMITED_S)
