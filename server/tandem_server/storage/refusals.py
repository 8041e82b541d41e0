"""What callers are told of a database in trouble: never its own words."""

from __future__ import annotations

from tandem_proto.errors import Aborted, AlreadyExists, TandemError, Unavailable
from tandem_server.storage.dialects import Fault


def busy() -> TandemError:
    """No connection became free in time."""
    return Unavailable("the database is busy", reason="DATABASE_BUSY", retry_after=1)


def slow() -> TandemError:
    """A unit of work took too long, and was not committed."""
    return Unavailable("the database is slow", reason="DATABASE_SLOW", retry_after=1)


def outcome_unknown() -> TandemError:
    """The connection broke during COMMIT."""
    message = "the connection broke while the change was being committed: outcome unknown, repeat the call"
    return Unavailable(message, reason="OUTCOME_UNKNOWN", retry_after=1)


def given_up(fault: Fault) -> TandemError:
    """The unit of work met *fault* as often as it may run."""
    if fault is Fault.DUPLICATE:
        return AlreadyExists("a unique key of the request is taken")
    if fault is Fault.CONFLICT:
        return Aborted("others changed the same things at the same time: repeat the call", retry_after=1)
    return Unavailable("the database is out of reach", reason="DATABASE_UNAVAILABLE", retry_after=2)
