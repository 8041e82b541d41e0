"""The body of an HTTP request, within its limits."""

from __future__ import annotations

import asyncio

from aiohttp import HttpVersion11, web

from tandem_gateway.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from tandem_gateway.settings import Settings
from tandem_proto.errors import InvalidArgument


async def read_body(http: web.BaseRequest, settings: Settings) -> bytes:
    """Return the whole body, empty where there is none.

    Raises UnsupportedMediaType if it is not JSON, and what `read_raw` raises.
    """
    if http.body_exists and "Content-Type" in http.headers and http.content_type != "application/json":
        raise UnsupportedMediaType("The body must be application/json.")
    return await read_raw(http, settings, settings.http_body_bytes)


async def read_raw(http: web.BaseRequest, settings: Settings, limit: int) -> bytes:
    """Return the whole body, of at most *limit* bytes, whatever it is; empty where there is none.

    Raises UnsupportedMediaType if it is compressed, BodyTooLarge, RequestTimeout if it does not arrive in time, and
    InvalidArgument if it is not framed as HTTP says.
    """
    if not http.body_exists:
        return b""
    if http.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed.")
    if (http.content_length or 0) > limit:
        raise _too_large(limit)
    await _continue(http)
    try:
        async with asyncio.timeout(settings.http_read_seconds):
            body = await http.read()
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {settings.http_read_seconds:g} s.") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(limit) from None
    except web.RequestPayloadError:
        raise InvalidArgument("The body is not framed correctly.", reason="BAD_BODY") from None
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The body is above {limit} bytes.")


async def _continue(http: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
    if http.version == HttpVersion11 and http.headers.get("Expect", "").lower() == "100-continue":
        await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        http.writer.output_size = 0  # the reply itself has not begun
