"""One line an event, which finds its request and its trace."""

from __future__ import annotations

import json
import logging
import secrets
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from conftest import Party
from stack import Stack

from tandem_proto import logs

from .collector import Collector, eventually

pytestmark = pytest.mark.usefixtures("deadline")

NO_ORDER = "/v1/orders/ord_01h455vb4pex5vsknk084sn02q"
REFUSALS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no-such-order": ("GET", NO_ORDER, {}, 404, "NOT_FOUND"),
    "wrong": ("POST", "/v1/orders", {"data": '{"currency": "gbp"}'}, 400, "INVALID_ARGUMENT"),
    "no-key": ("GET", NO_ORDER, {"headers": {"authorization": "Bearer garbage"}}, 401, "UNAUTHENTICATED"),
    "no-scope": ("GET", "/v1/erp/orders:dead", {}, 403, "PERMISSION_DENIED"),
    "no-customer": ("POST", "/v1/customers", {"data": '{"external_id": "1"}'}, 400, "INVALID_ARGUMENT"),
}


def lines(stack: Stack, process: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (stack.home / f"{process}.log").read_text().splitlines()]


async def lines_about(stack: Stack, process: str, request_id: str) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]]:
        return [line for line in lines(stack, process) if line.get("request_id") == request_id]

    await eventually(found)
    return found()


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_one_line_below_error(
    name: str, party: Party, http: aiohttp.ClientSession, collector: Collector
) -> None:
    """And X-Request-Id finds it everywhere: on the reply, in both logs and on both spans."""
    verb, path, arguments, status, code = REFUSALS[name]
    request_id = f"{name}-{secrets.token_hex(4)}"
    headers = {"x-request-id": request_id, "content-type": "application/json", **arguments.get("headers", {})}
    async with http.request(verb, path, data=arguments.get("data"), headers=headers) as reply:
        assert (reply.status, reply.headers["x-request-id"]) == (status, request_id)
    (edge,) = await lines_about(party.stack, "gateway", request_id)
    (server,) = await lines_about(party.stack, "server", request_id)
    assert (edge["status"], server["code"]) == (status, code)
    assert {edge["level"], server["level"]} == {"INFO"}
    assert edge["reason"] == server["reason"]
    assert edge["trace_id"] == server["trace_id"]
    told = await collector.trace(server["trace_id"], server["method"])
    assert {span.attributes["tandem.request_id"] for span in told if span.kind == "SERVER"} == {request_id}


async def test_a_path_that_is_no_route_is_one_line_too(party: Party, http: aiohttp.ClientSession) -> None:
    request_id = secrets.token_hex(4)
    async with http.get("/v1/nonsense", headers={"x-request-id": request_id}) as reply:
        assert reply.status == 404
    (line,) = await lines_about(party.stack, "gateway", request_id)
    assert (line["level"], line["status"], "route" in line) == ("INFO", 404, False)


async def test_every_line_is_json(party: Party, http: aiohttp.ClientSession) -> None:
    request_id = secrets.token_hex(4)
    async with http.get("/v1/orders", headers={"x-request-id": request_id}) as reply:
        assert reply.status == 200
    await lines_about(party.stack, "server", request_id)
    assert {"serving", "call"} <= {line["message"].split()[0] for line in lines(party.stack, "server")}
    assert all({"time", "level", "logger"} <= set(line) for line in lines(party.stack, "gateway"))


def record(error: Exception | None = None, **facts: object) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord("tandem", logging.INFO, "x.py", 1, "a thing happened", (), exc_info)
    vars(made).update(facts)
    return made


def fail() -> None:
    try:
        int("secret")
    except ValueError as cause:
        raise OSError(28, "secret") from cause


def test_for_people_a_line_stays_a_line() -> None:
    line = logs.Console().format(record(code="OK", words='two\nlines and "quotes"'))
    assert line.partition(" ")[2] == r'INFO    tandem a thing happened code=OK words="two\nlines and \"quotes\""'


@pytest.mark.parametrize("form", [logs.Console(), logs.Json()])
def test_what_an_exception_is_and_not_what_it_says(form: logging.Formatter) -> None:
    with pytest.raises(OSError, match="secret") as raised:
        fail()
    told = form.format(record(raised.value))
    assert "builtins.ValueError" in told
    assert "builtins.OSError 28" in told
    assert f"{Path(__file__).name}:" in told
    assert "'secret'" not in told


@pytest.mark.parametrize("kinds", [[ValueError], [ValueError, OSError, KeyError]], ids=len)
def test_exceptions_that_are_causes_of_each_other_are_told_once(kinds: list[type[Exception]]) -> None:
    errors = [kind("secret") for kind in kinds]
    for error, cause in zip(errors, errors[1:] + errors[:1], strict=True):
        error.__cause__ = cause
    assert logs.stack_of(errors[0]).splitlines() == [f"builtins.{kind.__name__}" for kind in reversed(kinds)]
