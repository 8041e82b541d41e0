"""The HTTP server: how aiohttp is told of our limits, and of how errors look."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from tandem_gateway.edge import Edge
from tandem_gateway.errors import problem
from tandem_gateway.settings import Settings
from tandem_proto.errors import InvalidArgument, Unavailable

TOO_MANY = Unavailable("There are too many connections.", reason="TOO_MANY_CONNECTIONS", retry_after=1)


class Connection(web.RequestHandler):
    """One connection; what does not parse as HTTP is answered as every error is, and leaves no traceback in the log.

    One whose other end takes nothing any more is cut after *write_seconds*.
    """

    __slots__ = ("_patience", "_server", "_write_seconds")

    def __init__(self, server: Server, *, write_seconds: float, **limits: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **limits)
        self._server = server
        self._write_seconds = write_seconds
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the kernel cut the connection, too, where sent bytes are not acknowledged for that long."""
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(self._write_seconds * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget what was timed."""
        self._end_patience()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the other end a while to take what was sent."""
        super().pause_writing()
        if self.transport is not None:
            self._patience = asyncio.get_running_loop().call_later(self._write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It took something."""
        self._end_patience()
        super().resume_writing()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a reply; then the connection is idle, or where the gateway stops, over."""
        if self._server.stopping.is_set():
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        self._server.idles(self)
        return finished

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 -- aiohttp's signature
        exc: BaseException | None = None,  # noqa: ARG002 -- aiohttp's signature
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that never reached the edge, and end the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("a reply is on its way already")
        first_line = (message or "unreadable").strip().splitlines()[0]
        response = problem(InvalidArgument(f"This cannot be read as HTTP: {first_line}", reason="NOT_HTTP"), "/")
        response.force_close()
        return response


class Server(web.Server):
    """aiohttp's low-level server: one handler for all requests, no router or middleware of its own.

    Where there are too many connections, the one that has been idle for longest, or has sent half a head, makes room.
    """

    def __init__(self, edge: Edge, settings: Settings, stopping: asyncio.Event) -> None:
        self.stopping = stopping
        self._limits: dict[str, Any] = {
            # Counts from the connection or the last reply until a request's head is complete: slow heads end here too.
            "keepalive_timeout": settings.http_idle_seconds,
            "write_seconds": settings.http_write_seconds,
            "auto_decompress": False,
            "access_log": None,
        }
        self._most = settings.http_connections
        self._idle: dict[web.RequestHandler, None] = {}  # the longest first
        # A caller that leaves cancels its call.
        super().__init__(edge, request_factory=self._request, handler_cancellation=True)

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, **self._limits)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a connection, and make room for it or refuse it."""
        super().connection_made(handler, transport)
        if len(self.connections) <= self._most:
            self._idle[handler] = None
        elif self._idle:
            next(iter(self._idle)).force_close()
            self._idle[handler] = None
        else:
            transport.write(_as_sent(problem(TOO_MANY, "/")))
            handler.force_close()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        self._idle.pop(handler, None)
        super().connection_lost(handler, exc)

    def idles(self, handler: web.RequestHandler) -> None:
        """Note that *handler* waits for a request."""
        if handler.connected:
            self._idle[handler] = None

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        self._idle.pop(protocol, None)
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())


def _as_sent(response: web.Response) -> bytes:
    """Return *response* as the whole of what a connection says."""
    body = response.body
    assert isinstance(body, bytes)
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
