"""Looks whether the promises were kept: what the ledger says was told, beside what is stored."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from soaking.holders import DONE, Holding, Holdings, check_holdings, holdings
from soaking.ledger import Call, Json, Story
from soaking.site import GRACE_SECONDS
from soaking.state import State

STATUSES = (
    *("NEW", "ACKNOWLEDGED", "PROCESSING", "PARTIALLY_SHIPPED", "SHIPPED", "DELIVERED"),
    *("RETURNED", "REJECTED", "CANCELLED"),
)
"""How far an order is, by the contract."""

EXPECTED = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED"}
"""How a call may end while there are faults."""
REFUSALS = {
    "AmendOrder": {"ORDER_NOT_AMENDABLE", "CANCEL_REQUESTED"},
    "CancelOrder": {"ORDER_NOT_CANCELLABLE"},
}
"""How a call may be refused, as the rules of orders have it."""
OUTCOMES = {
    "AcknowledgeOrders": {*DONE, "STALE_LEASE"},
    "RejectOrders": {"REJECTED", "BURIED", "RELEASED", "STALE_LEASE"},
    "ExtendLeases": {"EXTENDED", "STALE_LEASE"},
    "UpdateOrderStatus": {"APPLIED", "STALE", "DUPLICATE", "PARKED"},
}
"""What may become of one item of a call."""
ITS_WORDS = re.compile(r"(?i)mysql|sql|select |insert |update |\(\d{4}, |lost connection|traceback")
STARTING_SECONDS = 45
"""A process that ends by itself within this time may not have had its database, or its port."""
FIELDS = ("external_id", "customer_external_id", "currency", "note")


def violations(story: Story, state: State) -> Iterator[str]:
    """Yield every promise that was not kept."""
    held = holdings(story)
    by_id = {order["id"]: order for order in state.orders}
    yield from _check_failures(story)
    yield from _check_processes(story)
    yield from _check_orders(story, state)
    yield from _check_changes(story, state, by_id)
    yield from check_holdings(held)
    yield from _check_delivered(held, by_id)
    yield from _check_statuses(story, held, by_id)
    yield from _check_events(story, state, by_id)
    yield from _check_imports(story, state)


def _check_failures(story: Story) -> Iterator[str]:
    """No error that nobody foresaw, and none in the database's words."""
    for call in story.calls:
        if call.failure and not _is_expected(call):
            yield f"{call.method} failed with {call.failure.code} {call.failure.reason}: {call.failure.says}"
        if call.failure and ITS_WORDS.search(call.failure.says):
            yield f"{call.method} failed in the database's words: {call.failure.says}"
    for call in story.of(*OUTCOMES):
        for result in (call.reply or {}).get("results", ()):
            if result["outcome"] not in OUTCOMES[call.method]:
                yield f"{call.method} ended as {result['outcome']}: {result}"


def _is_expected(call: Call) -> bool:
    assert call.failure is not None
    return call.failure.code in EXPECTED or call.failure.reason in REFUSALS.get(call.method, ())


def _check_processes(story: Story) -> Iterator[str]:
    """Who is asked to stop does so in time, and nobody ends for no reason."""
    for note in story.noted("stopped"):
        if note["code"] != 0 or note["took"] > GRACE_SECONDS + 2:
            yield f"{note['stopped']} took {note['took']:.1f} s to stop, and ended with {note['code']}"
    for note in story.noted("ended"):
        if note["after"] > STARTING_SECONDS:
            yield f"{note['ended']} ended by itself with {note['code']} after {note['after']:.0f} s"
    for note in story.noted("down"):
        yield f"{note['down']} did not serve again after the faults"


def _check_orders(story: Story, state: State) -> Iterator[str]:
    """Every order that was told is stored, once, as it was told; and every one stored was told."""
    stored: dict[str, list[Json]] = defaultdict(list)
    for order in state.orders:
        stored[order["external_id"]].append(order)
    asked = {call.request["order"]["external_id"] for call in story.of("CreateOrder") if call.reply}
    for name in stored.keys() - asked:
        yield f"order {name} is stored, and nobody was told so"
    for name in asked:
        if len(stored.get(name, [])) != 1:
            yield f"order {name} is stored {len(stored.get(name, []))} times"
    for call in story.of("CreateOrder"):
        if call.reply and (there := stored.get(call.request["order"]["external_id"])):
            if call.reply["order"]["id"] != there[0]["id"]:
                yield f"order {there[0]['external_id']} was told to be {call.reply['order']['id']}"
            if there[0]["revision"] == 1 and _content(call.request["order"]) != _content(there[0]):
                yield f"order {there[0]['external_id']} is not as it was created: {there[0]}"


def _check_changes(story: Story, state: State, by_id: dict[str, Json]) -> Iterator[str]:
    """Every change that was told happened, once, and the last one is what is stored."""
    changes: dict[str, list[Call]] = defaultdict(list)
    for call in story.of("AmendOrder"):
        if call.reply:
            changes[call.request["id"]].append(call)
    told = Counter(line.order_id for line in state.timeline if line.type == "AMENDED")
    for order_id in changes.keys() | told.keys():
        calls = changes[order_id]
        notes = {call.request["order"]["note"] for call in calls}
        if told[order_id] != len(notes):
            yield f"{order_id} was changed {told[order_id]} times, and {len(notes)} changes were told: {notes}"
        if calls and order_id in by_id:
            last = max(calls, key=_told_revision)
            if not _follows(last, by_id[order_id]):
                yield f"{order_id} is not as it was changed last: {last.request}, but {by_id[order_id]}"


