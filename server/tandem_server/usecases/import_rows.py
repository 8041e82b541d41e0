"""What becomes of the rows of an import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tandem_proto.errors import FieldViolation, InvalidArgument
from tandem_server.domain import erasure
from tandem_server.domain.customers import email_key
from tandem_server.domain.imports import Options, Row
from tandem_server.domain.matching import Matching
from tandem_server.domain.principals import Caller
from tandem_server.instruments import IMPORT_ROWS
from tandem_server.storage import customers as stored_customers
from tandem_server.storage import erasures, imports
from tandem_server.storage.database import Transaction
from tandem_server.storage.imports import Key
from tandem_server.usecases import customers
from tandem_server.usecases.customers import Change, change_of


class Given(NamedTuple):
    """Rows as they were read: the first's number, and how to get the cells of one, below `header`, by its position."""

    first: int
    rows: Sequence[Row]
    original: Callable[[int], list[str]]
    header: Sequence[str]


class Verdict(NamedTuple):
    """What a row does: a change of a customer, or what is wrong with it."""

    change: Change | None
    faults: Sequence[FieldViolation] = ()
    reason: str = ""

    @property
    def outcome(self) -> str:
        """What becomes of the row if it is stored."""
        if self.change is not None:
            return self.change.outcome
        return "AMBIGUOUS" if self.reason == "AMBIGUOUS_EMAIL" else "FAILED"


ERASED = Verdict(None, (FieldViolation("", "is of a customer who was erased"),), "ERASED")
"""Of such a row no cell is kept."""


class Stored(NamedTuple):
    """How many rows ended in each outcome, and whether none was stored since some are wrong and all were to be."""

    numbers: Mapping[str, int]
    aborted: bool


async def store(tx: Transaction, caller: Caller, options: Options, rows: Prepared) -> Stored:
    """Store *rows* and what became of each."""
    if not rows.given:
        return Stored({}, aborted=False)
    verdicts = await _judge(tx, rows)
    changes = [verdict.change for verdict in verdicts if verdict.change]
    aborted = options.whole and len(changes) < len(verdicts)
    if not (aborted or options.dry_run):
        await customers.store(tx, caller, changes)
    outcomes = ["NOT_REACHED" if aborted and verdict.change else verdict.outcome for verdict in verdicts]
    await imports.add_outcomes(tx, rows.key, rows.given[0].first, outcomes)
    await imports.add_faults(tx, rows.key, list(_faults(rows.given, verdicts)))
    tx.after_commit(lambda: IMPORT_ROWS.add(outcomes))
    return Stored(Counter(outcomes), aborted)


async def _judge(tx: Transaction, rows: Prepared) -> Sequence[Verdict]:
    known = await stored_customers.by_keys(tx, rows.key.source, rows.external_ids, rows.emails)
    erased = await erasures.among(tx, rows.key.source, (each for row in rows.told for each in row.marked()))
    return rows.judged(known, erased) if known or erased else rows.if_new


class Prepared:
    """Rows of the import *key*, and all that can be said of them before the database is asked.

    `if_new` are their verdicts where it knows nobody of them: most rows of large files are such, and judged by then.
    """

    def __init__(self, key: Key, given: Sequence[Given]) -> None:
        self.key = key
        self.given = given
        rows = [_checked(row) for some in given for row in some.rows]
        places = ((some, place) for some in given for place in range(len(some.rows)))
        self.told = [_Told(key.source, row, *place) for row, place in zip(rows, places, strict=True)]
        self._contents = [row.content for row in rows if not row.faults]
        self.external_ids = [content["external_id"] for content in self._contents if content.get("external_id")]
        emails = {email_key(content["email"]) for content in self._contents if not content.get("external_id")}
        self.emails = sorted(emails)
        self.if_new = self.judged((), set())

    def judged(self, known: Iterable[Any], erased: set[erasure.Key]) -> Sequence[Verdict]:
        """Return what becomes of each row, where the customers *known* are stored and these keys are *erased*."""
        matching = Matching(self.key.id, known, self._contents)
        numbered = enumerate(self.told, self.given[0].first if self.given else 1)
        return [_verdict(self.key, number, row, matching, erased) for number, row in numbered]


class _Told(NamedTuple):
    """A row, and where its cells are."""

    source: str
    row: Row
    given: Given
    place: int

    def marked(self) -> Iterator[erasure.Key]:
        """Yield the keys of a customer that it tells; of a row that is wrong its cells are looked at."""
        if self.row.faults:
            return erasure.keys_in(self.source, self.given.header, self.given.original(self.place))
        return erasure.keys_of(self.source, self.row.content)


def _checked(row: Row) -> Row:
    if row.faults:
        return row
    try:
        customers.check(row.content)
    except InvalidArgument as error:
        return Row({}, error.fields, "INVALID_FIELDS")
    return row


def _verdict(key: Key, number: int, told: _Told, matching: Matching, erased: set[erasure.Key]) -> Verdict:
    row, hits = told.row, erased.intersection(told.marked()) if erased else erased
    if hits and any(row.faults or kind == "external_id" for kind, *_ in hits):
        return ERASED
    if row.faults:
        return Verdict(None, row.faults, row.reason)
    match = matching.find(number, row.content)
    if match.faults:
        return ERASED if hits else Verdict(None, match.faults, match.reason)
    if match.customer is not None and match.customer.erased_at is not None:
        return ERASED
    content = row.content if row.content.get("external_id") else {**row.content, "external_id": match.external_id}
    change = change_of(match.customer, content, {"import_id": key.id, "import_row": number})
    return ERASED if hits and not hits.isdisjoint(change.keys(key.source)) else Verdict(change)


def _faults(given: Sequence[Given], verdicts: Sequence[Verdict]) -> Iterator[dict[str, Any]]:
    places = ((some, place) for some in given for place in range(len(some.rows)))
    for (some, place), verdict in zip(places, verdicts, strict=True):
        if verdict.change is None:
            yield {
                "row_number": some.first + place,
                "outcome": verdict.outcome,
                "reason": verdict.reason,
                "errors": [[wrong.field, wrong.description] for wrong in verdict.faults],
                "original": [] if verdict is ERASED else some.original(place),
            }
