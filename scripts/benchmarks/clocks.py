"""Time: what a stretch of work takes, of the wall clock and of each process's CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.results import Reading

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Stretch:
    """A stretch of work, complete when its context has ended."""

    seconds: float = 0.0
    cores: dict[str, float] = field(default_factory=dict)

    def rate(self, count: int) -> Reading:
        """Return that *count* things were done."""
        return Reading({"per_second": count / self.seconds, "seconds": self.seconds}, self.cores)

    def pace(self, durations: Sequence[float]) -> Reading:
        """Return that calls were made which took *durations* in seconds."""
        rate = {"per_second": len(durations) / self.seconds}
        return Reading(rate | percentiles(durations), self.cores)


@contextmanager
def stretch(pids: Mapping[str, int]) -> Iterator[Stretch]:
    """Time the context, and meanwhile the processes with *pids*, this one (the client) and all the others together."""
    watched = {**pids, "client": os.getpid()}
    before, started, seen = _used(watched), time.perf_counter(), Stretch()
    yield seen
    seen.seconds, after = time.perf_counter() - started, _used(watched)
    seen.cores = {name: (seconds - before[name]) / seen.seconds for name, seconds in after.items()}


def percentiles(durations: Sequence[float]) -> dict[str, float]:
    """Return p50 and p99 of *durations* in milliseconds."""
    ordered = sorted(durations)
    return {f"p{part}": 1000 * ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in (50, 99)}


def _used(watched: Mapping[str, int]) -> dict[str, float]:
    ours = {name: _cpu_seconds(pid) for name, pid in watched.items()}
    user, nice, system, _idle, _waiting, *rest = Path("/proc/stat").read_text().split()[1:9]
    return ours | {"others": sum(map(int, (user, nice, system, *rest))) / TICKS - sum(ours.values())}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
