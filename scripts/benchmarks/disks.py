"""The disk itself: how long it takes to keep a page, beside whatever a database does meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

PAGE = bytes(4096)
PAUSE_SECONDS = 0.02


@dataclass
class Disk:
    """What was seen of a disk: how long it took to keep a page, at most, in milliseconds; 0 if it was not to be had."""

    slowest: float = 0.0


@contextmanager
def watched(folder: Path | None) -> Iterator[Disk]:
    """Write a page again and again to the disk of *folder*, if there is one, as long as the context lasts."""
    seen, done = Disk(), threading.Event()
    if folder is None:
        yield seen
        return
    with TemporaryFile(dir=folder) as file:
        thread = threading.Thread(target=_write, args=(file.fileno(), seen, done))
        thread.start()
        try:
            yield seen
        finally:
            done.set()
            thread.join()


def _write(file: int, seen: Disk, done: threading.Event) -> None:
    while not done.wait(PAUSE_SECONDS):
        started = time.perf_counter()
        os.pwrite(file, PAGE, 0)
        os.fdatasync(file)
        seen.slowest = max(seen.slowest, 1000 * (time.perf_counter() - started))
