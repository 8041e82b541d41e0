"""The tables, a file a noun. Indexes lead with the selective column; ids, keys and texts compare by their bytes."""

from tandem_server.storage.tables.customers import customers
from tandem_server.storage.tables.deliveries import deliveries, order_events
from tandem_server.storage.tables.erasures import erasures
from tandem_server.storage.tables.erp_events import erp_events
from tandem_server.storage.tables.exports import exports
from tandem_server.storage.tables.idempotency import idempotency_keys
from tandem_server.storage.tables.imports import import_chunks, import_faults, imports
from tandem_server.storage.tables.keys import keys
from tandem_server.storage.tables.metadata import metadata
from tandem_server.storage.tables.orders import old_revisions, order_lines, orders
from tandem_server.storage.tables.status_updates import status_updates

__all__ = [
    "customers",
    "deliveries",
    "erasures",
    "erp_events",
    "exports",
    "idempotency_keys",
    "import_chunks",
    "import_faults",
    "imports",
    "keys",
    "metadata",
    "old_revisions",
    "order_events",
    "order_lines",
    "orders",
    "status_updates",
]