def _told_revision(call: Call) -> int:
    return int(call.reply["order"]["revision"]) if call.reply else 0


def _follows(call: Call, order: Json) -> bool:
    change = call.request["order"]
    lines = [_line(line) for line in change.get("lines") or order["lines"]]
    return bool(change["note"] == order["note"]) and lines == [_line(line) for line in order["lines"]]


def _check_delivered(held: Holdings, by_id: dict[str, Json]) -> Iterator[str]:
    """Everything was delivered as it is stored, but what was called off before anybody saw it."""
    for order_id, order in by_id.items():
        each = held.get(order_id, [])
        if order["delivery"]["state"] != "DONE":
            yield f"{order_id} was not delivered in the end: {order['delivery']}"
        elif not each and order["status"] != "CANCELLED":
            yield f"{order_id} is done, and nobody was handed it"
        elif each and not _same(each[-1], order):
            yield f"{order_id} was delivered last as {each[-1].order}, and is {order}"


def _same(last: Holding, order: Json) -> bool:
    return bool(last.revision == order["revision"]) and _content(last.order) == _content(order)


def _check_statuses(story: Story, held: Holdings, by_id: dict[str, Json]) -> Iterator[str]:
    """An order is as far as was ever told of it. What nobody knows may count, or not."""
    documents = {order["erp_document"]: order["id"] for order in by_id.values() if order["erp_document"]}
    sure: dict[str, set[str]] = defaultdict(lambda: {"NEW"})
    maybe: dict[str, set[str]] = defaultdict(set)
    for order_id, each in held.items():
        for holding in (holding for holding in each if holding.acked is not False):
            status = "CANCELLED" if holding.kind == "CANCELLED" else "ACKNOWLEDGED"
            (sure if holding.acked else maybe)[order_id].add(status)
    for update, known in _updates(story):
        order_id = update.get("order_id") or documents.get(update.get("erp_document", ""), "")
        (sure if known else maybe)[order_id].add(update["status"])
    for call in story.of("CancelOrder"):
        if call.reply and call.reply["order"]["status"] == "CANCELLED":
            sure[call.request["id"]].add("CANCELLED")
    for order_id, order in by_id.items():
        least = max(map(STATUSES.index, sure[order_id]))
        if STATUSES.index(order["status"]) < least or order["status"] not in sure[order_id] | maybe[order_id]:
            yield f"{order_id} is {order['status']}, and {STATUSES[least]} was told"


def _updates(story: Story) -> Iterator[tuple[Json, bool]]:
    """Yield every update that was told, and whether it is known to have arrived."""
    for call in story.of("UpdateOrderStatus"):
        for update in call.request["updates"]:
            yield update, call.reply is not None
    for call in story.of("ReceiveErpEvent"):
        yield call.request, call.reply is not None


def _check_events(story: Story, state: State, by_id: dict[str, Json]) -> Iterator[str]:
    """Every event counted, once."""
    counted = Counter(line.reason for line in state.timeline if line.type == "STATUS_UPDATED")
    for event, times in counted.items():
        if times > 1:
            yield f"event {event} counted {times} times"
    documents = {order["erp_document"] for order in by_id.values()}
    for update, known in _updates(story):
        parked = not update.get("order_id") and update.get("erp_document") not in documents
        if known and not parked and not counted[update["event_id"]]:
            yield f"event {update['event_id']} was told, and did not count"
    recorded = Counter(state.events)
    for call in story.of("ReceiveErpEvent"):
        if call.reply and recorded[call.request["event_id"]] != 1:
            yield f"webhook {call.request['event_id']} is recorded {recorded[call.request['event_id']]} times"


def _check_imports(story: Story, state: State) -> Iterator[str]:
    """Every good row was stored, once, and every bad one is told as such."""
    for call in story.of("ImportCustomers"):
        if call.reply is None:
            continue
        good, result = call.request["good"], call.reply["result"]
        told = {name: result[name] for name in ("created", "updated", "unchanged", "failed", "rows")}
        bad = call.request["bad"]
        if told != {"created": len(good), "updated": 0, "unchanged": 0, "failed": bad, "rows": len(good) + bad}:
            yield f"{call.request['import_id']} of {len(good)} good rows and {bad} bad ones ended as {told}"
        lost = [name for name, said in good.items() if state.customers.get(name) != said]
        if lost:
            yield f"{call.request['import_id']}: {len(lost)} rows are not stored as they were told, as {lost[0]}"


def _content(order: Json) -> list[Any]:
    return [*(order.get(name, "") for name in FIELDS), [_line(line) for line in order["lines"]]]


def _line(line: Json) -> list[Any]:
    return [line["sku"], Decimal(line["quantity"]), Decimal(line["unit_price"])]
