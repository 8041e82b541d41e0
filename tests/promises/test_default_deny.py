"""Promise 24: every RPC and every route, made from the catalogue, without a right key: the right refusal, no effect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import grpc
import pytest
from behind import everything_in
from conftest import Party, new_party
from contract.samples import GOOD, is_plain, kinds_of, rules_of
from contract.ways import Seen, by_grpc, by_rest, shaped
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from known_keys import (
    ADMIN,
    EXPIRED,
    OTHER_ADMIN,
    REPORTS,
    REVOKED,
    STRANGE_CRM,
    STRANGE_ERP,
    UNKNOWN,
    Holder,
)
from retail import a_customer, an_order
from stack import Stack

from tandem_proto.catalogue import Method, methods
from tandem_server.domain.principals import scopes_of

pytestmark = pytest.mark.usefixtures("deadline")

GUARDED = [method for method in methods() if method.required_scope]
NOBODYS = "01h455vb4pex5vsknk084sn02q"
UNAUTHENTICATED = {
    "no key": None,
    "garbage": "garbage",
    "mistyped": ADMIN.key[:-1] + ("0" if ADMIN.key[-1] != "0" else "1"),
    "unknown": UNKNOWN.key,
    "revoked": REVOKED.key,
    "expired": EXPIRED.key,
}


@dataclass
class Site:
    """A Tandem with one party's objects in it, and the ways to it.

    `objects` has an id of each kind: of a kind that is not there, only an id that nobody has is tried.
    """

    stack: Stack
    channel: grpc.aio.Channel
    http: aiohttp.ClientSession
    objects: dict[str, str]

    def stored(self) -> dict[str, list[str]]:
        return everything_in(self.stack.environment["TANDEM_DATABASE_URL"])

    async def see(self, method: Method, rule: HttpRule | None, request: Message, key: str | None) -> Seen:
        if rule is None:
            return await by_grpc(self.channel, method, request, key)
        return await by_rest(self.http, rule, request, key)


@pytest.fixture(scope="module")
def own(database: str, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack that nothing else happens on."""
    return make_stack(make_database(database))


@pytest.fixture(scope="module")
def party(own: Stack) -> Party:
    return new_party(own)


@pytest.fixture
async def site(own: Stack, party: Party) -> AsyncIterator[Site]:
    async with (
        party.crm() as crm,
        grpc.aio.insecure_channel(own.grpc) as channel,
        aiohttp.ClientSession(own.http) as http,
    ):
        await crm.customers.upsert(a_customer("A"))
        order = (await crm.orders.upsert(an_order("A", customer="A"))).order
        key_id = Holder("crm", source=party.source).id
        yield Site(own, channel, http, {"order_id": order.id, "customer_id": order.customer_id, "key_id": key_id})


def ids_in(message: Any) -> list[tuple[Any, FieldDescriptor, str]]:
    """Return the fields for ids of *message*: owner, field and kind of each."""
    found = []
    for field in message.DESCRIPTOR.fields:
        rules = rules_of(field).repeated.items if field.is_repeated else rules_of(field)
        found += [(message, field, kind) for kind in kinds_of(rules) if kind.endswith("_id")]
        if is_plain(field):
            value = getattr(message, field.name)
            inner = list(value) if field.is_repeated else [value] if message.HasField(field.name) else []
            found += [each for part in inner for each in ids_in(part)]
    return found


def about(method: Method, rule: HttpRule | None, objects: dict[str, str]) -> Any:
    """Return a valid request that is about *objects* wherever it can be; what parties name themselves is "A"."""
    request = shaped(method, rule or next(iter(method.http), None))
    for owner, field, kind in ids_in(request):
        value = objects.get(kind, GOOD[kind])
        if field.is_repeated:
            getattr(owner, field.name)[:] = [value]
        else:
            setattr(owner, field.name, value)
    return request


def is_about_one(rule: HttpRule) -> bool:
    """Tell whether the path of *rule* names what must be there; a PUT makes it."""
    verb = str(rule.WhichOneof("pattern"))
    return verb != "put" and "{" in getattr(rule, verb)


@pytest.mark.parametrize("method", GUARDED, ids=lambda method: method.path[1:])
async def test_promise_24_nothing_without_a_right_key(site: Site, method: Method) -> None:
    before = site.stored()
    lacking = next(h for h in (REPORTS, STRANGE_ERP, STRANGE_CRM) if method.required_scope not in scopes_of([h.role]))
    for rule in (None, *method.http):
        request = shaped(method, rule)
        for why, key in UNAUTHENTICATED.items():
            expected = "UNAUTHENTICATED" if rule is None else 401
            assert (await site.see(method, rule, request, key)).code == expected, why
        expected = "PERMISSION_DENIED" if rule is None else 403
        refusal = await site.see(method, rule, request, lacking.key)
        assert (refusal.code, method.required_scope in refusal.reply) == (expected, True)
    assert site.stored() == before


@pytest.mark.parametrize("method", GUARDED, ids=lambda method: method.path[1:])
async def test_promise_24_nothing_of_another_party(site: Site, party: Party, method: Method) -> None:
    """Who may do everything, but for another party, sees and changes what is not theirs as if it were not there."""
    before = site.stored()
    nobodys = {kind: f"{each.split('_')[0]}_{NOBODYS}" for kind, each in site.objects.items()}
    for rule in (None, *method.http):
        request = about(method, rule, site.objects)
        if method.safe or ids_in(request):
            seen = await site.see(method, rule, request, OTHER_ADMIN.key)
            unseen = await site.see(method, rule, about(method, rule, nobodys), OTHER_ADMIN.key)
            assert seen.without(site.objects) == unseen.without(nobodys)
            assert not any(each in unseen.reply for each in site.objects.values())
            assert seen.code in ("NOT_FOUND", "OK", "INVALID_ARGUMENT", 404, 200, 400), seen
        if rule is not None and is_about_one(rule):
            assert (await site.see(method, rule, request, OTHER_ADMIN.key)).code == 404
    after = site.stored()
    # An export of nothing is an export, too: it is kept that whoever may export did, with their own party and no other.
    kept, exports = set(before.pop("exports")), set(after.pop("exports"))
    assert after == before
    assert kept <= exports
    assert bool(exports - kept) == method.name.startswith("Export")
    assert all(f"'{OTHER_ADMIN.source}'" in row and f"'{party.source}'" not in row for row in exports - kept)
