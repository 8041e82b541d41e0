"""Whatever is sent to whichever route: no reply is a 500, and every refusal has the form that errors have."""

from __future__ import annotations

import http.client
import json
import re
from collections import Counter
from contextlib import closing

import pytest
from conftest import Party
from contract.guesses import ROUTES, Guess, a_guess
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from known_keys import ADMIN, UNKNOWN

from tandem_server.domain.principals import SCOPES

EXAMPLES = 10 * len(ROUTES)
MEMBERS = {"type", "title", "status", "detail", "instance", "reason", "metadata", "errors"}
INSIDE = re.compile(r"(?i)traceback|sqlalchemy|pymysql|\bselect\b.*\bfrom\b|\binsert into\b|grpc\.aio|File \"")
"""What is nobody's business: the words of the code and of the database."""


def key_for(party: Party, scope: str) -> str:
    """Return a key that has *scope*; signed requests need none."""
    keys = {"crm": party.crm_key, "erp": party.erp_key, "integration": party.integration_key, "admin": ADMIN.key}
    return next(key for role, key in keys.items() if not scope or scope in SCOPES[role])


def ask(party: Party, guess: Guess, key: str) -> tuple[http.client.HTTPResponse, bytes]:
    """Return the reply and its body, of a stream the first line."""
    headers = guess.headers | {"authorization": f"Bearer {key}"}
    with closing(http.client.HTTPConnection(party.stack.http.removeprefix("http://"), timeout=60)) as connection:
        connection.request(guess.verb, guess.target, guess.body or None, headers)
        reply = connection.getresponse()
        stream = reply.headers["content-type"] == "application/x-ndjson"
        return reply, reply.readline() if stream else reply.read()


def check_problem(reply: http.client.HTTPResponse, body: bytes) -> str:
    """Return the reason that a refusal tells."""
    assert reply.headers["content-type"] == "application/problem+json"
    document = json.loads(body)
    assert document.keys() == MEMBERS
    assert (document["status"], document["title"]) == (reply.status, reply.reason)
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", document["reason"])
    assert all(error.keys() == {"field", "description"} and error["description"] for error in document["errors"])
    assert not INSIDE.search(body.decode())
    assert reply.status not in (429, 503) or reply.headers["retry-after"]
    return str(document["reason"])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_reply_is_one_that_the_contract_knows(party: Party) -> None:
    seen: Counter[tuple[int, str]] = Counter()

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(guess=a_guess(), honest=st.integers(0, 9).map(bool))
    def check(guess: Guess, honest: bool) -> None:
        reply, told = ask(party, guess, key_for(party, guess.scope) if honest else UNKNOWN.key)
        reason = check_problem(reply, told) if reply.status >= 400 else ""
        seen[reply.status, reason] += 1
        assert reply.status < 500, told
        assert reply.headers["x-request-id"]
        is_json = reply.headers.get("content-type", "").startswith("application/json")
        assert not is_json or json.loads(told) is not None

    check()
    print(*seen.most_common(), sep="\n")  # noqa: T201
    assert {status for status, _ in seen} >= {200, 400, 401, 404}
