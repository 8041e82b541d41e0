"""What the ERP tells of orders ends the same in whatever order, and however often, it arrives."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem_server.domain.lifecycle import Status
from tandem_server.usecases.acknowledgements import Acknowledgement
from tandem_server.usecases.statuses import StatusUpdate

from .desk import START, Desk, state_of, told

events = count()


def shipment(identifier: str, carrier: str = "DHL") -> dict[str, Any]:
    texts = {"carrier": carrier, "tracking_number": "", "tracking_url": ""}
    return {"shipment_id": identifier, "shipped_at": None, "lines": [{"line_number": 1, "quantity": "1"}], **texts}


async def outcomes(desk: Desk, *updates: StatusUpdate) -> list[str]:
    return [str(result.outcome) for result in await desk.tell(*updates)]


async def test_the_furthest_status_stays(desk: Desk) -> None:
    (order_id,) = await desk.place()
    assert await outcomes(desk, told("e1", order_id, status="SHIPPED")) == ["APPLIED"]
    assert await outcomes(desk, told("e2", order_id, status="PROCESSING")) == ["STALE"]
    assert await outcomes(desk, told("e3", order_id, status="SHIPPED")) == ["STALE"]
    order = await desk.order(order_id)
    assert (order.status, order.version) == ("SHIPPED", 2)
    assert await desk.timeline(order_id) == ["CREATED", *["STATUS_UPDATED"] * 3]
    assert state_of(await desk.delivery(order_id)) == "claimable 0"


async def test_an_event_counts_once_within_a_call_and_across_calls(desk: Desk) -> None:
    (order_id,) = await desk.place()
    update = told("e1", order_id, status="SHIPPED")
    other = told("e1", order_id, status="DELIVERED")
    assert await outcomes(desk, update, update, other) == ["APPLIED", "DUPLICATE", "EVENT_ID_REUSED"]
    assert await outcomes(desk, update, other) == ["DUPLICATE", "EVENT_ID_REUSED"]
    assert (await desk.order(order_id)).status == "SHIPPED"


async def test_racing_duplicates_count_once(desk: Desk) -> None:
    first, second = await desk.place(2)
    calls = [desk.tell(told("e1", each, status="SHIPPED")) for each in (first, second) for _ in range(10)]
    seen = [str(result.outcome) for (result,) in await asyncio.gather(*calls)]
    assert sorted(seen) == ["APPLIED", *["DUPLICATE"] * 9, *["EVENT_ID_REUSED"] * 10]


async def test_an_order_is_named_by_its_document_once_that_is_acknowledged(desk: Desk) -> None:
    (order_id,) = await desk.place()
    await desk.acknowledge(Acknowledgement(order_id, await desk.claim_one(), "SO-1"))
    (result,) = await desk.tell(told("e1", "", erp_document="SO-1", status="SHIPPED"))
    assert (result.outcome, result.order_id, result.status) == ("APPLIED", order_id, "SHIPPED")


async def test_strangers_orders_are_not_found_and_spoil_nothing(desk: Desk) -> None:
    (order_id,) = await desk.place()
    stranger = await Desk.opened(desk.database, f"not-{desk.erp}")
    (own,) = await stranger.place()
    updates = told("e1", order_id, status="SHIPPED"), told("e2", own, status="SHIPPED")
    assert await outcomes(stranger, *updates) == ["NOT_FOUND", "APPLIED"]
    assert await outcomes(desk, told("e2", order_id, status="SHIPPED")) == ["APPLIED"]


async def test_shipments_and_invoices_are_news_of_their_own(desk: Desk) -> None:
    (order_id,) = await desk.place()
    await desk.tell(told("e1", order_id, status="DELIVERED"))
    late = told("e2", order_id, status="SHIPPED", invoice_number="I-2", shipments=[shipment("s1")])
    assert await outcomes(desk, late) == ["APPLIED"]
    assert await outcomes(desk, late._replace(event_id="e3")) == ["STALE"]
    assert await outcomes(desk, told("e4", order_id, invoice_number="I-1")) == ["APPLIED"]
    newer = told("e5", order_id, occurred_at=START + timedelta(seconds=1), shipments=[shipment("s1", "UPS")])
    assert await outcomes(desk, newer) == ["APPLIED"]
    assert await outcomes(desk, late._replace(event_id="e6")) == ["STALE"]
    order = await desk.order(order_id)
    assert (order.status, order.invoice_numbers) == ("DELIVERED", ["I-1", "I-2"])
    assert [each["carrier"] for each in order.shipments.values()] == ["UPS"]


async def test_a_thousand_updates_take_few_statements(desk: Desk) -> None:
    ids = await desk.place(1000)
    updates = [told(f"e{n}", each, status=random.choice(list(Status)[1:])) for n, each in enumerate(ids)]
    assert set(await outcomes(desk, *updates)) == {"APPLIED"}
    assert [(await desk.order(ids[n])).status for n in range(0, 1000, 100)] == [x.status for x in updates[::100]]


one_update = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["", *list(Status)[1:]]),
        "occurred_at": st.integers(0, 3).map(lambda hours: START + timedelta(hours=hours)),
        "invoice_number": st.sampled_from(["", "I-1", "I-2"]),
        "shipments": st.lists(st.builds(shipment, st.sampled_from("ab"), st.sampled_from(["DHL", "UPS"])), max_size=2),
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(one_update, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_arrival_order_and_repetition_make_no_difference(desk_runner: Any, updates: list[Any], chance: Any) -> None:
    async def ends(desk: Desk, shuffled: list[Any], at_once: int) -> tuple[Any, ...]:
        (order_id,) = await desk.place()
        run = next(events)
        sent = [told(f"run{run}-{n}", order_id, **what) for n, what in shuffled]
        for start in range(0, len(sent), at_once):
            await desk.tell(*sent[start : start + at_once])
        order = await desk.order(order_id)
        return order.status, order.invoice_numbers, order.shipments

    numbered = list(enumerate(updates))
    shuffled = numbered + chance.choices(numbered, k=3)
    chance.shuffle(shuffled)
    one, other = desk_runner(lambda desk: ends(desk, numbered, 1)), desk_runner(lambda desk: ends(desk, shuffled, 4))
    assert one == other
