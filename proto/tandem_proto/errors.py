"""Everything that can go wrong on purpose, the same on both ends of the wire.

TandemError
├── Cancelled · Unknown · DeadlineExceeded · Internal · DataLoss · Unimplemented
├── InvalidArgument ── OutOfRange
├── NotFound · AlreadyExists · FailedPrecondition
├── Aborted ── EtagMismatch
├── Unauthenticated · PermissionDenied
├── ResourceExhausted
└── Unavailable

Each class carries a canonical gRPC code (google.rpc.Code). `reason` is stable and meant for programs, the message for
people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field of a request: its path ("order.lines[3].quantity") and what is wrong with it."""

    field: str
    description: str


class TandemError(Exception):
    """A call failed.

    `reason` is by default the name of the class in capitals; `fields` names every wrong field; `retry_after` is in
    seconds, None where a repetition is no use; `metadata` holds what a program may need, all text.
    """

    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        fields: Iterable[FieldViolation] = (),
        retry_after: float | None = None,
        metadata: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason or re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).upper()
        self.fields = tuple(fields)
        self.retry_after = retry_after
        self.metadata = metadata or {}

    def within(self, field: str) -> Self:
        """Return the error with its fields seen from outside: those of *field* of a request, as in "order.lines"."""
        self.fields = tuple(FieldViolation(f"{field}.{wrong.field}", wrong.description) for wrong in self.fields)
        return self


class Cancelled(TandemError):
    """The caller went away; whether the call took effect is not known."""

    code = "CANCELLED"


class Unknown(TandemError):
    """Something failed that is not of this family."""

    code = "UNKNOWN"


class InvalidArgument(TandemError):
    """The request is wrong whatever the state of the system; `fields` says where."""

    code = "INVALID_ARGUMENT"


class OutOfRange(InvalidArgument):
    """The request goes past the end of what there is."""

    code = "OUT_OF_RANGE"


class DeadlineExceeded(TandemError):
    """Time ran out; whether the call took effect is not known."""

    code = "DEADLINE_EXCEEDED"


class NotFound(TandemError):
    """There is no such thing, or it belongs to another party."""

    code = "NOT_FOUND"


class AlreadyExists(TandemError):
    """There is such a thing already, with other content."""

    code = "ALREADY_EXISTS"


class PermissionDenied(TandemError):
    """The caller is known and may not do this."""

    code = "PERMISSION_DENIED"


class Unauthenticated(TandemError):
    """The caller is not known."""

    code = "UNAUTHENTICATED"


class ResourceExhausted(TandemError):
    """A limit is reached; `retry_after` says when to come again, where that helps."""

    code = "RESOURCE_EXHAUSTED"


class FailedPrecondition(TandemError):
    """The state of the system forbids it until somebody changes that state."""

    code = "FAILED_PRECONDITION"


class Aborted(TandemError):
    """Somebody else was faster; read again and repeat."""

    code = "ABORTED"


class EtagMismatch(Aborted):
    """The thing has changed since the caller read it; `metadata["etag"]` is the current etag."""


class Unimplemented(TandemError):
    """There is no such method."""

    code = "UNIMPLEMENTED"


class Internal(TandemError):
    """A fault of ours; `metadata["error_id"]` finds it in the log."""

    code = "INTERNAL"


class Unavailable(TandemError):
    """Not now: repeat after `retry_after`."""

    code = "UNAVAILABLE"


class DataLoss(TandemError):
    """Stored data cannot be read."""

    code = "DATA_LOSS"


BY_CODE: dict[str, type[TandemError]] = {
    error.code: error
    for error in (
        *(Cancelled, Unknown, InvalidArgument, OutOfRange, DeadlineExceeded, NotFound, AlreadyExists, PermissionDenied),
        *(Unauthenticated, ResourceExhausted, FailedPrecondition, Aborted, Unimplemented, Internal, Unavailable),
        DataLoss,
    )
}
"""The class of each code."""

BY_REASON: dict[str, type[TandemError]] = {"ETAG_MISMATCH": EtagMismatch}
"""Classes that are narrower than their code."""


class Findings:
    """Collects what is wrong with one request; after the 100th finding it raises.

    An unknown field is wrong too, unless they are to be ignored. `names` counts those that its JSON objects have.
    """

    def __init__(self, *, ignore_unknown: bool = False) -> None:
        self.names = 0
        self._found: list[FieldViolation] = []
        self._ignore_unknown = ignore_unknown

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, field: str, description: str) -> None:
        """Note that *field* is wrong; raises InvalidArgument when there are too many."""
        self._found.append(FieldViolation(field[:200], description))
        if len(self._found) == 100:
            self.check()

    def add_unknown(self, field: str, message: str) -> None:
        """Note that *message* has no such *field*; raises as `add`."""
        if not self._ignore_unknown:
            self.add(field, f"is not a field of {message}")

    def check(self) -> None:
        """Raise InvalidArgument, naming every field, if anything was found."""
        if self._found:
            first = self._found[0]
            more = f" (and {len(self._found) - 1} more)" if len(self._found) > 1 else ""
            raise InvalidArgument(f"{first.field} {first.description}{more}", fields=self._found)
