"""Who did what to an order, when and from where."""

from __future__ import annotations

import aiohttp
import pytest
from conftest import Party, change_database
from known_keys import OPERATOR, STRANGE_CRM
from rest.test_status_table import ask
from retail import a_customer, an_order, hand_over

from tandem.crm.v1.order_event_pb2 import OrderEvent, OrderEventType
from tandem.crm.v1.order_pb2 import Order
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem_client import NotFound, Tandem
from tandem_server.storage.events import EventType

from .erp import acknowledge, lease_one, names_of, reject, tell_status

pytestmark = pytest.mark.usefixtures("deadline")


def test_the_contract_names_whatever_can_happen() -> None:
    named = {name.removeprefix("ORDER_EVENT_TYPE_") for name in OrderEventType.keys()}  # noqa: SIM118
    assert {event.value for event in EventType} <= named


async def life_of(party: Party, crm: Tandem, worker: Tandem) -> Order:
    """Lead an order through everything that can happen to one but its end as a dead letter."""
    (order,) = await hand_over(crm, 1)
    await lease_one(worker, lease_seconds=60)
    past = "UPDATE deliveries SET available_at = '2020-01-01 00:00:00.000000', lease_expires_at = available_at"
    change_database(party.stack, f"{past} WHERE order_id = '{order.id}'")
    await reject(worker, await lease_one(worker), code="LOCKED", reason="stocktaking", field="lines[0].sku")
    await crm.orders.amend(order.id, Order(note="x", shipping_amount="1.00"))
    await reject(worker, await lease_one(worker), release=True)
    await acknowledge(worker, await lease_one(worker))
    await tell_status(worker, order, "PROCESSING", reason="picked")
    await crm.orders.cancel(order.id, reason="ordered twice")
    await acknowledge(worker, await lease_one(worker))
    return order


LIFE = (
    *("CREATED", "LEASED", "EXPIRED", "LEASED", "REJECTED", "AMENDED", "LEASED", "RELEASED", "LEASED", "ACKNOWLEDGED"),
    *("STATUS_UPDATED", "CANCEL_REQUESTED", "LEASED", "ACKNOWLEDGED", "CANCELLED"),
)


async def test_the_whole_life_of_an_order(party: Party) -> None:
    async with party.crm() as crm, party.worker() as worker:
        order = await life_of(party, crm, worker)
        assert await names_of(crm, order) == list(LIFE)
        events = [event async for event in crm.orders.events(order.id)]
        assert [event.revision for event in events] == [*[1] * 5, *[2] * 6, *[3] * 4]
        assert [event.attempt for event in events] == [0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5]
        assert {event.actor for event in events} == {f"crm:{party.source}", f"erp:{party.erp}"}
        assert all(event.request_id and event.HasField("at") for event in events)
        check_details(order, dict(zip(LIFE, events, strict=True)))


def check_details(order: Order, last: dict[str, OrderEvent]) -> None:
    assert (last["LEASED"].worker, last["EXPIRED"].worker) == ("w", "w")
    assert (last["REJECTED"].code, last["REJECTED"].reason) == ("LOCKED", "stocktaking")
    assert last["REJECTED"].detail["field"] == "lines[0].sku"
    assert list(last["AMENDED"].changed_fields) == ["note", "shipping_amount"]
    assert last["STATUS_UPDATED"].status == OrderStatus.ORDER_STATUS_PROCESSING
    assert (last["STATUS_UPDATED"].outcome, last["STATUS_UPDATED"].reason) == ("APPLIED", "picked")
    assert last["CANCEL_REQUESTED"].reason == "ordered twice"
    assert last["CREATED"].at == order.created_at


async def test_pages(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        (order, other) = await hand_over(crm, 2)
        for note in "abcd":
            await crm.orders.amend(order.id, Order(note=note))
    path, token = f"/v1/orders/{order.id}/events", ""
    seen: list[tuple[int, str]] = []
    while not seen or token:
        status, _, page = await ask(http, "GET", path, params={"page_size": 2, "page_token": token})
        assert status == 200
        seen += [(event["seq"], event["type"]) for event in page["events"]]
        token, last = page["next_page_token"], token
    assert seen == [(1, "CREATED"), *((seq, "AMENDED") for seq in range(2, 6))]
    assert (await ask(http, "GET", f"/v1/orders/{other.id}/events", params={"page_token": last}))[0] == 400
    assert (await ask(http, "GET", path, params={"page_token": "abc"}))[0] == 400


async def test_it_belongs_to_its_party(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm, Tandem(party.stack.grpc, key=OPERATOR.key) as operator:
        (order,) = await hand_over(crm, 1)
        assert await names_of(operator, order) == ["CREATED"]
        with pytest.raises(NotFound):
            await names_of(crm, Order(id="ord_01h455vb4pex5vsknk084sn02q"))
    path = f"/v1/orders/{order.id}/events"
    for key, expected in ((STRANGE_CRM.key, 404), (party.erp_key, 403), ("garbage", 401)):
        assert (await ask(http, "GET", path, headers={"authorization": f"Bearer {key}"}))[0] == expected


async def test_an_order_may_be_called_events(party: Party, http: aiohttp.ClientSession) -> None:
    async with party.crm() as crm:
        await crm.customers.upsert(a_customer())
        await crm.orders.create(an_order("events"))
    assert (await ask(http, "GET", "/v1/orders/external/events"))[2]["external_id"] == "events"
