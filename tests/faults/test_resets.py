"""Promise 21, where the connections between a server and its database are broken rather than ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from collectors import taking
from conftest import Party, new_party
from soaking.proxy import Proxy
from sqlalchemy.engine import make_url
from stack import Stack

pytestmark = pytest.mark.usefixtures("deadline")

RESETS, AT_ONCE = 4, 5


@pytest.fixture
async def way() -> AsyncIterator[Proxy]:
    """What the server dials for its database."""
    proxy = Proxy("")
    yield proxy
    await proxy.close()


@pytest.fixture(params=["untraced", "traced"])
async def party(
    request: pytest.FixtureRequest, way: Proxy, make_database: Callable[[str], str], make_stack: Callable[..., Stack]
) -> AsyncIterator[Party]:
    url = make_url(make_database("mysql"))
    way.target = f"{url.host}:{url.port}"
    await way.open()
    host, port = way.address.split(":")
    through = url.set(host=host, port=int(port)).render_as_string(hide_password=False)
    with taking() as collector:
        traced = {"otel_exporter_otlp_endpoint": collector} if request.param == "traced" else {}
        yield new_party(await asyncio.to_thread(make_stack, through, log_format="json", **traced))


async def ask(session: aiohttp.ClientSession) -> int:
    async with session.get("/v1/orders") as reply:
        return reply.status


async def test_promise_21_connections_that_were_reset_are_replaced_and_health_goes_on(way: Proxy, party: Party) -> None:
    headers = {"authorization": f"Bearer {party.crm_key}"}
    replies: Counter[int] = Counter()
    async with aiohttp.ClientSession(party.stack.http, headers=headers) as session:
        for _ in range(RESETS):
            replies.update(await asyncio.gather(*(ask(session) for _ in range(AT_ONCE))))
            way.reset()
            await asyncio.sleep(0.3)
        assert replies == {200: RESETS * AT_ONCE}
        await way.close()
        async with asyncio.timeout(10):
            while True:
                async with session.get("/readyz") as reply:
                    if reply.status == 503:
                        break
                await asyncio.sleep(0.1)
    assert '"level":"ERROR"' not in (party.stack.home / "server.log").read_text()
