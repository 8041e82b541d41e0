"""Around every request: its route, its id, its errors."""

from __future__ import annotations

import re
from dataclasses import replace

import grpc
from aiohttp import web

from tandem_gateway.calls import Endpoint, Exchange
from tandem_gateway.errors import from_rpc, problem, unexpected
from tandem_gateway.forwarding import REQUEST_ID, request_id, to_headers, to_metadata
from tandem_gateway.telemetry import Request, telling
from tandem_gateway.transcoding.routes import Routes
from tandem_proto.errors import TandemError

_ORIGIN = re.compile(r"(?i)https?://[^/?]*")


class Edge:
    """Answers HTTP requests by the routes it is given; whatever happens, with a reply that HTTP and the log know."""

    def __init__(self, routes: Routes[Endpoint]) -> None:
        self._routes = routes

    async def __call__(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        own_id = request_id(http.headers)
        path, query = target(http.raw_path)
        with telling(http.method, path, http.headers, own_id) as told:
            response = await self._answer(Exchange(http, path, query, {}, own_id, ()), told)
            told.status = response.status
        if not response.prepared:
            response.headers[REQUEST_ID] = own_id
        return response

    async def _answer(self, exchange: Exchange, told: Request) -> web.StreamResponse:
        http, match = exchange.http, None
        try:
            match = self._routes.find(http.method, exchange.path)
            told.route = match.route.template.text
            metadata = to_metadata(http.headers, exchange.request_id)
            return await match.route.endpoint.answer(replace(exchange, variables=match.variables, metadata=metadata))
        except TandemError as error:
            refusal, headers = error, {}
        except grpc.aio.AioRpcError as error:
            refusal = from_rpc(error, match.route.endpoint.body if match else "")
            headers = to_headers(error.initial_metadata(), error.trailing_metadata())
        except ConnectionError:  # the caller left while a stream was written
            raise
        except Exception as error:  # noqa: BLE001 -- the outermost guard: only an id leaves
            refusal, headers = unexpected(error), {}
        told.reason = refusal.reason
        return problem(refusal, exchange.path, headers)


def target(raw: str) -> tuple[str, str]:
    """Split a request target into its raw path and query; the absolute form (RFC 9112, 3.2.2) loses its origin."""
    origin = _ORIGIN.match(raw)
    path, _, query = (raw[origin.end() :] if origin else raw).partition("?")
    return path or "/", query
