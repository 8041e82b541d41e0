"""Errors in HTTP: one total table from code to status, and `application/problem+json` (RFC 9457)."""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Iterable, Mapping
from http import HTTPStatus

import grpc
import orjson
from aiohttp import web

from tandem_proto.errors import (
    DeadlineExceeded,
    FieldViolation,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    TandemError,
    Unavailable,
    Unimplemented,
)
from tandem_proto.status import METADATA_KEY, from_status

logger = logging.getLogger(__name__)

STATUS_BY_CODE: dict[str, int] = {
    "INVALID_ARGUMENT": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,  # not 412: that one is about conditional headers
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of every code of google.rpc.Code but OK."""

STATUS_BY_REASON: dict[str, int] = {
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "REQUEST_TIMEOUT": 408,
    "ETAG_MISMATCH": 412,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "IDEMPOTENCY_KEY_REUSED": 422,
}
"""Reasons that HTTP has a narrower status for than for their code."""

ALWAYS_RETRY_AFTER = {429, 503}
"""Statuses that always say when to come again; after a second where the server does not tell."""


class MethodNotAllowed(Unimplemented):
    """The path is known, with other HTTP methods (RFC 9110, 15.5.6): `metadata["allow"]` names them."""

    def __init__(self, allowed: Iterable[str]) -> None:
        names = ", ".join(sorted(allowed))
        super().__init__(f"This path knows only {names}.", metadata={"allow": names})


class NotAcceptable(InvalidArgument):
    """The request takes none of the media types that there are (RFC 9110, 15.5.7)."""

    def __init__(self, offered: Iterable[str]) -> None:
        super().__init__(f"This is to be had as {' or '.join(offered)}.")


class RequestTimeout(DeadlineExceeded):
    """The body did not arrive in time."""


class BodyTooLarge(ResourceExhausted):
    """The body is above the limit."""


class UnsupportedMediaType(InvalidArgument):
    """The body is of another media type, or compressed in another way, than the request takes."""


def status_of(error: TandemError) -> int:
    """Return the HTTP status that tells of *error*."""
    return STATUS_BY_REASON.get(error.reason) or STATUS_BY_CODE[error.code]


def from_rpc(error: grpc.aio.AioRpcError, body: str = "") -> TandemError:
    """Return the error that a failed call tells of, its fields named as in a REST request whose body is field *body*.

    What is not in our own words (it comes from gRPC itself) is logged and stays there.
    """
    code = error.code().name
    details = dict(error.trailing_metadata()).get(METADATA_KEY)
    told = from_status(code, error.details() or "", details if isinstance(details, bytes) else None)
    if details is None:
        return _in_our_words(told)
    told.fields = tuple(FieldViolation(f.field.removeprefix(f"{body}."), f.description) for f in told.fields)
    return told


def _in_our_words(error: TandemError) -> TandemError:
    logger.warning("gRPC itself ended a call", extra={"code": error.code, "words": str(error)})
    if status_of(error) == HTTPStatus.INTERNAL_SERVER_ERROR:
        return unexpected(error)
    if error.code == "CANCELLED":  # and not by us: what we cancel ends with no reply at all
        words = "The server stopped in the middle of the call: outcome unknown, repeat it."
        return Unavailable(words, reason="OUTCOME_UNKNOWN", retry_after=1)
    return type(error)(f"The call ended as {error.code}.", reason=error.code)


def unexpected(error: BaseException) -> Internal:
    """Log *error*, which nobody foresaw, and return what may be told of it: an id that finds it in the log."""
    error_id = uuid.uuid4().hex
    logger.error("unexpected error", extra={"error_id": error_id}, exc_info=error)
    return Internal("An unexpected error; its id is in metadata.", metadata={"error_id": error_id})


def problem(error: TandemError, instance: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return *error* as the reply to a request of path *instance*, with more *headers*."""
    status = status_of(error)
    document = {
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": str(error),
        "instance": instance.encode(errors="replace").decode(),
        "reason": error.reason,
        "metadata": error.metadata,
        "errors": [{"field": f.field, "description": f.description} for f in error.fields],
    }
    return web.Response(
        status=status,
        reason=title(status),
        body=orjson.dumps(document),
        content_type="application/problem+json",
        headers={**(headers or {}), **_headers(error, status)},
    )


def title(status: int) -> str:
    """Return the phrase of an HTTP status, also of 499, which is no standard's."""
    return HTTPStatus(status).phrase if status != 499 else "Client Closed Request"


def _headers(error: TandemError, status: int) -> dict[str, str]:
    headers = {}
    if error.retry_after is not None or status in ALWAYS_RETRY_AFTER:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = error.metadata.get("allow", "")
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 15.5.2: a 401 says how to authenticate
    return headers
