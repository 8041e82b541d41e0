from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from conftest import Party

from tandem_client import Tandem

from .sender import Sender, operator, sending


@pytest.fixture
async def sender(party: Party) -> AsyncIterator[Sender]:
    async with sending(party) as made:
        yield made


@pytest.fixture
async def crm(party: Party) -> AsyncIterator[Tandem]:
    async with party.crm() as made:
        yield made


@pytest.fixture
async def worker(party: Party) -> AsyncIterator[Tandem]:
    async with party.worker() as made:
        yield made


@pytest.fixture
async def overseer(party: Party) -> AsyncIterator[Tandem]:
    """Whoever looks after the events."""
    async with operator(party) as made:
        yield made
