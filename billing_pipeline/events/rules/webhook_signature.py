"""Whether a request comes from Stripe: the scheme of https://docs.stripe.com/webhooks/signatures, and nothing looser.

Stripe's own library is not used for it: importing it costs most of the receiver's start and memory, it takes
timestamps from the future, and it fails with other errors than its own on text that is not ASCII or UTF-8. A test holds
the two against each other: what is accepted here is accepted there.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

_SIGNED_AT = re.compile(r"[1-9][0-9]{0,11}")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEADER_MAX = 4_096
_SIGNATURES_MAX = 16
"""Stripe sends one a secret, and rolls one secret into another: a few."""


class SignatureError(Exception):
    """The request is not to be trusted. Its text is one of a closed set and repeats nothing of the request."""


@dataclass(frozen=True, slots=True)
class SignatureHeader:
    """A Stripe-Signature header that is well-formed and recent; whether it is genuine, the body tells."""

    signed_at: str
    """Unix time in seconds, as written."""
    signatures: tuple[str, ...]
    """Hex digests of scheme v1."""

    def covers(self, body: bytes, secrets: Sequence[bytes]) -> bool:
        """Whether one of the secrets made one of the signatures for these bytes.

        Every secret is compared with every signature: how long it takes does not tell which one came close.
        """
        signed = self.signed_at.encode() + b"." + body
        genuine = False
        for secret in secrets:
            expected = hmac.new(secret, signed, sha256).hexdigest()
            for signature in self.signatures:
                genuine |= hmac.compare_digest(expected, signature)
        return genuine


def read_signature_header(values: Sequence[bytes], now: float, tolerance_s: int) -> SignatureHeader:
    """Read the header, before the body is worth reading.

    Args:
        values: the values of all Stripe-Signature headers of the request.
        now: Unix time in seconds.
        tolerance_s: how far the header's timestamp may be from now, in either direction.

    Raises:
        SignatureError: it is missing, there twice, malformed, too old or from the future.
    """
    if not values:
        raise SignatureError("no Stripe-Signature header")
    if len(values) > 1:
        raise SignatureError("more than one Stripe-Signature header")
    if len(values[0]) > _HEADER_MAX or not values[0].isascii():
        raise SignatureError("malformed Stripe-Signature header")
    signed_at: list[str] = []
    signatures: list[str] = []
    for item in values[0].decode("ascii").split(","):
        scheme, _, value = item.partition("=")
        if scheme == "t":
            signed_at.append(value)
        elif scheme == "v1" and _HEX_DIGEST.fullmatch(value):
            signatures.append(value)
    if len(signed_at) != 1 or not _SIGNED_AT.fullmatch(signed_at[0]):
        raise SignatureError("malformed Stripe-Signature header")
    if not 0 < len(signatures) <= _SIGNATURES_MAX:
        raise SignatureError("malformed Stripe-Signature header")
    if abs(now - int(signed_at[0])) > tolerance_s:
        raise SignatureError("timestamp too far from now")
    return SignatureHeader(signed_at[0], tuple(signatures))
