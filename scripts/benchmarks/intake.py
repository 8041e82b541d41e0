"""Imports over gRPC, beside `LOAD DATA LOCAL INFILE` of the same rows into the same table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import text

from benchmarks import people
from benchmarks.apart import WorkFailedError, apart
from benchmarks.clocks import stretch
from benchmarks.databases import Database
from benchmarks.outside import mysql
from benchmarks.places import Place
from benchmarks.results import Line, Reading, Readings, Target
from benchmarks.sites import Options, say, site
from tandem.integration.v1.import_pb2 import IMPORT_FORMAT_CSV
from tandem.integration.v1.import_requests_pb2 import ImportCustomersRequest
from tandem.integration.v1.integration_service_pb2_grpc import IntegrationServiceStub

PIECE_BYTES = 256 << 10
ROWS_A_MESSAGE = 500
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})
LOAD = "LOAD DATA LOCAL INFILE '{}' INTO TABLE customers CHARACTER SET utf8mb4"


def intake(options: Options) -> Iterator[Line]:
    """Measure a file and messages, and the database's own way, each into an empty table of customers."""
    readings, loads = Readings(), {"file": import_file, "messages": import_messages}
    with site(options) as here, TemporaryDirectory(prefix="tandem-bench-") as folder:
        database, given, stored = here.database, Path(folder, "customers.csv"), Path(folder, "customers.tsv")
        people.write_csv(given, options.rows)
        for number in range(options.rounds):
            for name, load in loads.items():
                _clear(database)
                readings.add(name, apart(load, here.place, str(given), options.rows))
            if not database.embedded:
                if not stored.exists():
                    _keep(database, stored)
                _clear(database)
                readings.add("load", _load(here.place, stored, options.rows))
            rates = (f"{name} {readings.middle(name, 'per_second'):,.0f}/s" for name in readings.loads)
            say(f"  round {number + 1}: medians {', '.join(rates)}")
    limit = None if options.embedded else readings.series("load", "per_second", "rows/s")
    target = None if options.embedded else Target(0.3, at_least=True, of_quotient=True)
    for name, what in (("file", "CSV"), ("messages", "customers")):
        series, note = readings.series(name, "per_second", "rows/s"), f"{options.rows:,} new customers"
        yield Line(f"import of {what} over gRPC", series, "LOAD DATA", limit, target, note, readings.cores(name))


async def import_file(place: Place, path: str, rows: int) -> Reading:
    """Send the CSV at *path* in pieces, wherever they were cut."""
    return await _import(place, list(_pieces(Path(path))), rows)


async def import_messages(place: Place, _path: str, rows: int) -> Reading:
    """Send the same customers as messages."""
    every = list(people.messages(rows))
    parts = [every[start : start + ROWS_A_MESSAGE] for start in range(0, rows, ROWS_A_MESSAGE)]
    return await _import(place, [ImportCustomersRequest(customers=part) for part in parts], rows)


def _pieces(path: Path) -> Iterator[ImportCustomersRequest]:
    yield ImportCustomersRequest(format=IMPORT_FORMAT_CSV)
    with path.open("rb") as file:
        while data := file.read(PIECE_BYTES):
            yield ImportCustomersRequest(data=data)


async def _import(place: Place, requests: Sequence[ImportCustomersRequest], rows: int) -> Reading:
    async with place.channel() as channel:
        stub, metadata = IntegrationServiceStub(channel), (("authorization", f"Bearer {place.crm_key}"),)
        with stretch(place.pids) as seen:
            done = (await stub.ImportCustomers(iter(requests), metadata=metadata)).result
    if done.created != rows:
        raise WorkFailedError(f"{done.created} of {rows} customers were imported")
    return seen.rate(rows)


def _load(place: Place, file: Path, rows: int) -> Reading:
    """Let the database load what the server stored: the same rows, keys in the same order, in one transaction."""
    with stretch(place.pids) as seen:
        mysql(place.database, LOAD.format(file), "--local-infile=1")
    if (count := _count(place.database)) != rows:
        raise WorkFailedError(f"{count} of {rows} customers were loaded")
    return seen.rate(rows)


def _keep(database: Database, file: Path) -> None:
    """Write all customers that are stored as `LOAD DATA` reads them."""
    engine = database.engine()
    with engine.connect() as connection, file.open("w", encoding="utf-8", newline="") as out:
        for row in connection.execute(text("SELECT * FROM customers ORDER BY id")):
            out.write("\t".join("\\N" if cell is None else str(cell).translate(ESCAPED) for cell in row) + "\n")
    engine.dispose()


def _clear(database: Database) -> None:
    engine = database.engine()
    with engine.begin() as connection:
        connection.execute(text(f"{'DELETE FROM' if database.embedded else 'TRUNCATE TABLE'} customers"))
    engine.dispose()


def _count(database: Database) -> int:
    engine = database.engine()
    with engine.connect() as connection:
        count = int(connection.execute(text("SELECT COUNT(*) FROM customers")).scalar_one())
    engine.dispose()
    return count
