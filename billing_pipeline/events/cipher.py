"""Bodies of Stripe's events at rest: AES-256-GCM, a random nonce each, the event's id as associated data.

The only module that imports `cryptography`. Keys come from BILLING_EVENT_KEYS; the first one writes, all of them read.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from billing_pipeline.core.errors import UserError
from billing_pipeline.settings import EventKey

NONCE_BYTES = 12


class EventCipherError(UserError):
    """A body cannot be opened: its key is not there, or it is not what was stored. The text names key and event."""


class EventCipher:
    """Encrypts with the first key, decrypts with whichever the row names."""

    def __init__(self, keys: Sequence[EventKey]) -> None:
        if not keys:
            raise EventCipherError("BILLING_EVENT_KEYS is not set: expected id:base64 of 32 bytes")
        self.key_id = keys[0].key_id
        self._ciphers = {key.key_id: AESGCM(key.key) for key in keys}

    def encrypt(self, event_id: str, body: bytes) -> bytes:
        """The nonce, then ciphertext and tag, under the key named `key_id`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[self.key_id].encrypt(nonce, body, event_id.encode())

    def decrypt(self, event_id: str, key_id: str, stored: bytes) -> bytes:
        """The body as it was received.

        Raises:
            EventCipherError: the key is unknown, or the bytes were changed or belong to another event.
        """
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise EventCipherError(f"event {event_id} is encrypted with key {key_id!r}: add it to BILLING_EVENT_KEYS")
        try:
            return cipher.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], event_id.encode())
        except (InvalidTag, ValueError) as error:
            raise EventCipherError(
                f"event {event_id} does not open with key {key_id!r}: its body was changed"
            ) from error
