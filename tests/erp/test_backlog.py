"""How much an ERP still has to learn, as it is measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tandem_server.storage.backlog import Backlog, backlogs
from tandem_server.usecases.leases import Rejection

from .desk import Desk, id_of, token_of


async def test_what_waits_is_counted_by_state_and_how_long(desk: Desk) -> None:
    ids = await desk.place(7)
    done, dead, late, held = await desk.claim(4)
    await desk.reject(Rejection(id_of(dead), token_of(dead), "NO", "no", permanent=True))
    await desk.reject(Rejection(id_of(late), token_of(late), "NO", "no", retry_after_seconds=600))
    await desk.reject(Rejection(id_of(done), token_of(done), "NO", "no", release=True))
    await desk.set(ids[5], available_at=datetime.now(UTC) - timedelta(hours=2))
    seen = (await desk.database.read(backlogs))[desk.erp]
    assert seen[:4] == (4, 1, 1, 1)
    assert timedelta(hours=2) <= seen.age < timedelta(hours=2, minutes=1)
    await desk.let_expire(id_of(held))
    assert (await desk.database.read(backlogs))[desk.erp][:4] == (5, 0, 1, 1)


async def test_of_an_erp_that_has_learnt_everything(desk: Desk) -> None:
    (order_id,) = await desk.place()
    await desk.set(order_id, available_at=None)
    assert (await desk.database.read(backlogs))[desk.erp] == Backlog()
