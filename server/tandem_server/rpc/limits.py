"""How much of this process one principal may have: requests a second, and unary calls and streams at one time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tandem_proto.errors import ResourceExhausted

PRINCIPALS = 10_000
"""Above as many, those who have nothing under way are forgotten, which at most refills their buckets."""

SOONEST_SECONDS = 0.1
"""When to come again at the soonest: before, other callers with the same key are likely to take what there is."""


@dataclass(frozen=True)
class Allowance:
    """What a principal may have: *requests_per_second*, and as many saved up; *calls* and *streams* at one time."""

    requests_per_second: int
    calls: int
    streams: int


class Share:
    """What one principal has of its allowance: a token bucket, and what is under way."""

    def __init__(self, allowance: Allowance) -> None:
        self._rate = allowance.requests_per_second
        self._most = {False: allowance.calls, True: allowance.streams}
        self._running = {False: 0, True: 0}  # by whether they are streams
        self._tokens, self._seen = float(self._rate), time.monotonic()

    @property
    def in_use(self) -> bool:
        """Whether anything is under way."""
        return any(self._running.values())

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers that tell what is left; see draft-ietf-httpapi-ratelimit-headers."""
        return {"ratelimit-policy": f'"key";q={self._rate};w=1', "ratelimit": f'"key";r={int(self._tokens)};t=1'}

    @contextmanager
    def admit(self, *, streaming: bool) -> Iterator[None]:
        """Count a call as long as the context lasts.

        Raises ResourceExhausted, which says when to come again, where the allowance is used up.
        """
        self._refill()
        if self._running[streaming] >= self._most[streaming]:
            raise self._too_many(streaming=streaming)
        if self._tokens < 1:
            raise self._too_fast()
        self._tokens -= 1
        self._running[streaming] += 1
        try:
            yield
        finally:
            self._running[streaming] -= 1

    def _refill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._seen) * self._rate)
        self._seen = now

    def _too_fast(self) -> ResourceExhausted:
        message = f"this key may make {self._rate} requests a second"
        seconds = max(SOONEST_SECONDS, (1 - self._tokens) / self._rate)
        return ResourceExhausted(message, reason="TOO_MANY_REQUESTS", retry_after=seconds)

    def _too_many(self, *, streaming: bool) -> ResourceExhausted:
        what = "streams" if streaming else "calls"
        message = f"this key may have {self._most[streaming]} {what} under way at one time"
        return ResourceExhausted(message, reason=f"TOO_MANY_{what.upper()}", retry_after=1)


class Limits:
    """The share of each principal in what this process does, all with the same *allowance*."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._shares: dict[str, Share] = {}

    def share(self, principal: str) -> Share:
        """Return the share of the principal of that name."""
        share = self._shares.get(principal)
        if share is None:
            if len(self._shares) >= PRINCIPALS:
                self._shares = {name: share for name, share in self._shares.items() if share.in_use}
            share = self._shares[principal] = Share(self._allowance)
        return share
