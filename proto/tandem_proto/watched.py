"""Files that may change while a process runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class Watched(Generic[T]):
    """What files hold, read again when one of them changes; what cannot be read then leaves what was read before.

    *what* names it in the log. *read* raises ValueError, which at first is the caller's. Looking costs a `stat` a file.
    """

    def __init__(self, what: str, read: Callable[[], T], *paths: Path) -> None:
        self._what, self._read, self._paths = what, read, paths
        self._stamp = self._look()
        self._held = read()

    def latest(self) -> T:
        """Return what the files hold now, or what they held when they could last be read."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp  # of before they are read: what changes meanwhile is read next time
            try:
                self._held = self._read()
            except ValueError as error:
                log.warning("%s: what was read before still counts: %s", self._what, error)
            else:
                log.info("%s: read again", self._what)
        return self._held

    def _look(self) -> tuple[tuple[int, ...], ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when the file does, or who may read it; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
