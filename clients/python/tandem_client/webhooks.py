"""Webhooks of an ERP: how to sign them, and what became of them."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from tandem.integration.v1.erp_event_pb2 import ErpEvent
from tandem.integration.v1.erp_event_requests_pb2 import (
    ErpEventReplay,
    ListErpEventsRequest,
    ListErpEventsResponse,
    ReplayErpEventsRequest,
)
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub
from tandem_client.caller import Caller
from tandem_client.pages import Pages

REPLAYED_AT_ONCE = 100
"""Ids that one call may name."""


def sign(secret: str, event_id: str, body: str | bytes, *, at: datetime | None = None) -> dict[str, str]:
    """Return the headers of a webhook, by Standard Webhooks 1.0: POST *body* with them as it is, byte for byte.

    *secret* is one of the ERP's, as in "whsec_…"; *event_id* names the event, the same in each attempt to send it; *at*
    (with its zone; default: now) is when it is sent, which counts for five minutes. Raises ValueError for a secret that
    is not base64.
    """
    encoded = secret.removeprefix("whsec_")
    key = b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    timestamp = str(int((at or datetime.now(UTC)).timestamp()))
    content = body.encode() if isinstance(body, str) else body
    signature = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + content, "sha256")
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{b64encode(signature).decode()}",
        "content-type": "application/json",
    }


def _events(page: ListErpEventsResponse) -> Iterable[ErpEvent]:
    return page.events


class Webhooks:
    """What ERPs told by webhook."""

    sign = staticmethod(sign)

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stub = IntegrationServiceStub(caller.channel)
        self.list = Pages(caller, self._stub.ListErpEvents, ListErpEventsRequest, _events)
        """Iterate over events, oldest first; the filters are the fields of ListErpEventsRequest."""

    async def replay(
        self,
        ids: Iterable[str] | None = None,
        *,
        type: str = "",  # noqa: A002 - the field's name
        received_after: Timestamp | None = None,
        received_before: Timestamp | None = None,
    ) -> list[ErpEventReplay]:
        """Try events again that had no effect: those with *ids*, or without them all that the filters let through.

        Returns one result an event. Makes as many calls as it takes; what was replayed before one fails stays so.
        """
        filters = ReplayErpEventsRequest(type=type, received_after=received_after, received_before=received_before)
        requests = [filters] if ids is None else [ReplayErpEventsRequest(ids=some) for some in _parts(list(ids))]
        return [result for request in requests for result in await self._replay(request)]

    async def _replay(self, request: ReplayErpEventsRequest) -> list[ErpEventReplay]:
        results: list[ErpEventReplay] = []
        while True:
            response = await self._caller.unary(self._stub.ReplayErpEvents, request)
            results += response.results
            if not response.next_page_token:
                return results
            request.page_token = response.next_page_token


def _parts(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + REPLAYED_AT_ONCE] for start in range(0, len(ids), REPLAYED_AT_ONCE))
