"""Around every request: its route, its id, its errors, its line in the log."""

from __future__ import annotations

import logging
import re
import time

import grpc
from aiohttp import web

from tandem_gateway.calls import Endpoint, Exchange
from tandem_gateway.errors import from_rpc, problem, unexpected
from tandem_gateway.forwarding import REQUEST_ID, request_id, to_headers, to_metadata
from tandem_gateway.transcoding.routes import Match, Routes
from tandem_proto.errors import TandemError

access = logging.getLogger("tandem.gateway.access")

_ORIGIN = re.compile(r"(?i)https?://[^/?]*")


class Edge:
    """Answers HTTP requests by the routes it is given; whatever happens, with a reply that HTTP and the log know."""

    def __init__(self, routes: Routes[Endpoint]) -> None:
        self._routes = routes

    async def __call__(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        started, own_id = time.perf_counter(), request_id(http.headers)
        path, query = target(http.raw_path)
        match: Match[Endpoint] | None = None
        response: web.StreamResponse | None = None
        try:
            match = self._routes.find(http.method, path)
            metadata = to_metadata(http.headers, own_id)
            response = await match.route.endpoint.answer(Exchange(http, path, query, match.variables, own_id, metadata))
        except TandemError as error:
            response = problem(error, path)
        except grpc.aio.AioRpcError as error:
            told = from_rpc(error, match.route.endpoint.body if match else "")
            response = problem(told, path, to_headers(error.initial_metadata(), error.trailing_metadata()))
        except ConnectionError:  # the caller left while a stream was written
            raise
        except Exception as error:  # noqa: BLE001 -- the outermost guard: only an id leaves
            response = problem(unexpected(error), path)
        finally:
            _log(http.method, match, response, started, own_id)
        if not response.prepared:
            response.headers[REQUEST_ID] = own_id
        return response


def target(raw: str) -> tuple[str, str]:
    """Split a request target into its raw path and query; the absolute form (RFC 9112, 3.2.2) loses its origin."""
    origin = _ORIGIN.match(raw)
    path, _, query = (raw[origin.end() :] if origin else raw).partition("?")
    return path or "/", query


def _log(
    verb: str, match: Match[Endpoint] | None, response: web.StreamResponse | None, started: float, own_id: str
) -> None:
    """Write one line a request. Paths are named by their template: what stands in them may be personal."""
    path = match.route.template.text if match else "-"
    status = response.status if response else 499  # nobody waits for a reply any more
    access.info("%s %s %d %.1fms %s", verb, path, status, (time.perf_counter() - started) * 1000, own_id)
