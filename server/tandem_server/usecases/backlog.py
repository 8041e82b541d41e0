"""What is measured of the database: how much each ERP still has to learn, and connections."""

from __future__ import annotations

from collections.abc import Iterator

from tandem_proto.measuring import Labels, observed
from tandem_server.domain.imports import OUTCOMES
from tandem_server.instruments import ACKNOWLEDGEMENTS, DELETED_ROWS, IMPORT_ROWS, ORDER_EVENTS, WEBHOOKS
from tandem_server.storage.backlog import Backlog, backlogs
from tandem_server.storage.database import Database
from tandem_server.storage.events import EventType
from tandem_server.usecases import acknowledgements, erp_events, forgetting


class Gauges:
    """The latest backlogs, of the whole database: every server tells the same."""

    def __init__(self, database: Database, pool_size: int) -> None:
        self._database = database
        self._latest: dict[str, Backlog] = {}
        observed("tandem.deliveries", "{delivery}", "Deliveries that are not done, by ERP and state.", self._states)
        observed("tandem.oldest_claimable.age", "s", "How long the first claimable order has waited.", self._ages)
        used, most = "tandem.database.connections.used", "tandem.database.connections.max"
        observed(used, "{connection}", "Database connections in use.", lambda: [(database.busy, {})])
        observed(most, "{connection}", "Database connections at most.", lambda: [(pool_size, {})])
        ORDER_EVENTS.start(EventType)
        ACKNOWLEDGEMENTS.start(acknowledgements.Outcome)
        WEBHOOKS.start(erp_events.Outcome)
        IMPORT_ROWS.start(OUTCOMES.values())
        DELETED_ROWS.start(rule.name for rule in forgetting.RULES)

    async def refresh(self) -> None:
        """Count again; where that fails there is no number, rather than an old one."""
        try:
            self._latest = await self._database.read(backlogs)
        except BaseException:
            self._latest = {}
            raise

    def _states(self) -> Iterator[tuple[float, Labels]]:
        for erp, backlog in self._latest.items():
            for state in ("waiting", "leased", "backing_off", "dead"):
                yield getattr(backlog, state), {"tandem.erp": erp, "tandem.state": state}

    def _ages(self) -> Iterator[tuple[float, Labels]]:
        for erp, backlog in self._latest.items():
            yield backlog.age.total_seconds(), {"tandem.erp": erp}
