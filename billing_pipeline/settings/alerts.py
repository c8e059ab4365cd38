"""Where operators are told that something is wrong, and from when on."""

from dataclasses import dataclass, field
from email.headerregistry import Address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from billing_pipeline.settings.environment import SettingsError, text_or_none

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """A channel that is not set tells nothing; what is wrong is in `billing alerts list` all the same."""

    mail: tuple[str, ...]
    """BILLING_ALERT_MAIL: addresses, with commas between; the mails go over BILLING_SMTP_URL."""
    slack_url: str | None = field(repr=False)
    """BILLING_ALERT_SLACK_URL: an incoming webhook of Slack's, or of a chat that takes the same. It is a secret."""
    pagerduty_key: str | None = field(repr=False)
    """BILLING_ALERT_PAGERDUTY_KEY: the integration key of PagerDuty's Events API v2."""
    pagerduty_url: str
    """BILLING_ALERT_PAGERDUTY_URL: where events go; default: PagerDuty's own address in the US."""
    policy: Path | None
    """BILLING_ALERT_POLICY: a file with thresholds that differ from the packaged ones."""

    @classmethod
    def load(cls) -> Self:
        """Read the environment.

        Raises:
            SettingsError: an address that cannot be one; a secret is not repeated.
        """
        slack = text_or_none("BILLING_ALERT_SLACK_URL")
        pagerduty = text_or_none("BILLING_ALERT_PAGERDUTY_URL") or PAGERDUTY_URL
        for name, url in (("BILLING_ALERT_SLACK_URL", slack), ("BILLING_ALERT_PAGERDUTY_URL", pagerduty)):
            if url is not None and not _is_url(url):
                raise SettingsError(f"{name}: expected an https:// address (http:// only on this machine)")
        policy = text_or_none("BILLING_ALERT_POLICY")
        return cls(
            mail=tuple(
                _address(part.strip()) for part in (text_or_none("BILLING_ALERT_MAIL") or "").split(",") if part
            ),
            slack_url=slack,
            pagerduty_key=text_or_none("BILLING_ALERT_PAGERDUTY_KEY"),
            pagerduty_url=pagerduty,
            policy=Path(policy) if policy is not None else None,
        )


def _address(text: str) -> str:
    try:
        local, _, domain = Address(addr_spec=text).addr_spec.rpartition("@")
    except Exception:  # noqa: BLE001 - the parser raises what it pleases
        local = domain = ""
    if not local or not domain or not text.isascii():
        raise SettingsError(
            f"BILLING_ALERT_MAIL: {text!r}: expected addresses such as ops@example.com, with commas between"
        )
    return text


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return (
        bool(host)
        and plain
        and (parts.scheme == "https" or (parts.scheme == "http" and host in ("127.0.0.1", "localhost")))
    )
