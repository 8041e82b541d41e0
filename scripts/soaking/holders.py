"""Who held an order, and until when, as the ledger tells: what the promises of delivery are checked by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from soaking.ledger import Call, Json, Story

DONE = ("ACKNOWLEDGED", "ALREADY_ACKNOWLEDGED")


@dataclass
class Holding:
    """An order in the hands of a worker, under one token, from when it arrived until nobody could say any more it was.

    `acked` is whether it was acknowledged, None where that was asked and nobody knows.
    """

    order: Json
    kind: str
    token: str
    revision: int
    attempt: int
    since: float
    until: float
    acked: bool | None = False

    def end(self, at: float) -> None:
        """Know that the worker let go at that time."""
        self.until = min(self.until, at)


Holdings = dict[str, list[Holding]]
"""By order id, in the order of their attempts."""


def holdings(story: Story) -> Holdings:
    """Return every holding."""
    found: dict[tuple[str, str], Holding] = {}
    twice: list[Holding] = []
    for call in story.of("PullOrders", "LeaseOrders"):
        for at, reply in call.replies:
            for delivery in reply["deliveries"]:
                holding = _holding(delivery, at)
                key = holding.order["id"], holding.token
                twice += [holding] if key in found else []
                found.setdefault(key, holding)
    _extend(story, found)
    _end(story, found)
    held: Holdings = defaultdict(list)
    for holding in (*found.values(), *twice):
        held[holding.order["id"]].append(holding)
    for each in held.values():
        each.sort(key=lambda holding: (holding.attempt, holding.since))
    return held


def check_holdings(held: Holdings) -> Iterator[str]:
    """Yield where two held an order at one time, or where it was handed out again though it was done."""
    for order_id, each in held.items():
        yield from _check_order(order_id, each)


def _check_order(order_id: str, each: Sequence[Holding]) -> Iterator[str]:
    acked = 0
    for holding in each:
        if holding.revision <= acked:
            yield f"{order_id}: revision {holding.revision} came again, though {acked} was acknowledged"
        if holding.acked:
            acked = max(acked, holding.revision)
    for before, after in pairwise(each):
        if (before.revision, before.attempt) >= (after.revision, after.attempt) or before.attempt == after.attempt:
            yield f"{order_id}: attempt {after.attempt} was handed out after attempt {before.attempt}, or twice"
        if after.since < before.until:
            seconds = before.until - after.since
            yield f"{order_id}: held by two for {seconds:.3f} s, in attempts {before.attempt} and {after.attempt}"


def _holding(delivery: Json, at: float) -> Holding:
    told = {name: delivery[name] for name in ("order", "kind", "revision", "attempt")}
    return Holding(token=delivery["lease_token"], since=at, until=instant(delivery["lease_expires_at"]), **told)


def _extend(story: Story, found: dict[tuple[str, str], Holding]) -> None:
    """A lease that was extended lasts longer; one of which the worker was told that it is lost is over."""
    for call in story.of("ExtendLeases"):
        for at, reply in call.replies:
            for asked, result in zip(call.request["extensions"], reply["results"], strict=True):
                holding = found[asked["order_id"], asked["lease_token"]]
                if result["outcome"] == "EXTENDED":
                    holding.until = max(holding.until, instant(result["lease_expires_at"]))
                else:
                    holding.end(at)


def _end(story: Story, found: dict[tuple[str, str], Holding]) -> None:
    """Whoever says that it is done with an order holds it no longer, even before the reply."""
    for call in story.of("AcknowledgeOrders", "RejectOrders"):
        field = "acknowledgements" if call.method == "AcknowledgeOrders" else "rejections"
        results = call.reply["results"] if call.reply else [{"outcome": ""}] * len(call.request[field])
        for asked, result in zip(call.request[field], results, strict=True):
            holding = found[asked["order_id"], asked["lease_token"]]
            holding.end(call.at)
            if field == "acknowledgements":
                _judge(holding, call, result["outcome"])


def _judge(holding: Holding, call: Call, outcome: str) -> None:
    if outcome in DONE:
        holding.acked = True
    elif call.reply is None and not holding.acked:
        holding.acked = None


def instant(text: str) -> float:
    """Return an instant of the contract's JSON in seconds."""
    return datetime.fromisoformat(text).timestamp()
