"""The soak's checker finds what it is there to find: made-up ledgers, each with one promise broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from soaking.state import Line

from .made_up import Day, a_good_day, an_order, stored


def test_a_good_day_has_nothing_wrong() -> None:
    assert a_good_day().found() == []


def lose_an_order(day: Day) -> None:
    day.state.orders = day.state.orders[:1]


def store_an_order_twice(day: Day) -> None:
    day.state.orders = [*day.state.orders, stored("ord2", id="ord3")]
    day.deliver(stored("ord3"), 1, 1)
    day.acknowledge("ord3", 2, 1)


def store_what_nobody_was_told(day: Day) -> None:
    day.state.orders = [*day.state.orders, stored("ord3", status="CANCELLED")]
    day.call("CancelOrder", 0, {"id": "ord3"}, {"order": {"status": "CANCELLED"}})


def store_other_content(day: Day) -> None:
    day.state.orders[0]["lines"] = [{"sku": "71053", "quantity": "7", "unit_price": "3.39"}]


def let_two_hold_an_order(day: Day) -> None:
    day.deliver(stored("ord1"), 9.5, 3)
    day.deliver(stored("ord1"), 12, 4)


def hand_an_order_out_early(day: Day) -> None:
    """Its lease was extended until 8."""
    day.lines = [line | {"at": 7.5} if line["at"] == 8.6 else line for line in day.lines]


def hand_a_lease_out_twice(day: Day) -> None:
    day.deliver(stored("ord1"), 30, 2)


def bring_back_what_is_done(day: Day) -> None:
    day.deliver(stored("ord2"), 30, 2)


def never_deliver_an_order(day: Day) -> None:
    day.state.orders[1]["delivery"] = {"state": "BACKING_OFF"}


def call_done_what_nobody_saw(day: Day) -> None:
    day.create("o3", "ord3")
    day.state.orders = [*day.state.orders, stored("ord3", status="NEW")]


def lose_a_change(day: Day) -> None:
    day.call("AmendOrder", 0.5, {"id": "ord1", "order": {"note": "n"}}, {"order": {"revision": 2}})


def change_an_order_twice(day: Day) -> None:
    day.call("AmendOrder", 0.5, {"id": "ord1", "order": {"note": ""}}, {"order": {"revision": 1}})
    day.state.timeline = [*day.state.timeline, *[Line("ord1", "AMENDED")] * 2]


def leave_the_last_revision_undelivered(day: Day) -> None:
    day.call("AmendOrder", 0.5, {"id": "ord1", "order": {"note": "n"}}, {"order": {"revision": 2}})
    day.state.timeline = [*day.state.timeline, Line("ord1", "AMENDED")]
    day.state.orders[0].update(note="n", revision=2)


def step_back(day: Day) -> None:
    day.tell("e3", "ord1", "DELIVERED")
    day.state.timeline = [*day.state.timeline, Line("ord1", "STATUS_UPDATED", "e3")]
    day.state.events = ["e1", "e3"]


def count_an_event_twice(day: Day) -> None:
    day.state.timeline = [*day.state.timeline, Line("ord1", "STATUS_UPDATED", "e1")]


def forget_an_event(day: Day) -> None:
    day.state.timeline = day.state.timeline[1:]


def record_a_webhook_twice(day: Day) -> None:
    day.state.events = ["e1", "e1"]


def lose_a_row(day: Day) -> None:
    day.state.customers = {}


def import_a_row_twice(day: Day) -> None:
    good, result = {"c1": "Ada"}, {"created": 1, "updated": 1, "unchanged": 0, "failed": 0, "rows": 2}
    day.call("ImportCustomers", 0, {"import_id": "i2", "good": good, "bad": 0}, {"result": result})


def fail_in_a_way_nobody_foresaw(day: Day) -> None:
    day.call("GetOrder", 0, {}, fails="INTERNAL")


def speak_as_the_database_does(day: Day) -> None:
    day.call("CreateOrder", 0, {"order": an_order()}, fails="UNAVAILABLE", says="(2013, Lost connection)")


def refuse_an_item(day: Day) -> None:
    day.acknowledge("ord1", 40, 2, outcome="DOCUMENT_CONFLICT")


def stop_too_late(day: Day) -> None:
    day.note(stopped="server 2", code=0, took=7.2)


def end_by_itself(day: Day) -> None:
    day.note(ended="server 2", code=1, after=100.0)


def stay_down(day: Day) -> None:
    day.note(down="server 1")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lose_an_order, "o2 is stored 0 times"),
        (store_an_order_twice, "o2 is stored 2 times"),
        (store_what_nobody_was_told, "o3 is stored, and nobody was told so"),
        (store_other_content, "not as it was created"),
        (let_two_hold_an_order, "held by two for 2.400 s, in attempts 3 and 4"),
        (hand_an_order_out_early, "held by two for 0.500 s"),
        (hand_a_lease_out_twice, "or twice"),
        (bring_back_what_is_done, "revision 1 came again"),
        (never_deliver_an_order, "ord2 was not delivered in the end"),
        (call_done_what_nobody_saw, "ord3 is done, and nobody was handed it"),
        (lose_a_change, "ord1 was changed 0 times, and 1 changes were told"),
        (change_an_order_twice, "ord1 was changed 2 times, and 1 changes were told"),
        (leave_the_last_revision_undelivered, "ord1 was delivered last as"),
        (step_back, "ord1 is SHIPPED, and DELIVERED was told"),
        (count_an_event_twice, "event e1 counted 2 times"),
        (forget_an_event, "event e1 was told, and did not count"),
        (record_a_webhook_twice, "webhook e1 is recorded 2 times"),
        (lose_a_row, "1 rows are not stored"),
        (import_a_row_twice, "i2 of 1 good rows and 0 bad ones ended as"),
        (fail_in_a_way_nobody_foresaw, "GetOrder failed with INTERNAL"),
        (speak_as_the_database_does, "in the database's words"),
        (refuse_an_item, "ended as DOCUMENT_CONFLICT"),
        (stop_too_late, "server 2 took 7.2 s to stop"),
        (end_by_itself, "server 2 ended by itself"),
        (stay_down, "server 1 did not serve again"),
    ],
)
def test_what_is_wrong_is_found(spoil: Callable[[Day], None], words: str) -> None:
    day = a_good_day()
    spoil(day)
    assert any(words in found for found in day.found()), day.found()
