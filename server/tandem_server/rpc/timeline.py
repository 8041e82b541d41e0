"""Rows of a timeline as protobuf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.crm.v1.order_event_pb2 import OrderEvent, OrderEventType
from tandem.crm.v1.order_progress_pb2 import OrderStatus
from tandem_server.rpc.messages import timestamp

TEXTS = ("code", "reason", "erp_document", "outcome")
TYPED = {*TEXTS, "worker", "leased_by", "status", "fields"}


def event(row: Any) -> OrderEvent:
    """Return a line of a timeline; what its detail holds without a field of its own goes into the map."""
    detail: Mapping[str, Any] = row.detail
    status = detail.get("status", "UNSPECIFIED")
    return OrderEvent(
        seq=row.seq,
        type=OrderEventType.Value(f"ORDER_EVENT_TYPE_{row.type}"),
        at=timestamp(row.at),
        actor=row.actor,
        revision=row.revision,
        attempt=row.attempt,
        worker=detail.get("worker") or detail.get("leased_by", ""),
        **{name: detail.get(name, "") for name in TEXTS},
        status=OrderStatus.Value(f"ORDER_STATUS_{status}"),
        changed_fields=detail.get("fields", ()),
        detail={name: _text(value) for name, value in detail.items() if name not in TYPED},
        request_id=row.request_id,
        trace_id=row.trace_id,
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
