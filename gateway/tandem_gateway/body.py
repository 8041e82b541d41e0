"""The bodies of HTTP requests, within their limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import HttpVersion11, web

from tandem_gateway.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from tandem_gateway.settings import Settings
from tandem_proto.errors import InvalidArgument, Unavailable

SMALL_BYTES = 64 << 10
"""What every body may have, however many others there are."""


class Bodies:
    """Reads whole bodies: each within its limit of size and time, and large ones within one for all of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free_bytes = settings.http_buffer_bytes

    @asynccontextmanager
    async def read_json(self, http: web.BaseRequest) -> AsyncIterator[bytes]:
        """Give a body that should be JSON; raises UnsupportedMediaType if it is not, and what `read` raises."""
        if http.body_exists and "Content-Type" in http.headers and http.content_type != "application/json":
            raise UnsupportedMediaType("The body must be application/json.")
        async with self.read(http, self._settings.http_body_bytes) as body:
            yield body

    @asynccontextmanager
    async def read(self, http: web.BaseRequest, limit: int) -> AsyncIterator[bytes]:
        """Give the whole body, of at most *limit* bytes, empty where there is none; it counts while the context lasts.

        Raises UnsupportedMediaType if it is compressed, BodyTooLarge, RequestTimeout if it does not arrive in time,
        Unavailable if there is too much of others at the time, and InvalidArgument if it is not framed as HTTP says.
        """
        if not http.body_exists:
            yield b""
            return
        if http.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("The body must not be compressed.")
        _check_size(http.content_length or 0, limit)
        await ask_for_body(http)
        parts: list[bytes] = []
        try:
            await self._read(http, limit, parts)
            yield b"".join(parts)
        finally:
            self._free_bytes += _counted(sum(map(len, parts)))

    async def _read(self, http: web.BaseRequest, limit: int, parts: list[bytes]) -> None:
        seconds, size = self._settings.http_read_seconds, 0
        try:
            async with asyncio.timeout(seconds):
                async for part in http.content.iter_any():
                    _check_size(size + len(part), limit)
                    self._take(_counted(size + len(part)) - _counted(size))
                    parts.append(part)
                    size += len(part)
        except TimeoutError:
            raise RequestTimeout(f"The body did not arrive within {seconds:g} s.") from None
        except web.RequestPayloadError:
            raise InvalidArgument("The body is not framed correctly.", reason="BAD_BODY") from None

    def _take(self, size: int) -> None:
        if size > self._free_bytes:
            raise Unavailable("Too many large bodies at one time.", reason="BODIES_TOO_MANY", retry_after=1)
        self._free_bytes -= size


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise BodyTooLarge(f"The body is above {limit} bytes.")


def _counted(size: int) -> int:
    """Return how much of a body counts: what is small is let in however much there is."""
    return max(0, size - SMALL_BYTES)


async def ask_for_body(http: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
    if http.version == HttpVersion11 and http.headers.get("Expect", "").lower() == "100-continue":
        await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        http.writer.output_size = 0  # the reply itself has not begun
