"""Bodies of usage events: read within limits, unzipped within limits, and cut into events without reading them.

An event goes on as the bytes that were sent, so that no number in it loses a digit on the way.
"""

import json
import zlib
from json import JSONDecodeError

from fastapi import HTTPException, Request

from billing_pipeline.usage.ingestion import EVENTS_MAX

BODY_MAX_BYTES = 16 * 1024 * 1024
"""As sent, and as it becomes when it is unzipped: 10,000 events of 1,600 bytes."""
JSON = "application/json"
NDJSON = "application/x-ndjson"
_DECODER = json.JSONDecoder()
_BLANK = " \t\n\r"


async def events_of(request: Request) -> list[bytes]:
    """The events of the body, each a JSON object as it was written.

    Raises:
        HTTPException: 413, it is too large; 415, it is encoded otherwise; 422, it is not written as it should be.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise _too_large()
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        body = bytearray(_unzipped(bytes(body)))
    elif encoding != "identity":
        raise HTTPException(415, "Content-Encoding: expected gzip or none")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == NDJSON:
        events = [line for line in bytes(body).split(b"\n") if line.strip()]
    else:
        events = _of_json(bytes(body))
    if len(events) > EVENTS_MAX:
        raise HTTPException(413, f"events: expected at most {EVENTS_MAX:,} in one call, found {len(events):,}")
    return events


def _unzipped(data: bytes) -> bytes:
    zipped = zlib.decompressobj(wbits=31)
    try:
        found = zipped.decompress(data, BODY_MAX_BYTES + 1)
    except zlib.error:
        raise HTTPException(422, "body: expected gzip, as Content-Encoding says") from None
    if len(found) > BODY_MAX_BYTES:
        raise _too_large()
    if not zipped.eof or zipped.unused_data:
        raise HTTPException(422, "body: expected one complete gzip member")
    return found


def _of_json(data: bytes) -> list[bytes]:
    try:
        text = data.decode()
        at = _after(text, 0, "{")
        name, at = _DECODER.raw_decode(text, _start(text, at))
        if name != "events":
            raise ValueError
        at = _after(text, _after(text, at, ":"), "[")
        events = []
        if not text.startswith("]", _start(text, at)):
            while True:
                start = _start(text, at)
                _, at = _DECODER.raw_decode(text, start)
                events.append(text[start:at].encode())
                if text.startswith("]", _start(text, at)):
                    break
                at = _after(text, at, ",")
        at = _after(text, _after(text, at, "]"), "}")
        if _start(text, at) != len(text):
            raise ValueError
    except JSONDecodeError as error:
        raise HTTPException(422, f"body: expected JSON: {error.msg} at character {error.pos + 1}") from None
    except (ValueError, RecursionError):
        raise HTTPException(422, 'body: expected {"events": […]} and nothing else, in UTF-8') from None
    return events


def _start(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _after(text: str, at: int, expected: str) -> int:
    at = _start(text, at)
    if not text.startswith(expected, at):
        raise ValueError
    return at + 1


def _too_large() -> HTTPException:
    return HTTPException(413, f"the body is larger than {BODY_MAX_BYTES:,} bytes")
