"""Promises 1, 3 and 21 in a short soak: processes killed and connections broken under load, by a seed."""

from __future__ import annotations

import secrets
from pathlib import Path

from soaking.mysqld import OwnMysql
from soaking.soak import Plan, soak

SECONDS, PAUSE = 10, 1.2
KINDS = ("kill", "kill database", "reset", "cut", "kill connections")
"""What is over soon: the long soak has the others too."""


async def test_promises_1_3_and_21_are_kept_in_a_short_soak_of_two_servers(mysql: OwnMysql, tmp_path: Path) -> None:
    plan = Plan(secrets.randbits(32), SECONDS, PAUSE, KINDS)
    result = await soak(mysql, tmp_path, plan, print)
    print(result.counts)  # noqa: T201 - whoever sees a failure needs it
    assert result.violations == []
    assert sum(result.counts["faults"].values()) >= 6
