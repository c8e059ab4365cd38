"""Only what Stripe signed, with a secret of ours and just now, is accepted; Stripe's own library agrees."""

import hmac
import time
from collections.abc import Sequence

import pytest
import stripe
from hypothesis import example, given
from hypothesis import strategies as st

from billing_pipeline.events.rules.webhook_signature import SignatureError, SignatureHeader, read_signature_header

SECRET = "whsec_abcdefghijklmnopqrstuvwxyz012345"
OTHER = "whsec_zyxwvutsrqponmlkjihgfedcba543210"
BODY = '{"id": "evt_1"}'
NOW = 1_790_000_000


def header(body: str = BODY, secret: str = SECRET, at: int = NOW) -> str:
    return str(stripe.WebhookSignature.generate_signature_header(body, secret, at))  # type: ignore[no-untyped-call]


def accepted(
    values: str | Sequence[bytes], body: str | bytes = BODY, secrets: Sequence[str] = (SECRET,), now: float = NOW
) -> bool:
    lines = [values.encode()] if isinstance(values, str) else values
    content = body.encode() if isinstance(body, str) else body
    return read_signature_header(lines, now, 300).covers(content, [secret.encode() for secret in secrets])


def accepted_by_stripe(values: str, body: str | bytes = BODY, secret: str = SECRET) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(body, values, secret, None))  # type: ignore[no-untyped-call]
    except (stripe.SignatureVerificationError, TypeError, UnicodeDecodeError):
        return False


@pytest.mark.parametrize("body", [BODY, "", "ä€😀", "\x00", "\r\n"])
def test_what_stripe_signs_is_accepted(body: str):
    assert accepted(header(body), body)
    assert accepted_by_stripe(header(body), body)


def test_another_body_secret_or_timestamp_is_not():
    assert not accepted(header(), BODY + " ")
    assert not accepted(header(secret=OTHER))
    assert not accepted(header().replace(str(NOW), str(NOW + 1)))


def test_while_secrets_rotate_each_of_them_is_accepted_on_both_sides():
    ours = [OTHER, SECRET, "whsec_third_secret_of_the_rotation"]
    assert accepted(header(), secrets=ours)
    assert not accepted(header(), secrets=[OTHER])
    rolled = header(secret=OTHER) + "," + header().split(",")[1]
    assert accepted(rolled)
    assert accepted_by_stripe(rolled)


@pytest.mark.parametrize("off_s", [-300, 300, 0])
def test_up_to_the_tolerance_both_ways_is_recent(off_s: int):
    assert accepted(header(), now=NOW + off_s)


@pytest.mark.parametrize("off_s", [-301, 301, -300.5, 300.5, 86_400, -86_400])
def test_beyond_the_tolerance_is_refused_also_from_the_future(off_s: float):
    with pytest.raises(SignatureError, match="too far from now"):
        accepted(header(), now=NOW + off_s)


V1 = header().split(",")[1]
MALFORMED = {
    "empty": "",
    "no timestamp": V1,
    "no signature": f"t={NOW}",
    "only scheme v0": f"t={NOW},{V1.replace('v1', 'v0')}",
    "two timestamps": f"t={NOW},t={NOW},{V1}",
    "a timestamp that is no number": f"t=now,{V1}",
    "a timestamp in other digits": f"t=١٧٩٠٠٠٠٠٠٠,{V1}",
    "a negative timestamp": f"t=-{NOW},{V1}",
    "a leading zero": f"t=0{NOW},{V1}",
    "blanks": f"t= {NOW}, {V1}",
    "an exponent": f"t=1e9,{V1}",
    "a timestamp beyond all time": f"t={'9' * 400},{V1}",
    "a digest in capitals": f"t={NOW},v1={V1[3:].upper()}",
    "a digest cut short": f"t={NOW},{V1[:-1]}",
    "no ASCII": f"t={NOW},{V1},é=1",
    "seventeen signatures": f"t={NOW}," + ",".join([V1] * 17),
    "too long": f"t={NOW},{V1}," + "x" * 4_096,
}


@pytest.mark.parametrize("values", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_header_is_refused_in_words_that_repeat_nothing_of_it(values: str):
    with pytest.raises(SignatureError, match=r"^malformed Stripe-Signature header$"):
        accepted(values)


def test_no_header_and_two_headers_are_refused():
    with pytest.raises(SignatureError, match="no Stripe-Signature header"):
        accepted([])
    with pytest.raises(SignatureError, match="more than one"):
        accepted([header().encode()] * 2)


PIECES = st.sampled_from(["t", "v1", "v0", "=", ",", str(NOW), V1, f"t={NOW}", V1[3:], " ", "\x00", "é", "0"])


@given(st.lists(PIECES, max_size=9).map("".join))
@example(header())
@example(f"{header()},v0=x,=,t1=")
def test_what_is_accepted_here_is_accepted_by_stripes_library(values: str):
    try:
        ours = accepted(values)
    except SignatureError:
        ours = False
    if ours:
        assert accepted_by_stripe(values)


@given(st.binary(max_size=80), st.integers(1, 10**12 - 1), st.lists(st.sampled_from([SECRET, OTHER]), max_size=2))
def test_both_agree_on_every_well_formed_header(body: bytes, at: int, secrets: list[str]):
    try:
        values = header(body.decode(), at=at)
    except UnicodeDecodeError:
        return
    ours = [accepted(values, body, [secret], now=at) for secret in secrets]
    assert ours == [accepted_by_stripe(values, body, secret) for secret in secrets]


def test_every_secret_is_compared_with_every_signature(monkeypatch: pytest.MonkeyPatch):
    compared = []
    real = hmac.compare_digest

    def counting(a: str, b: str) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    SignatureHeader(str(NOW), (V1[3:], "0" * 64)).covers(BODY.encode(), [SECRET.encode(), OTHER.encode()])
    assert len(compared) == 4


def test_reading_a_header_takes_no_long_time():
    started = time.perf_counter()
    for values in (b"t=" + b"1," * 2_000, b"," * 4_096, b"v1=" * 1_300):
        with pytest.raises(SignatureError):
            read_signature_header([values], NOW, 300)
    assert time.perf_counter() - started < 1
