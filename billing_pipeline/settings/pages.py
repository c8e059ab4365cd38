"""Settings of the console and the portal."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from billing_pipeline.settings.environment import SettingsError, yes_or_no

API_PORT = 12300


@dataclass(frozen=True)
class PagesSettings:
    """Where the pages are reached, and who may show the portal in a frame."""

    public_url: str
    """BILLING_PUBLIC_URL, without a slash at its end; default: 127.0.0.1 at the API's port."""
    frame_ancestors: str
    """BILLING_FRAME_ANCESTORS: origins that may show the portal in a frame, with blanks between; default: none."""
    portal_edits_details: bool
    """BILLING_PORTAL_EDITS_DETAILS: whether customers may change their address and tax id there; default: yes."""

    dagster_url: str = "http://127.0.0.1:3000"
    """BILLING_DAGSTER_URL: where people reach Dagster's UI, which the console links to; default: this port."""

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by https, so that cookies travel by nothing else."""
        return self.public_url.startswith("https://")

    @classmethod
    def load(cls) -> "PagesSettings":
        """Read the environment.

        Raises:
            SettingsError: an address is none of http or https, or the other is neither yes nor no.
        """
        port = os.environ.get("BILLING_API_PORT") or API_PORT
        url = (os.environ.get("BILLING_PUBLIC_URL") or f"http://127.0.0.1:{port}").rstrip("/")
        dagster = (os.environ.get("BILLING_DAGSTER_URL") or cls.dagster_url).rstrip("/")
        origins = (os.environ.get("BILLING_FRAME_ANCESTORS") or "").split()
        named = (("BILLING_PUBLIC_URL", url), ("BILLING_DAGSTER_URL", dagster))
        for name, address in (*named, *(("BILLING_FRAME_ANCESTORS", one) for one in origins)):
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.netloc or set(address) & set(";,'\""):
                raise SettingsError(f"{name}: {address!r}: expected an address such as https://billing.example.com")
        edits = yes_or_no("BILLING_PORTAL_EDITS_DETAILS")
        return cls(url, " ".join(origins) or "'none'", edits is not False, dagster)
