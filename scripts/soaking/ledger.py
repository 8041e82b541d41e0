"""The ledger: every request, every reply and every failure, a line each, in a file that only grows."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tandem_client import TandemError

Json = dict[str, Any]
Tell = Callable[[Json], None]


class Ledger:
    """A ledger that is being written. Requests and replies are the contract's JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")
        self._numbers = itertools.count(1)

    @contextmanager
    def call(self, who: str, method: str, request: Json) -> Iterator[Tell]:
        """Note a call of *method*, each reply that it is told, and how it failed if it does."""
        number = next(self._numbers)
        self.note(call=number, who=who, asked=method, request=request)
        try:
            yield lambda reply: self.note(call=number, told=reply)
        except TandemError as error:
            self.note(call=number, failed=error.code, reason=error.reason, says=str(error))
            raise

    def note(self, **told: Any) -> None:
        """Write a line."""
        self._file.write(orjson.dumps({"at": time.time(), **told}) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Write no more."""
        self._file.close()


@dataclass
class Failure:
    """How a call failed: code and reason, for programs, and what it said to people."""

    code: str
    reason: str
    says: str


@dataclass
class Call:
    """A call as the ledger has it: what was asked, and what came back and when, if anything did."""

    who: str
    method: str
    request: Json
    at: float
    replies: list[tuple[float, Json]] = field(default_factory=list)
    failure: Failure | None = None

    @property
    def reply(self) -> Json | None:
        """The reply of a unary call; None where nobody knows what was done."""
        return self.replies[0][1] if self.replies else None


@dataclass
class Story:
    """What a ledger tells: its calls, and what else was noted."""

    calls: list[Call]
    notes: list[Json]

    def of(self, *methods: str) -> Iterator[Call]:
        """Iterate over the calls of *methods*, in the order in which they were asked."""
        return (call for call in self.calls if call.method in methods)

    def noted(self, what: str) -> list[Json]:
        """Return the notes that tell of *what*."""
        return [note for note in self.notes if what in note]


def read(lines: Iterable[str | bytes]) -> Story:
    """Return what the *lines* of a ledger tell."""
    calls: dict[int, Call] = {}
    notes: list[Json] = []
    for line in lines:
        entry = json.loads(line)
        if "asked" in entry:
            calls[entry["call"]] = Call(entry["who"], entry["asked"], entry["request"], entry["at"])
        elif "told" in entry:
            calls[entry["call"]].replies.append((entry["at"], entry["told"]))
        elif "failed" in entry:
            calls[entry["call"]].failure = Failure(entry["failed"], entry["reason"], entry["says"])
        else:
            notes.append(entry)
    return Story(list(calls.values()), notes)
