"""Lists: one iterator over all pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Generic, ParamSpec, Protocol, TypeVar

import grpc

from tandem_client.caller import Caller

PAGE_SIZE = 100
"""Items a page where the caller does not say; a page also ends at 1 MiB."""


class ListRequest(Protocol):
    """A request for one page of a list."""

    page_size: int
    page_token: str


class Page(Protocol):
    """One page of a list."""

    next_page_token: str


Filters = ParamSpec("Filters")
Req = TypeVar("Req", bound=ListRequest)
Res = TypeVar("Res", bound=Page)
Item = TypeVar("Item")


class Pages(Generic[Filters, Req, Res, Item]):
    """A list method: called with the fields of its request as filters, it iterates over the items of all pages."""

    def __init__(
        self,
        caller: Caller,
        method: grpc.aio.UnaryUnaryMultiCallable[Req, Res],
        request: Callable[Filters, Req],
        items: Callable[[Res], Iterable[Item]],
    ) -> None:
        self._caller = caller
        self._method = method
        self._request = request
        self._items = items

    async def __call__(self, *args: Filters.args, **filters: Filters.kwargs) -> AsyncIterator[Item]:
        """Iterate over the items that pass the *filters*, asking for a page when the one before is used up."""
        request = self._request(*args, **filters)
        request.page_size = request.page_size or PAGE_SIZE
        while True:
            page = await self._caller.unary(self._method, request)
            for item in self._items(page):
                yield item
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
