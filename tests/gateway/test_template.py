from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem_gateway.errors import MethodNotAllowed
from tandem_gateway.transcoding.routes import Match, Route, Routes
from tandem_gateway.transcoding.template import Template, decode
from tandem_proto.errors import InvalidArgument, NotFound

ROUTES = Routes(
    Route(verb, Template(text), f"{verb} {text}")
    for verb, text in [
        ("GET", "/v1/customers/{id}"),
        ("POST", "/v1/customers/{id}:erase"),
        ("GET", "/v1/customers/external/{external_id}"),
        ("POST", "/v1/customers:import"),
        ("POST", "/v1/customers"),
        ("GET", "/v1/orders/{order.id}/events"),
        ("GET", "/v1/orders/latest"),
        ("GET", "/v1/orders/{id}"),
        ("PATCH", "/v1/orders/{id}"),
    ]
)


def find(verb: str, path: str) -> Match[str]:
    return ROUTES.find(verb, path)


@pytest.mark.parametrize(
    ("verb", "path", "route", "variables"),
    [
        ("GET", "/v1/customers/7", "GET /v1/customers/{id}", {"id": "7"}),
        ("GET", "/v1/customers/a:b", "GET /v1/customers/{id}", {"id": "a:b"}),
        ("GET", "/v1/customers/7:erase", "GET /v1/customers/{id}", {"id": "7:erase"}),
        ("POST", "/v1/customers/7:erase", "POST /v1/customers/{id}:erase", {"id": "7"}),
        ("POST", "/v1/customers/a:b:erase", "POST /v1/customers/{id}:erase", {"id": "a:b"}),
        ("GET", "/v1/customers/a%2Fb%3Ac%25%20%C3%A9+d", "GET /v1/customers/{id}", {"id": "a/b:c% é+d"}),
        ("GET", "/v1/customers/external/é", "GET /v1/customers/external/{external_id}", {"external_id": "é"}),
        ("GET", "/v1/customers/external/..", "GET /v1/customers/external/{external_id}", {"external_id": ".."}),
        ("GET", "/v1/customers/external", "GET /v1/customers/{id}", {"id": "external"}),
        ("POST", "/v1/customers:import", "POST /v1/customers:import", {}),
        ("GET", "/v1/orders/7/events", "GET /v1/orders/{order.id}/events", {"order.id": "7"}),
        ("GET", "/v1/orders/latest", "GET /v1/orders/latest", {}),
        ("PATCH", "/v1/orders/latest", "PATCH /v1/orders/{id}", {"id": "latest"}),
        ("HEAD", "/v1/orders/7", "GET /v1/orders/{id}", {"id": "7"}),
    ],
)
def test_a_path_takes_its_most_literal_route(verb: str, path: str, route: str, variables: dict[str, str]) -> None:
    match = find(verb, path)
    assert (match.route.endpoint, match.variables) == (route, variables)


@pytest.mark.parametrize(
    "path", ["/", "", "*", "/v1", "/v1/customers/", "/v1/customers//", "/v1/orders//events", "/v1/../v1/customers/7"]
)
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        find("GET", path)


def test_a_known_path_names_its_methods() -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        find("DELETE", "/v1/customers/7:erase")
    assert refused.value.metadata["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/v1/customers/%", "/v1/customers/%zz", "/v1/customers/%ff", "/v1/customers/\udcff"])
def test_a_bad_escape_is_an_invalid_argument(path: str) -> None:
    with pytest.raises(InvalidArgument):
        find("GET", path)


@given(st.text(min_size=1))
def test_every_value_can_stand_in_a_path(value: str) -> None:
    escaped = "".join(f"%{byte:02x}" for byte in value.encode())
    assert decode(escaped) == value
    assert find("POST", f"/v1/customers/{escaped}:erase").variables == {"id": value}


@pytest.mark.parametrize("text", ["v1", "/v1/{id=*}", "/v1/**", "/v1/{id}x", "/v1/", "/v1/{id}{b}", "/v1/{Id}"])
def test_other_template_syntax_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path template"):
        Template(text)


def test_two_routes_for_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="taken"):
        Routes([Route("GET", Template("/v1/{a}"), 1), Route("GET", Template("/v1/{b}"), 2)])
