"""TLS on every listener: who does not trust the certificate gets nothing, and a new one needs no restart."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from http.client import HTTPSConnection
from pathlib import Path

import aiohttp
import grpc
import pytest
from addresses import free_address
from conftest import Party, new_party
from cryptography.x509 import load_der_x509_certificate
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from retail import a_customer, an_order
from stack import BIN, Stack

from tandem_client import DeadlineExceeded, Tandem, Unavailable
from tandem_proto.channel import dial
from tandem_proto.listening import ListeningSettings, is_local
from tandem_proto.tls import Certificate

from .certificates import Authority

pytestmark = pytest.mark.usefixtures("deadline")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(authority: Authority, make_database: Callable[[str], str], make_stack: Callable[..., Stack]) -> Stack:
    """A stack that serves by TLS, its gateway and its server's metrics on every address of this machine."""
    cert, key = authority.issue("first")
    metrics = free_address().replace("127.0.0.1", "0.0.0.0")
    files = {"tls_cert": cert, "tls_key": key, "grpc_ca": authority.ca}
    told = {name: str(path) for name, path in files.items()}
    return make_stack(make_database("sqlite"), **told, metrics_listen=metrics)


@pytest.fixture
def party(secure: Stack) -> Party:
    return new_party(secure)


def tandem(party: Party, ca: Path | None) -> Tandem:
    return Tandem(party.stack.grpc, key=party.crm_key, ca=ca, timeout=1 if ca is None else 30)


async def listed(party: Party, session: aiohttp.ClientSession, trusted: ssl.SSLContext) -> int:
    headers = {"authorization": f"Bearer {party.crm_key}"}
    async with session.get(f"{party.stack.http}/v1/orders", headers=headers, ssl=trusted) as reply:
        return reply.status


def trusting(ca: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca)


def ports(stack: Stack) -> list[int]:
    """Return where server, gateway and metrics listen."""
    addresses = stack.grpc, stack.http, stack.environment["TANDEM_METRICS_LISTEN"]
    return [int(address.rpartition(":")[2]) for address in addresses]


def shown(port: int) -> str:
    """Return whose certificate a new connection is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as connection:
        certificate = connection.getpeercert(binary_form=True)
    assert certificate is not None
    return load_der_x509_certificate(certificate).subject.rfc4514_string()


async def all_shown(stack: Stack) -> set[str]:
    return set(await asyncio.gather(*(asyncio.to_thread(shown, port) for port in ports(stack))))


@asynccontextmanager
async def kept_open(stack: Stack, authority: Authority) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Give what asks for readiness, always over the same connection to the gateway."""
    connection = HTTPSConnection(stack.http.removeprefix("https://"), timeout=10, context=trusting(authority.ca))
    connection.connect()
    connection.auto_open = 0

    def ready() -> int:
        connection.request("GET", "/readyz")
        with connection.getresponse() as reply:
            reply.read()
            return reply.status

    with closing(connection):
        yield lambda: asyncio.to_thread(ready)


async def test_with_the_authority_it_works_by_grpc_and_by_rest(party: Party, authority: Authority) -> None:
    async with tandem(party, authority.ca) as crm, aiohttp.ClientSession() as session:
        assert [order async for order in crm.orders.list()] == []
        assert await listed(party, session, trusting(authority.ca)) == 200
        metrics = party.stack.environment["TANDEM_METRICS_LISTEN"].replace("0.0.0.0", "localhost")
        async with session.get(f"https://{metrics}/metrics", ssl=trusting(authority.ca)) as reply:
            assert "tandem_database_connections_max 5" in await reply.text()


