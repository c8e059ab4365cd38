"""The emulator's settings. Nothing here reads the environment: the command line does that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

API_VERSION = "2026-10-28.endive"
"""The Stripe API version whose shapes the emulator speaks: the one the installed SDK was generated from."""


@dataclass(frozen=True, slots=True)
class EmulatorConfig:
    """How one emulator behaves.

    ``path`` is the SQLite file that holds everything; ``None`` means a temporary file that goes with the
    process. Rates are requests per second as in a Stripe sandbox; 0 switches a limit off. Failed webhook
    deliveries wait ``webhook_retry_base_s`` (then twice as long, and so on, by the emulator's clock) and are
    given up after ``webhook_retry_for_s``. ``signature_clock`` says which clock stamps Stripe-Signature:
    receivers usually compare with the wall clock. ``seed`` drives every random fault that does not bring its
    own.
    """

    path: Path | None = None
    rate_limit_per_s: int = 100
    rate_limit_per_endpoint_per_s: int = 25
    seed: int = 0
    webhook_timeout_s: float = 10.0
    webhook_retry_base_s: float = 5.0
    webhook_retry_for_s: float = 3 * 86_400.0
    webhook_workers: int = 4
    signature_clock: Literal["wall", "emulator"] = "wall"
    call_log_max: int = 50_000
    body_max_bytes: int = 4 * 1024 * 1024
