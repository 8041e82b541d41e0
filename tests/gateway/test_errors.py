from __future__ import annotations

import grpc
import orjson
import pytest

from tandem_gateway.errors import STATUS_BY_CODE, MethodNotAllowed, from_rpc, problem
from tandem_gateway.forwarding import request_id, to_headers, to_metadata, with_key
from tandem_proto.catalogue import Method, methods
from tandem_proto.errors import (
    BY_CODE,
    Aborted,
    EtagMismatch,
    FieldViolation,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    TandemError,
    Unauthenticated,
    Unavailable,
)
from tandem_proto.status import METADATA_KEY, to_status


def rpc_error(code: str, details: TandemError | None = None) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata()
    if details:
        trailing.add(METADATA_KEY, to_status(details).SerializeToString())
    return grpc.aio.AioRpcError(grpc.StatusCode[code], grpc.aio.Metadata(), trailing, "words of gRPC")


def test_every_code_has_a_status() -> None:
    assert set(STATUS_BY_CODE) == set(BY_CODE)
    assert set(BY_CODE) == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Aborted("x"), 409),
        (EtagMismatch("x"), 412),
        (Aborted("x", reason="IDEMPOTENCY_KEY_REUSED"), 422),
        (ResourceExhausted("x", reason="BODY_TOO_LARGE"), 413),
        (MethodNotAllowed({"GET"}), 405),
    ],
)
def test_a_reason_can_narrow_the_status(error: TandemError, status: int) -> None:
    assert problem(error, "/").status == status


def test_a_problem_tells_all_that_a_program_needs() -> None:
    error = InvalidArgument("wrong", fields=[FieldViolation("name", "is missing")], metadata={"a": "b"})
    response = problem(error, "/v1/customers")
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    assert orjson.loads(response.body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "wrong",
        "instance": "/v1/customers",
        "reason": "INVALID_ARGUMENT",
        "metadata": {"a": "b"},
        "errors": [{"field": "name", "description": "is missing"}],
    }


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (Unavailable("x"), "Retry-After", "1"),
        (ResourceExhausted("x", retry_after=2.1), "Retry-After", "3"),
        (Aborted("x", retry_after=0.1), "Retry-After", "1"),
        (Unauthenticated("x"), "WWW-Authenticate", "Bearer"),
        (MethodNotAllowed({"PUT", "GET"}), "Allow", "GET, PUT"),
    ],
)
def test_some_errors_have_headers(error: TandemError, header: str, value: str) -> None:
    assert problem(error, "/").headers[header] == value


def test_a_body_too_large_is_not_to_be_repeated() -> None:
    assert "Retry-After" not in problem(ResourceExhausted("x", reason="BODY_TOO_LARGE"), "/").headers


def test_fields_are_named_as_the_rest_caller_sent_them() -> None:
    fields = [
        FieldViolation("order.lines[3].quantity", "x"),
        FieldViolation("orders", "x"),
        FieldViolation("order", "x"),
    ]
    error = from_rpc(rpc_error("INVALID_ARGUMENT", InvalidArgument("wrong", fields=fields)), "order")
    assert [field.field for field in error.fields] == ["lines[3].quantity", "orders", "order"]


def test_words_that_are_not_ours_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert "words" in str(from_rpc(rpc_error("NOT_FOUND", NotFound("words"))))
    assert "words" not in str(from_rpc(rpc_error("UNAVAILABLE")))
    unexpected = from_rpc(rpc_error("UNKNOWN"))
    assert "words" not in str(unexpected)
    told = [vars(record) for record in caplog.records]
    assert [line.get("words") for line in told] == ["words of gRPC", "words of gRPC", None]
    assert unexpected.metadata["error_id"] == told[-1]["error_id"]


def test_only_known_headers_become_metadata() -> None:
    headers = {"authorization": "Bearer k", "cookie": "x", "idempotency-key": "1"}
    assert dict(to_metadata(headers, "id")) == {
        "authorization": "Bearer k",
        "idempotency-key": "1",
        "x-request-id": "id",
    }


@pytest.mark.parametrize("value", ["a\tb", "é", "a" * 201])
def test_an_unfit_request_id_is_refused_and_not_echoed(value: str) -> None:
    with pytest.raises(InvalidArgument, match="x-request-id"):
        to_metadata({"x-request-id": value}, "id")
    assert len(request_id({"x-request-id": value})) == 32


def test_the_server_can_set_headers() -> None:
    metadata = (("tandem-http-idempotent-replayed", "true"), ("other", "x"), ("tandem-http-x-bin", b"x"))
    assert to_headers(metadata, None) == {"idempotent-replayed": "true"}


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.path)
def test_a_call_that_needs_an_idempotency_key_has_one_and_the_callers_own_goes_first(method: Method) -> None:
    sent = (("x-request-id", "1"),)
    added = dict(with_key(sent, method))
    assert (len(added.pop("idempotency-key", "")) == 36) is method.needs_key
    assert added == dict(sent)
    assert with_key((*sent, ("idempotency-key", "mine")), method) == (*sent, ("idempotency-key", "mine"))
