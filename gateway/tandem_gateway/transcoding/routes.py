"""Which route a request takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from tandem_gateway.errors import MethodNotAllowed
from tandem_gateway.transcoding.template import Template, decode
from tandem_proto.errors import NotFound

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """What answers an HTTP method on the paths of a template."""

    verb: str
    template: Template
    endpoint: T


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """A route, and the values of its template's variables in one request, decoded."""

    route: Route[T]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Path(Generic[T]):
    """One template with all its HTTP methods."""

    pattern: re.Pattern[str]
    routes: dict[str, Route[T]]


class Routes(Generic[T]):
    """All routes, by what they match; raises ValueError if two match the same."""

    def __init__(self, routes: Iterable[Route[T]]) -> None:
        self._by_length: dict[int, list[_Path[T]]] = {}
        for route in sorted(routes, key=lambda route: route.template.precedence):
            self._add(route)

    def find(self, verb: str, path: str) -> Match[T]:
        """Return the most literal match of the raw *path* that knows *verb*.

        Raises NotFound for an unknown path, MethodNotAllowed for a known one without *verb*, InvalidArgument for a bad
        percent-encoding.
        """
        allowed: set[str] = set()
        for known in self._by_length.get(path.count("/"), ()):
            if found := known.pattern.fullmatch(path):
                if route := known.routes.get(verb):
                    values = map(decode, found.groups())
                    return Match(route, dict(zip(route.template.variables, values, strict=True)))
                allowed.update(known.routes)
        if allowed:
            raise MethodNotAllowed(allowed)
        raise NotFound("There is nothing at this path.", reason="NO_SUCH_PATH")

    def _add(self, route: Route[T]) -> None:
        paths = self._by_length.setdefault(route.template.segments, [])
        pattern = route.template.pattern
        path = next((known for known in paths if known.pattern == pattern), None)
        if path is None:
            path = _Path(pattern, {})
            paths.append(path)
        for verb in ("GET", "HEAD") if route.verb == "GET" else (route.verb,):  # RFC 9110, 9.1: both or none
            if path.routes.setdefault(verb, route) is not route:
                raise ValueError(f"{verb} {route.template.text} is taken by another route")
