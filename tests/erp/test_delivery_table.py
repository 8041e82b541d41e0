"""Every cell of the table of deliveries: what each event does in each state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.leases import Rejection

from .conftest import EVERYWHERE
from .desk import Desk, state_of, token_of

pytestmark = EVERYWHERE

Event = Callable[[Desk, str, str], Awaitable[str]]
State = Callable[[Desk, str], Awaitable[str]]


async def waiting(desk: Desk, order_id: str) -> str:
    return "never-leased"


async def leased(desk: Desk, order_id: str) -> str:
    return await desk.claim_one()


async def expired(desk: Desk, order_id: str) -> str:
    token = await leased(desk, order_id)
    await desk.let_expire(order_id)
    return token


async def taken_over(desk: Desk, order_id: str) -> str:
    token = await expired(desk, order_id)
    await desk.claim_one()
    return token


async def amended_while_leased(desk: Desk, order_id: str) -> str:
    token = await leased(desk, order_id)
    await desk.amend(order_id)
    return token


async def amended_after_expiry(desk: Desk, order_id: str) -> str:
    token = await expired(desk, order_id)
    await desk.amend(order_id)
    return token


async def leased_after_a_failure(desk: Desk, order_id: str) -> str:
    token = await leased(desk, order_id)
    await desk.set(order_id, failures=1)
    return token


async def leased_for_the_last_time(desk: Desk, order_id: str) -> str:
    token = await leased(desk, order_id)
    await desk.set(order_id, failures=9)
    return token


async def expired_for_the_last_time(desk: Desk, order_id: str) -> str:
    await desk.set(order_id, failures=9)
    return await expired(desk, order_id)


async def buried_by_expiry(desk: Desk, order_id: str) -> str:
    token = await expired_for_the_last_time(desk, order_id)
    assert await desk.claim() == []
    return token


async def buried_by_rejection(desk: Desk, order_id: str) -> str:
    token = await leased(desk, order_id)
    await permanent(desk, order_id, token)
    return token


async def replayed(desk: Desk, order_id: str) -> str:
    token = await buried_by_expiry(desk, order_id)
    await desk.replay(order_id)
    return token


async def dead_and_amended(desk: Desk, order_id: str) -> str:
    token = await buried_by_rejection(desk, order_id)
    await desk.amend(order_id)
    return token


async def released(desk: Desk, order_id: str) -> str:
    token = await leased(desk, order_id)
    await release(desk, order_id, token)
    return token


async def acknowledged(desk: Desk, order_id: str) -> str:
    token = await leased(desk, order_id)
    await ack(desk, order_id, token)
    return token


async def acknowledged_and_amended(desk: Desk, order_id: str) -> str:
    token = await acknowledged(desk, order_id)
    await desk.amend(order_id)
    return token


async def ack(desk: Desk, order_id: str, token: str) -> str:
    return (await desk.acknowledge(Acknowledgement(order_id, token, f"SO-{order_id}")))[0]


async def reject(desk: Desk, order_id: str, token: str) -> str:
    return (await desk.reject(Rejection(order_id, token, "NO_STOCK", "none left")))[0]


async def permanent(desk: Desk, order_id: str, token: str) -> str:
    return (await desk.reject(Rejection(order_id, token, "UNKNOWN_SKU", "no such thing", permanent=True)))[0]


async def release(desk: Desk, order_id: str, token: str) -> str:
    return (await desk.reject(Rejection(order_id, token, "SHUTDOWN", "bye", release=True)))[0]


async def extend(desk: Desk, order_id: str, token: str) -> str:
    extension = (await desk.extend((order_id, token)))[0]
    return f"{extension.outcome}{' superseded' if extension.superseded else ''}"


async def claim(desk: Desk, order_id: str, token: str) -> str:
    got = await desk.claim()
    assert all(token_of(delivery) != token for delivery in got)
    return " ".join(delivery.kind for delivery in got) or "nothing"


async def replay(desk: Desk, order_id: str, token: str) -> str:
    return (await desk.replay(order_id))[0]


EVENTS: list[Event] = [ack, reject, permanent, release, extend, claim, replay]

stale = "STALE_LEASE -> "

STATES: dict[State, list[str]] = {
    waiting: [*[stale + "claimable 0"] * 5, "NEW -> leased 0", "NOT_DEAD -> claimable 0"],
    leased: [
        *("ACKNOWLEDGED -> done 0", "REJECTED -> claimable 1", "BURIED -> dead 1"),
        *("RELEASED -> claimable 0", "EXTENDED -> leased 0", "nothing -> leased 0", "NOT_DEAD -> leased 0"),
    ],
    expired: [
        *("ACKNOWLEDGED -> done 0", "REJECTED -> claimable 1", "BURIED -> dead 1"),
        *("RELEASED -> claimable 0", "EXTENDED -> leased 0", "NEW -> leased 1", "NOT_DEAD -> claimable 0"),
    ],
    taken_over: [*[stale + "leased 1"] * 5, "nothing -> leased 1", "NOT_DEAD -> leased 1"],
    amended_while_leased: [
        *("ACKNOWLEDGED -> claimable 0", "REJECTED -> claimable 0", "REJECTED -> claimable 0"),
        *("RELEASED -> claimable 0", "EXTENDED superseded -> leased 0", "nothing -> leased 0", "NOT_DEAD -> leased 0"),
    ],
    amended_after_expiry: [
        *("ACKNOWLEDGED -> claimable 0", "REJECTED -> claimable 0", "REJECTED -> claimable 0"),
        *("RELEASED -> claimable 0", "EXTENDED superseded -> leased 0", "NEW -> leased 0", "NOT_DEAD -> claimable 0"),
    ],
    leased_after_a_failure: [
        *("ACKNOWLEDGED -> done 0", "REJECTED -> backing off 2", "BURIED -> dead 2"),
        *("RELEASED -> claimable 1", "EXTENDED -> leased 1", "nothing -> leased 1", "NOT_DEAD -> leased 1"),
    ],
    leased_for_the_last_time: [
        *("ACKNOWLEDGED -> done 0", "BURIED -> dead 10", "BURIED -> dead 10"),
        *("RELEASED -> claimable 9", "EXTENDED -> leased 9", "nothing -> leased 9", "NOT_DEAD -> leased 9"),
    ],
    expired_for_the_last_time: [
        *("ACKNOWLEDGED -> done 0", "BURIED -> dead 10", "BURIED -> dead 10"),
        *("RELEASED -> claimable 9", "EXTENDED -> leased 9", "nothing -> dead 10", "NOT_DEAD -> claimable 9"),
    ],
    buried_by_expiry: [
        *("ACKNOWLEDGED -> done 0", "BURIED -> dead 11", "BURIED -> dead 11"),
        *("RELEASED -> claimable 10", "EXTENDED -> leased 10", "nothing -> dead 10", "REPLAYED -> claimable 0"),
    ],
    buried_by_rejection: [*[stale + "dead 1"] * 5, "nothing -> dead 1", "REPLAYED -> claimable 0"],
    replayed: [*[stale + "claimable 0"] * 5, "NEW -> leased 0", "NOT_DEAD -> claimable 0"],
    dead_and_amended: [*[stale + "claimable 0"] * 5, "NEW -> leased 0", "NOT_DEAD -> claimable 0"],
    released: [*[stale + "claimable 0"] * 5, "NEW -> leased 0", "NOT_DEAD -> claimable 0"],
    acknowledged: [
        "ALREADY_ACKNOWLEDGED -> done 0",
        *[stale + "done 0"] * 4,
        "nothing -> done 0",
        "NOT_DEAD -> done 0",
    ],
    acknowledged_and_amended: [
        *(
            "ALREADY_ACKNOWLEDGED -> claimable 0",
            *[stale + "claimable 0"] * 4,
            "CHANGED -> leased 0",
            "NOT_DEAD -> claimable 0",
        ),
    ],
}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
async def test_each_event_in_each_state(desk: Desk, state: State) -> None:
    seen = []
    for event in EVENTS:
        (order_id,) = await desk.place()
        token = await state(desk, order_id)
        outcome = await event(desk, order_id, token)
        seen.append(f"{outcome} -> {state_of(await desk.delivery(order_id))}")
        await desk.timeline(order_id)
        await desk.set(order_id, available_at=None, erp="elsewhere")
    assert seen == STATES[state]
