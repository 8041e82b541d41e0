"""What an import is made of: rows in chunks, chained by their content, each with an outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tandem_proto.errors import FieldViolation
from tandem_server.domain.content import Content

CHUNK_ROWS = 500
CHUNK_BYTES = 4 << 20
"""A chunk ends with whichever comes first, so that the same rows make the same chunks."""

WHOLE_ROWS = 10_000
WHOLE_BYTES = 16 << 20
"""What ALL_OR_NOTHING takes, since it is kept in memory until its end."""

LETTERS = {
    "CREATED": "C",
    "UPDATED": "U",
    "UNCHANGED": "S",
    "FAILED": "F",
    "AMBIGUOUS": "A",
    "NOT_REACHED": "N",
}
"""How outcomes are stored: a letter a row, a text a chunk."""

OUTCOMES = {letter: outcome for outcome, letter in LETTERS.items()}


class Row(NamedTuple):
    """One row: what it says of a customer, or what is wrong with it and why, for programs."""

    content: Content
    faults: Sequence[FieldViolation] = ()
    reason: str = ""


@dataclass(frozen=True)
class Chunk:
    """Rows that are committed together: the number of the first, their digest, and whether the input ends with them.

    `rows` makes them, which what is only compared never needs; `original` gives the cells of one, by its position.
    """

    first: int
    count: int
    size: int
    digest: bytes
    last: bool
    rows: Callable[[], Awaitable[Sequence[Row]]]
    original: Callable[[int], list[str]]

    @property
    def after(self) -> int:
        """The number of the first row behind it."""
        return self.first + self.count


class Options(NamedTuple):
    """How to import: under which id, what becomes of good rows beside bad ones, and whether to store any."""

    id: str
    mode: str
    dry_run: bool

    @property
    def whole(self) -> bool:
        """Whether all rows are stored or none."""
        return self.mode == "ALL_OR_NOTHING"


def chained(chain: str, digest: bytes) -> str:
    """Return what *chain*, which tells all rows so far, becomes with a chunk of *digest*."""
    return hashlib.sha256(chain.encode() + digest).hexdigest()
