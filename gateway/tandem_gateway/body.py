"""The body of an HTTP request, within its limits."""

from __future__ import annotations

import asyncio

from aiohttp import HttpVersion11, web

from tandem_gateway.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from tandem_gateway.settings import Settings
from tandem_proto.errors import InvalidArgument


async def read_body(http: web.BaseRequest, settings: Settings) -> bytes:
    """Return the whole body, empty where there is none.

    Raises UnsupportedMediaType if it is compressed or not JSON, BodyTooLarge, RequestTimeout if it does not arrive in
    time, and InvalidArgument if it is not framed as HTTP says.
    """
    if not http.body_exists:
        return b""
    _check_type(http)
    if (http.content_length or 0) > settings.http_body_bytes:
        raise _too_large(settings)
    await _continue(http)
    try:
        async with asyncio.timeout(settings.http_read_seconds):
            return await http.read()
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {settings.http_read_seconds:g} s.") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(settings) from None
    except web.RequestPayloadError:
        raise InvalidArgument("The body is not framed correctly.", reason="BAD_BODY") from None


def _check_type(http: web.BaseRequest) -> None:
    if http.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed.")
    if "Content-Type" in http.headers and http.content_type != "application/json":
        raise UnsupportedMediaType("The body must be application/json.")


def _too_large(settings: Settings) -> BodyTooLarge:
    return BodyTooLarge(f"The body is above {settings.http_body_bytes} bytes.")


async def _continue(http: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
    if http.version == HttpVersion11 and http.headers.get("Expect", "").lower() == "100-continue":
        await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        http.writer.output_size = 0  # the reply itself has not begun