async def why_not(target: str) -> str:
    """Return why a client that has no authority of ours gets no answer from *target*."""
    async with dial(target, 0, ("grpc.enable_retries", 0)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await HealthStub(channel).Check(HealthCheckRequest(), timeout=10)
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    return failure.value.details() or ""


async def test_without_it_neither_does(party: Party) -> None:
    assert "CERTIFICATE_VERIFY_FAILED" in await why_not(party.stack.grpc)
    async with tandem(party, None) as crm, aiohttp.ClientSession() as session:
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await anext(crm.orders.list(), None)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await listed(party, session, trusting(None))


async def test_plain_text_is_not_spoken_there(party: Party) -> None:
    assert await why_not(party.stack.grpc.removeprefix("grpcs://"))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(party.stack.http.replace("https", "http"))


async def test_a_new_certificate_is_served_and_connections_go_on(party: Party, authority: Authority) -> None:
    """Files that do not fit, as while they are being replaced, change nothing."""
    authority.issue("old")
    assert await all_shown(party.stack) == {"CN=old"}
    async with (
        kept_open(party.stack, authority) as ready,
        Tandem(party.stack.grpc, key=party.erp_key, ca=authority.ca) as worker,
        worker.orders.pull("w") as deliveries,
    ):
        waiting = asyncio.ensure_future(anext(deliveries))
        assert await ready() == 200
        cert, key = authority.issue("new")
        assert await all_shown(party.stack) == {"CN=new"}
        for broken in (b"", key.read_bytes(), None):
            cert.unlink() if broken is None else cert.write_bytes(broken)
            assert await all_shown(party.stack) == {"CN=new"}
        assert await ready() == 200
        async with tandem(party, authority.ca) as crm:
            await crm.customers.upsert(a_customer())
            order = await crm.orders.create(an_order())
        assert (await waiting).order.id == order.id
    authority.issue("newest")
    assert await all_shown(party.stack) == {"CN=newest"}


def refused(program: str, home: Path, **settings: str) -> str:
    """Return what a process that does not start says."""
    environment = (
        os.environ | {"TANDEM_HOME": str(home)} | {f"TANDEM_{name.upper()}": settings[name] for name in settings}
    )
    ended = subprocess.run(
        [BIN / program, "serve"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    ("program", "listener"),
    [("tandem-server", "grpc_listen"), ("tandem-server", "metrics_listen"), ("tandem-gateway", "http_listen")],
)
def test_plain_text_for_other_machines_is_refused(program: str, listener: str, tmp_path: Path) -> None:
    said = refused(program, tmp_path, **{listener: "0.0.0.0:1"})
    for setting in (f"{listener.upper()}=0.0.0.0:1", "TLS_CERT", "TLS_KEY", "PLAINTEXT=allow"):
        assert f"TANDEM_{setting}" in said


@pytest.mark.parametrize("program", ["tandem-server", "tandem-gateway"])
def test_a_certificate_that_does_not_fit_is_not_started_with(
    program: str, authority: Authority, tmp_path: Path
) -> None:
    _, key = authority.issue("any")
    said = refused(program, tmp_path, tls_cert=str(authority.ca), tls_key=str(key))
    assert f"{authority.ca} must be a certificate in PEM, and {key} its private key: KEY_VALUES_MISMATCH" in said


def test_what_is_wrong_with_a_certificate_is_told(authority: Authority) -> None:
    cert, key = authority.issue("any")
    with pytest.raises(ValueError, match="belong together"):
        ListeningSettings(tls_cert=cert).certificate()
    with pytest.raises(ValueError, match=r"key\.pem must be a certificate in PEM"):
        Certificate(key, key)
    with pytest.raises(ValueError, match=r"nowhere\.pem cannot be read: No such file"):
        Certificate(Path("nowhere.pem"), key)
    with pytest.raises(ValueError, match="must not be encrypted"):
        Certificate(cert, authority.lock(key))


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/run/tandem", True), ("", True)]
    + [(f"{host}:1", False) for host in ("0.0.0.0", "[::]", "10.0.0.1", "tandem.example.com", "dns:///127.0.0.1", "")],
)
def test_which_addresses_are_local(address: str, local: bool) -> None:
    assert is_local(address) is local


def test_how_a_target_is_dialled(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="REST: gRPC is dialled by"):
        dial("https://localhost:1", 0)
    for file in (authority.issue("any")[1], tmp_path / "nowhere.pem"):
        with pytest.raises(ValueError, match=f"{file.name} must be a file of certificates"):
            dial("localhost:1", 0, ca=file)
