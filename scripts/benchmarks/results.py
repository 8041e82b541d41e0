"""What was measured: readings of one round, series over all rounds, and the lines of the report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Reading:
    """What one round of one load gave: values by name, and how many cores each process used meanwhile."""

    values: Mapping[str, float]
    cores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """One value a round."""

    unit: str
    values: Sequence[float]

    @property
    def middle(self) -> float:
        """The median round."""
        return median(self.values)

    def over(self, other: Series) -> Series:
        """Return the quotients, round by round."""
        return Series("x", [mine / its for mine, its in zip(self.values, other.values, strict=True)])

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        spread = {"min": min(self.values), "max": max(self.values)}
        return {"unit": self.unit, "median": self.middle, **spread, "rounds": list(self.values)}


@dataclass(frozen=True)
class Target:
    """What a figure is to reach: a bound of the measured value, or of its quotient with the limit."""

    bound: float
    at_least: bool = False
    of_quotient: bool = False

    def reached(self, line: Line) -> bool:
        """Tell whether the median round of *line* keeps to it."""
        judged = line.quotient if self.of_quotient else line.measured
        assert judged is not None
        return judged.middle >= self.bound if self.at_least else judged.middle <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{'x' if self.of_quotient else ''}"


@dataclass(frozen=True)
class Line:
    """One line of the report: *measured* beside *limit*, which says *beside* what."""

    what: str
    measured: Series
    beside: str = ""
    limit: Series | None = None
    target: Target | None = None
    note: str = ""
    cores: Mapping[str, float] = field(default_factory=dict)

    @property
    def quotient(self) -> Series | None:
        """What was measured as a part of the limit, round by round."""
        return self.measured.over(self.limit) if self.limit else None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        return self.target.reached(self) if self.target else None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "what": self.what,
            "measured": self.measured.as_json(),
            "beside": self.beside,
            "limit": self.limit and self.limit.as_json(),
            "quotient": self.quotient and self.quotient.as_json(),
            "target": str(self.target or ""),
            "reached": self.reached,
            "note": self.note,
            "cores": dict(self.cores),
        }


class Readings:
    """The readings of all rounds, by load."""

    def __init__(self) -> None:
        self._taken: defaultdict[str, list[Reading]] = defaultdict(list)

    @property
    def loads(self) -> list[str]:
        """All loads, in the order of their first reading."""
        return list(self._taken)

    def add(self, load: str, reading: Reading) -> None:
        """Note what *load* gave in one more round."""
        self._taken[load].append(reading)

    def series(self, load: str, value: str, unit: str) -> Series:
        """Return one *value* of *load*, over all rounds."""
        return Series(unit, [reading.values[value] for reading in self._taken[load]])

    def middle(self, load: str, value: str) -> float:
        """Return *value* of *load* in the median round."""
        return self.series(load, value, "").middle

    def cores(self, load: str) -> dict[str, float]:
        """Return how many cores each process used under *load*, in its median round."""
        names = self._taken[load][0].cores
        return {name: median(reading.cores[name] for reading in self._taken[load]) for name in names}
