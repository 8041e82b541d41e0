"""What files are made of before anybody knows what it means."""

from __future__ import annotations

from typing import NamedTuple

BLOCK = 1 << 16
"""Characters that are read in one go."""

MAX_RECORD = 1 << 17
"""Characters of the longest record; no valid customer is longer."""


class Unreadable(NamedTuple):
    """A record that cannot be read, though the next ones can: its text, and why."""

    text: str
    why: str


Record = list[str] | Unreadable
"""The cells of a record."""


class UnreadableFileError(Exception):
    """From here on a file cannot be read; the message says why, as in "has a quote that is not closed"."""
