"""An incoming call, on its way through the guards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from tandem_proto.catalogue import Method
from tandem_server.rpc.calls import HTTP_HEADER, Context
from tandem_server.rpc.limits import Share
from tandem_server.rpc.validation import parsed


@dataclass
class Call:
    """One call, as its guards know it.

    *sent* is the metadata that came with it. `code` is what the caller sees at its end, with the error's `reason`;
    `crash` is what nobody foresaw, and `error_id` what the caller knows of it. `headers` is what the method has its
    reply say; `share` what the caller has of this process, once that is known.
    """

    path: str
    method: Method | None
    request: Any
    context: Context
    sent: Mapping[str, str]
    principal: str = ""
    code: str = "OK"
    reason: str = ""
    crash: Exception | None = None
    error_id: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    share: Share | None = None

    def __post_init__(self) -> None:
        self.request_id = self.sent.get("x-request-id", "")[:200] or uuid.uuid4().hex

    @property
    def unary(self) -> bool:
        """Whether it is one request with one response."""
        return self.method is not None and self.method.unary

    def parse(self) -> None:
        """Make a message of the request's bytes, once. Raises InvalidArgument where they are none."""
        if self.method is not None and isinstance(self.request, bytes):
            self.request = parsed(self.method, self.request)

    @property
    def trailing(self) -> tuple[tuple[str, str], ...]:
        """The metadata that ends the call."""
        limits = self.share.headers.items() if self.share else ()
        return (*self.headers.items(), *((f"{HTTP_HEADER}{name}", value) for name, value in limits))

    def metadata(self, name: str) -> str | None:
        """Return the value that the caller sent under *name*, None where there is none."""
        return self.sent.get(name)

    async def send_headers(self) -> None:
        """Send `headers`, if there are any, ahead of the first response of a stream."""
        if self.headers:
            await self.context.send_initial_metadata(tuple(self.headers.items()))
            self.headers.clear()


Guard = Callable[[Call], AbstractAsyncContextManager[None]]
"""What surrounds a call."""


def sent_with(context: Context) -> dict[str, str]:
    """Return the metadata of a call that is text, by name."""
    return {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
