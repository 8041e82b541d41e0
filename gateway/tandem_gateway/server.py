"""The HTTP server: how aiohttp is told of our limits, and of how errors look."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from tandem_gateway.edge import Edge
from tandem_gateway.errors import problem
from tandem_gateway.settings import Settings
from tandem_proto.errors import InvalidArgument


class Connection(web.RequestHandler):
    """One connection; what does not parse as HTTP is answered as every error is, and leaves no traceback in the log."""

    __slots__ = ()

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
    """aiohttp's low-level server: one handler for all requests, no router or middleware of its own."""

    def __init__(self, edge: Edge, settings: Settings) -> None:
        self._limits: dict[str, Any] = {
            # Counts from the connection or the last reply until a request's head is complete: slow heads end here too.
            "keepalive_timeout": settings.http_idle_seconds,
            "auto_decompress": False,
            "access_log": None,
        }
        self._body_bytes = settings.http_body_bytes
        # A caller that leaves cancels its call.
        super().__init__(edge, request_factory=self._request, handler_cancellation=True)

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, loop=asyncio.get_running_loop(), **self._limits)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=self._body_bytes)
