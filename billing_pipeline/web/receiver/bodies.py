"""Reading request bodies within limits: of size, of time, and of memory over all requests. No meaning belongs here."""

import asyncio

from starlette.requests import Request

BODY_MAX_BYTES = 1024 * 1024
BODY_WITHIN_S = 10.0
SMALL_BYTES = 64 * 1024
"""A body up to this size is always read: Stripe's hardly ever are larger."""
LARGE_TOTAL_BYTES = 8 * 1024 * 1024
"""What all larger bodies may hold together beyond it."""


class TooLarge(Exception):  # noqa: N818 - reads as what happened
    """More than BODY_MAX_BYTES."""


class TooSlow(Exception):  # noqa: N818 - reads as what happened
    """Not whole within BODY_WITHIN_S."""


class TooManyBytes(Exception):  # noqa: N818 - reads as what happened
    """Other large bodies hold what memory there is for them."""


class BodyReader:
    """Reads bodies; one for all requests of a process."""

    def __init__(self) -> None:
        self._large_bytes = 0

    async def read(self, request: Request) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it is, or says that it will be.
            TooSlow: its sender takes too long.
            TooManyBytes: there is no room for it now.
            ClientDisconnect: the sender went away.
        """
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > BODY_MAX_BYTES:
            raise TooLarge
        held = 0
        try:
            chunks: list[bytes] = []
            size = 0
            async with asyncio.timeout(BODY_WITHIN_S):
                async for chunk in request.stream():
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > BODY_MAX_BYTES:
                        raise TooLarge
                    more = max(0, size - SMALL_BYTES) - held
                    if more > 0:
                        if self._large_bytes + more > LARGE_TOTAL_BYTES:
                            raise TooManyBytes
                        held += more
                        self._large_bytes += more
            return b"".join(chunks)
        except TimeoutError:
            raise TooSlow from None
        finally:
            self._large_bytes -= held
