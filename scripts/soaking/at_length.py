"""What the tests of promises try for seconds, at length: restarts that nobody notices, and outages of the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from soaking import outages as single
from soaking.ledger import Ledger
from soaking.mysqld import OwnMysql
from soaking.outages import OUTAGES, Outage
from soaking.restarts import Doors, Restarts, restart
from soaking.site import GRACE_SECONDS, Site
from soaking.soak import Result

READY_SECONDS = 5


async def restarts(mysql: OwnMysql, folder: Path, rounds: int) -> Result:
    """Restart servers and gateways in turn under load."""
    async with _started(mysql, folder) as site:
        gateways = [f"http://{address}" for address in site.gateways]
        doors = Doors(site.target, gateways, site.keys["TANDEM_CRM_KEY"], site.keys["TANDEM_ERP_KEY"])
        done = await restart(doors, list(site.kept.values()), rounds)
    counted = {"restarts": rounds, "orders created": len(done.created), "orders received": len(done.received)}
    counted |= {"deliveries": done.received.total(), "longest stop in ms": round(1000 * max(done.took))}
    return Result({"restarts": counted}, list(_unkept(done)))


def _unkept(done: Restarts) -> Iterator[str]:
    if max(done.took) > GRACE_SECONDS + 2:
        yield f"a process took {max(done.took):.1f} s to stop"
    for order_id in done.created - done.received.keys():
        yield f"{order_id} was created, and never received"
    for order_id, times in done.received.items():
        if times > 1:
            yield f"{order_id} was received {times} times"


async def outages(mysql: OwnMysql, folder: Path, seconds: float) -> Result:
    """Stop the database, freeze it, and kill all connections again and again, each for so long."""
    seen: dict[str, Outage] = {}
    async with _started(mysql, folder) as site:
        server, gateway = site.kept["server 1"].address, site.kept["gateway 1"].address
        doors = single.Doors(server, f"http://{gateway}", site.keys["TANDEM_CRM_KEY"])
        for kind in OUTAGES:
            seen[kind] = await single.outage(doors, mysql, kind, seconds)
        seen["connections killed"] = await single.kill_connections(doors, mysql, seconds)
    slow = [f"{kind}: readiness took {max(each.away, each.back):.1f} s" for kind, each in seen.items() if _slow(each)]
    return Result({kind: _counted(each) for kind, each in seen.items()}, slow)


def _slow(seen: Outage) -> bool:
    return max(seen.away, seen.back) > READY_SECONDS


def _counted(seen: Outage) -> dict[str, int]:
    times = {"away after ms": seen.away, "back after ms": seen.back, "slowest reply in ms": seen.slowest}
    return {name: round(1000 * value) for name, value in times.items()} | dict(seen.replies)


@asynccontextmanager
async def _started(mysql: OwnMysql, folder: Path) -> AsyncIterator[Site]:
    ledger = Ledger(folder / "ledger.jsonl")
    site = Site(mysql, folder, ledger)
    await site.start()
    try:
        yield site
    finally:
        await site.stop()
        ledger.close()
