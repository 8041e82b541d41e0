"""Promise 12, and the table of deliveries: whatever the two sides do, in whatever order, the model says what comes."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import new_party
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from stack import Stack

from .table import MAX_FAILURES
from .two_sides import TwoSides
from .wire import Wire

PROFILES = {
    "short": settings(max_examples=25, stateful_step_count=40),
    "long": settings(max_examples=300, stateful_step_count=60),
}


@pytest.fixture
def wire(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Iterator[Wire]:
    """A stack of its own, where few failures make a dead letter."""
    stack = make_stack(make_database(database), max_attempts=str(MAX_FAILURES))
    opened = Wire(new_party(stack))
    yield opened
    opened.channel.close()
    stack.stop()


def test_promise_12_the_server_and_the_model_agree(wire: Wire) -> None:
    number = int(os.environ.get("HYPOTHESIS_SEED") or secrets.randbits(32))
    profile = PROFILES[os.environ.get("HYPOTHESIS_PROFILE") or "short"]
    print(f"seed {number}: the same again with HYPOTHESIS_SEED={number}")  # noqa: T201 - whoever sees a failure needs it
    outcomes: Counter[str] = Counter()

    def two_sides() -> TwoSides:
        return TwoSides(wire, outcomes)

    settled = settings(profile, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))
    machine: Any = seed(number)(two_sides)
    run_state_machine_as_test(machine, settings=settled)
    for outcome, times in sorted(outcomes.items()):
        print(f"{times:6} {outcome}")  # noqa: T201 - what was tried, for whoever doubts it
