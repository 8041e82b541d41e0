"""What a database's errors mean."""

from __future__ import annotations

from enum import Enum, auto

from sqlalchemy.exc import DBAPIError


class Fault(Enum):
    """What a database error means for the unit of work that met it."""

    CONFLICT = auto()  # rolled back in favour of another transaction: run the unit again
    DUPLICATE = auto()  # a unique key is taken: run the unit again, it will find the row
    LOST = auto()  # the connection is gone, or there is none to be had
    OTHER = auto()  # a fault of ours, or of the database's


LOCK_WAIT_TIMEOUT = 1205
CONFLICTS = {LOCK_WAIT_TIMEOUT, 1213, 1020}
LOST = {
    1040,
    1047,
    1053,
    1077,
    1079,
    1158,
    1159,
    1160,
    1161,
    1290,
    1317,
    1836,
    1927,
    2002,
    2003,
    2006,
    2013,
    2055,
    3024,
}
LOST |= {1969, 3169, 4031}
SQLITE_FAULTS = {
    "UNIQUE constraint failed": Fault.DUPLICATE,
    "database is locked": Fault.CONFLICT,
    "unable to open database file": Fault.LOST,
    "disk I/O error": Fault.LOST,
    "database or disk is full": Fault.LOST,
}


def fault_of(error: DBAPIError) -> Fault:
    """Return what *error* means, by the number of MySQL's family or the text of SQLite."""
    arguments = getattr(error.orig, "args", ()) or ("",)
    code = arguments[0]
    if isinstance(code, int):
        known = {1062: Fault.DUPLICATE} | dict.fromkeys(CONFLICTS, Fault.CONFLICT) | dict.fromkeys(LOST, Fault.LOST)
        found = known.get(code, Fault.OTHER)
    else:
        found = next((fault for text, fault in SQLITE_FAULTS.items() if text in str(code)), Fault.OTHER)
    return Fault.LOST if found is Fault.OTHER and error.connection_invalidated else found


def waited_in_vain(error: DBAPIError) -> bool:
    """Tell whether *error* says that another transaction kept a lock for longer than locks are waited for."""
    return error.orig is not None and error.orig.args[:1] == (LOCK_WAIT_TIMEOUT,)
