"""Secrets: how the client signs with them, and how the server comes by them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from behind import everything_in
from conftest import Party
from known_secrets import secrets_of, write_secrets
from standardwebhooks import Webhook

from tandem_client import webhooks
from tandem_server.usecases.webhook_secrets import WebhookSecrets

from .sender import BODY, by_the_package, sending

pytestmark = pytest.mark.usefixtures("deadline")

SECRET = secrets_of("anybody")[0]


def test_the_client_signs_as_the_package_does() -> None:
    at = datetime.now(UTC).replace(microsecond=999_999)
    zoned = at.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    for told in (at, zoned):
        signed = webhooks.sign(SECRET, "e1", BODY, at=told)
        assert by_the_package(SECRET, "e1", BODY, at).items() <= signed.items()
        assert signed == webhooks.sign(SECRET.removeprefix("whsec_"), "e1", BODY.encode(), at=told)
    Webhook(SECRET).verify(BODY, webhooks.sign(SECRET, "e2", BODY))


BAD_FILES = {
    "no JSON": "{",
    "no object": "[]",
    "no list": '{"default": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}',
    "no secret": '{"default": []}',
    "three secrets": '{"default": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "b", "c"]}',
    "too short": '{"default": ["whsec_MfKQ9r8GKYq="]}',
    "no base64": '{"default": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!"]}',
    "no text": '{"default": [7]}',
    "no name": '{"De Fault": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}',
}


def put(file: Path, text: str | None) -> None:
    """Make *file* hold *text*; None takes it away."""
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_text(text)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
async def test_secrets_rotate_without_a_restart(party: Party) -> None:
    """And a file that cannot be read leaves things as they were."""
    file, (new, old) = Path(party.stack.environment["TANDEM_WEBHOOK_SECRETS_FILE"]), secrets_of("rotating")
    steps = [
        ({"another": [new]}, (401, 401)),
        ({"rotating": [old]}, (200, 401)),
        ({"rotating": [new, old]}, (200, 200)),
        ({"rotating": [new]}, (401, 200)),
        *((broken, (401, 200)) for broken in (*BAD_FILES.values(), None)),
        ({"another": [new]}, (401, 401)),
    ]
    async with sending(party) as sender:
        for number, (told, expected) in enumerate(steps):
            put(file, json.dumps(told) if isinstance(told, dict) else told)
            seen = [
                await sender.post(BODY, webhooks.sign(secret, f"e{number}-{secret}", BODY), "rotating")
                for secret in (old, new)
            ]
            assert tuple(status for status, _ in seen) == expected, told
    write_secrets(file)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True, scope="session")
async def test_promise_24_a_dump_holds_no_secret(party: Party) -> None:
    """Nor do the logs, though both tell of the event."""
    async with sending(party) as sender:
        assert await sender.outcome("dumped-event", "lunch.served", {}) == "UNKNOWN_TYPE"
    dump = str(everything_in(party.stack.environment["TANDEM_DATABASE_URL"]))
    logs = "".join(path.read_text() for path in party.stack.home.glob("*.log"))
    assert "dumped-event" in dump
    assert "ReceiveErpEvent" in logs
    for secret in secrets_of(party.erp):
        text = secret.removeprefix("whsec_")
        assert not any(form in dump + logs for form in (text, base64.b64decode(text).hex()))


@pytest.mark.parametrize("bad", BAD_FILES)
def test_what_is_wrong_with_a_file_is_told_and_no_secret(tmp_path: Path, bad: str) -> None:
    (tmp_path / "secrets.json").write_text(BAD_FILES[bad])
    with pytest.raises(ValueError, match=r"secrets\.json") as refusal:
        WebhookSecrets(tmp_path / "secrets.json")
    assert "MfKQ" not in str(refusal.value)


def test_a_server_does_not_start_without_the_secrets_it_was_told_of(tmp_path: Path) -> None:
    settings = {"TANDEM_HOME": str(tmp_path), "TANDEM_WEBHOOK_SECRETS_FILE": str(tmp_path / "secrets.json")}
    command = [str(Path(sys.executable).parent / "tandem-server"), "serve"]
    ended = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 2
    assert "secrets.json" in ended.stderr
    assert "Traceback" not in ended.stderr
