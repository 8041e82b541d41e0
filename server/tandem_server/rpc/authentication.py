"""Who makes a call, whether the contract lets them, and for how long a stream may go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeVar

from tandem_proto.errors import PermissionDenied, TandemError, Unauthenticated
from tandem_server.domain.principals import Principal
from tandem_server.usecases.keyring import KeyRing
from tandem_server.usecases.webhook_secrets import WebhookSecrets

log = logging.getLogger(__name__)
T = TypeVar("T")


async def authenticate(keys: KeyRing, authorization: str | None) -> Principal:
    """Return the principal of an `authorization` value. Raises Unauthenticated, and what asking the database raises."""
    if authorization is None:
        raise Unauthenticated("a key is needed: send `authorization: Bearer <key>`", reason="KEY_MISSING")
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("send the key as `authorization: Bearer <key>`", reason="UNKNOWN_KEY")
    return await keys.principal(key.strip())


def verify(secrets: WebhookSecrets, webhook: Any) -> Principal:
    """Return the principal of a signed request: the ERP, with no scope at all. Raises Unauthenticated."""
    headers = {
        "webhook-id": webhook.webhook_id,
        "webhook-timestamp": webhook.webhook_timestamp,
        "webhook-signature": webhook.webhook_signature,
    }
    secrets.verify(webhook.erp, headers, webhook.body)
    return Principal(name=f"webhook:{webhook.erp}", source=None, erp=webhook.erp, scopes=frozenset())


def authorize(principal: Principal, scope: str) -> None:
    """Raise PermissionDenied where *principal* lacks *scope*."""
    if scope and scope not in principal.scopes:
        message = f"{principal.name} may not do this: it needs the scope {scope}"
        raise PermissionDenied(message, reason="SCOPE_MISSING", metadata={"required_scope": scope})


class Watch:
    """Ends long calls some time after their key: looks at it again before each item, and while none comes."""

    def __init__(self, keys: KeyRing, authorization: str | None) -> None:
        self._keys = keys
        self._authorization = authorization

    async def over(self, work: Coroutine[Any, Any, T], context: Context | None = None) -> T:
        """Return what *work* ends with. Raises Unauthenticated, and cancels it, when the key has ended."""
        running = asyncio.get_running_loop().create_task(work, context=context)
        try:
            while not (await asyncio.wait({running}, timeout=self._keys.seconds))[0]:
                await self._look()
            return running.result()
        finally:
            running.cancel()

    async def over_each(self, items: AsyncIterator[T]) -> AsyncGenerator[T]:
        """Yield *items*; raises as `over`."""
        context = copy_context()  # one for all items, as if they were made in one task
        while (item := await self.over(_next(items), context)) is not None:
            yield item
            await self._look()

    async def _look(self) -> None:
        try:
            await authenticate(self._keys, self._authorization)
        except Unauthenticated:
            raise
        except TandemError:
            log.warning("cannot tell whether a key still counts, asking again", exc_info=True)


async def _next(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)
