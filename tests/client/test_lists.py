"""Lists go over all pages."""

from __future__ import annotations

from conftest import Party
from retail import hand_over

from tandem_client import OrderStatus


async def test_a_list_gives_every_order_once_whatever_the_size_of_its_pages(party: Party) -> None:
    async with party.crm() as crm:
        made = [order.id for order in await hand_over(crm, 7)]
        for page_size in (0, 1, 3, 7):
            assert [order.id async for order in crm.orders.list(page_size=page_size)] == made


async def test_filters_are_the_fields_of_the_request(party: Party) -> None:
    async with party.crm() as crm:
        (made, *_) = await hand_over(crm, 2)
        found = [order.id async for order in crm.orders.list(external_id=made.external_id)]
        shipped = [order.id async for order in crm.orders.list(status=[OrderStatus.ORDER_STATUS_SHIPPED])]
    assert (found, shipped) == ([made.id], [])
