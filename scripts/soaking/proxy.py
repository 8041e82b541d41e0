"""A TCP proxy between two that talk, which at times passes on badly what they say."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from contextlib import suppress

PIECE_BYTES = 1 << 16
NO_LINGER = struct.pack("ii", 1, 0)

End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Passes on what comes to `address`, to `target` and back; each piece after `delay` seconds, more or less."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._lines: set[_Line] = set()
        self.delay = 0.0
        self.address = ""

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "127.0.0.1:{1}".format(*self._server.sockets[0].getsockname())

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        self._server.close()
        self.reset()
        await self._server.wait_closed()

    def cut(self) -> None:
        """End every connection, and say so at both ends."""
        for line in list(self._lines):
            line.close()

    def reset(self) -> None:
        """Break every connection, as a machine does that knows nothing of it."""
        for line in list(self._lines):
            line.reset()

    def silence(self) -> None:
        """Leave every connection half-open: it stays, nothing passes any more, and no end learns of the other's."""
        for line in self._lines:
            line.silent = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        try:
            there = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        line = _Line((reader, writer), there)
        self._lines.add(line)
        try:
            await asyncio.gather(self._pass(line, reader, there[1]), self._pass(line, there[0], writer))
        finally:
            line.close()
            self._lines.discard(line)

    async def _pass(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE_BYTES):
                if self.delay:
                    await asyncio.sleep(self.delay * random.uniform(0.5, 1.5))
                if not line.silent:
                    writer.write(piece)
                    await writer.drain()
        if not line.silent:
            line.close()


class _Line:
    """A connection: both its ends."""

    def __init__(self, *ends: End) -> None:
        self._writers = [writer for _, writer in ends]
        self.silent = False

    def close(self) -> None:
        for writer in self._writers:
            writer.close()

    def reset(self) -> None:
        for writer in self._writers:
            with suppress(OSError):  # it may be closed already
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()
