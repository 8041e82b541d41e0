"""Files on their way up: the pieces of a body as they arrive, each a message of one call."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import grpc
from aiohttp import web
from google.protobuf.message import Message

from tandem_gateway.body import ask_for_body
from tandem_gateway.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from tandem_gateway.settings import Settings
from tandem_proto.errors import DeadlineExceeded, InvalidArgument

PIECE_BYTES = 256 << 10

M = TypeVar("M", bound=Message)


async def send(
    call: grpc.aio.StreamUnaryCall[Any, M], first: Message, further: AsyncIterator[Message], seconds: float
) -> M:
    """Send *first* and all *further* messages, and return the response; that may come before the last of them.

    The call ends cleanly only if *further* does: what that raises, and a caller that leaves, cancel the call. Raises
    AioRpcError as the call says, and DeadlineExceeded where the server does not take, or answer, for *seconds*.
    """
    sending = asyncio.create_task(_send(call, first, further, seconds))
    call.add_done_callback(lambda _: _cancel(sending))
    try:
        await asyncio.wait([sending])
        if not sending.cancelled():
            sending.result()
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise DeadlineExceeded(f"The server took nothing, or said nothing, for {seconds:g} s.") from None
    finally:
        sending.cancel()
        call.cancel()


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


async def _send(
    call: grpc.aio.StreamUnaryCall[Any, Any], first: Message, further: AsyncIterator[Message], seconds: float
) -> None:
    try:
        async with asyncio.timeout(seconds):
            await call.write(first)
        async for message in further:
            async with asyncio.timeout(seconds):
                await call.write(message)
        await call.done_writing()
    except (asyncio.InvalidStateError, grpc.aio.AioRpcError):
        return  # the call is at its end already, and says why


async def pieces(http: web.BaseRequest, settings: Settings) -> AsyncIterator[bytes]:
    """Yield the body piece by piece, without its compression.

    Raises UnsupportedMediaType for another compression than gzip, BodyTooLarge, RequestTimeout where nothing comes for
    the time that a body may take, and InvalidArgument for a body that is cut, or not what it says.
    """
    inflater = _inflater(http.headers.get("Content-Encoding", "identity"))
    await ask_for_body(http)
    left = settings.http_upload_bytes
    while data := await _read(http, settings.http_read_seconds):
        for piece in inflater.take(data):
            left -= len(piece)
            if left < 0:
                raise BodyTooLarge(f"The body is above {settings.http_upload_bytes} bytes.")
            yield piece
    inflater.end()


async def _read(http: web.BaseRequest, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await http.content.readany()
    except TimeoutError:
        raise RequestTimeout(f"Nothing of the body arrived for {seconds:g} s.") from None
    except web.RequestPayloadError:
        raise InvalidArgument("The body is not framed correctly.", reason="BAD_BODY") from None


class _Plain:
    """No compression."""

    def take(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        pass


class _Gzip:
    """One gzip member or several (RFC 1952, 2.2), inflated a piece at a time, however small they are packed."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def take(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            yield from self._pieces(data)
            data = self._member.unused_data

    def end(self) -> None:
        if not self._member.eof:
            raise InvalidArgument("The body is gzip that is cut.", reason="BAD_BODY")

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        piece = b"-" * PIECE_BYTES
        while not self._member.eof and (data or len(piece) == PIECE_BYTES):
            try:
                piece = self._member.decompress(data, PIECE_BYTES)
            except zlib.error:
                raise InvalidArgument("The body is not gzip.", reason="BAD_BODY") from None
            data = self._member.unconsumed_tail
            yield piece


def _inflater(encoding: str) -> _Plain | _Gzip:
    encoding = encoding.strip().lower()
    if encoding == "identity":
        return _Plain()
    if encoding in ("gzip", "x-gzip"):  # RFC 9110, 8.4.1.3
        return _Gzip()
    raise UnsupportedMediaType("The body must be plain, or compressed as gzip.")
