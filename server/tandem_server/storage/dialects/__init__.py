"""What differs between MySQL, MariaDB and SQLite, all of it."""

from tandem_server.storage.dialects.connections import engine_options, prepare, watcher_options
from tandem_server.storage.dialects.faults import Fault, fault_of, waited_in_vain
from tandem_server.storage.dialects.json_rows import given, giving
from tandem_server.storage.dialects.sql import SEPARATOR, AllInOne, DatabaseClock, among, by_index
from tandem_server.storage.dialects.types import BYTES, TABLE_OPTIONS, Exact, Instant, Json, ascii_text

__all__ = [
    "BYTES",
    "SEPARATOR",
    "TABLE_OPTIONS",
    "AllInOne",
    "DatabaseClock",
    "Exact",
    "Fault",
    "Instant",
    "Json",
    "among",
    "ascii_text",
    "by_index",
    "engine_options",
    "fault_of",
    "given",
    "giving",
    "prepare",
    "waited_in_vain",
    "watcher_options",
]
